"""``polypath sample`` and ``polypath eval``: sample a model, verify the samples, measure them."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from polypath.cli.command import Fields, command
from polypath.cli.options import BackendOptions, TaskOptions
from polypath.cli.options_file import ConfigOption
from polypath.cli.runs import JsonOption, RunOptions, console_beside, status_line, write_json
from polypath.sampling.settings import SamplingSettings, ServerSettings
from polypath.settings import setting

if TYPE_CHECKING:
    from polypath.sampling.run import SampleSummary
    from polypath.tasks.base import EvaluationDefaults

_SERVER_FIELDS = ("chat", "concurrency", "api_key_env", "timeout")


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Options of ``polypath sample`` and ``polypath eval``."""

    model: Annotated[
        str,
        typer.Option(
            help="Model: a folder, a name on the Hugging Face hub, or with --base-url its name there."
        ),
    ]
    out: Annotated[Path, typer.Option(help="Run folder to write. Rerun the command to resume.")]
    task: TaskOptions
    split: str = setting("test", "Split of the task.")
    # Under torchrun only the long name works, because torchrun uses --n for one of its own options.
    n: Annotated[int | None, typer.Option("--n", "--num-samples")] = setting(
        None, "Samples per problem, at least 1; the task's default if left out."
    )
    temperature: float | None = setting(
        None, "Sampling temperature, at least 0; the task's default if left out."
    )
    top_p: float | None = setting(
        None, "Probability mass of nucleus sampling, in (0, 1]; the task's default if left out."
    )
    max_new_tokens: int | None = setting(
        None, "Maximum completion length in tokens, at least 1; the task's default if left out."
    )
    sampling: Annotated[SamplingSettings, Fields(only=("top_k", "batch_size", "seed"))]
    greedy: bool = setting(False, "Also draw one greedy sample per problem, stored separately.")
    precision: str = setting(
        "auto", "Precision of the model: auto, float32, bf16-mixed or bfloat16."
    )
    backend: BackendOptions
    base_url: str | None = setting(
        None,
        "Sample from an OpenAI-compatible server at this address, such as http://localhost:8000/v1.",
    )
    server: Annotated[dict[str, Any], Fields(only=_SERVER_FIELDS, of=ServerSettings)]
    json_file: JsonOption = None
    config: ConfigOption = None


@command
def sample(options: SampleOptions) -> None:
    """Sample a model on a task and verify every sample.

    Rerun the command to resume; with a larger --n or --limit it adds samples to the run. Several
    processes can share the work, under torchrun or on a Ray cluster. Needs polypath[trl], unless
    --base-url names a server.
    """
    _sample(options, options.json_file)


@command
def evaluate(options: SampleOptions) -> None:
    """Sample a model on a task, verify, and print all metrics.

    The same as polypath sample followed by polypath diversity on the run folder. Run polypath diversity
    yourself to choose k, the confidence level or a figure. Needs polypath[trl], unless --base-url names a
    server.
    """
    from polypath.cli.diversity import OutputOptions, measure

    _sample(options, None)
    if options.backend.ranks().leads:
        measure([str(options.out)], RunOptions(), OutputOptions(json_file=options.json_file))


def _sample(options: SampleOptions, json_file: Path | None) -> "SampleSummary":
    from polypath.sampling.run import sample_run

    ranks, engine = options.backend.ranks(), options.backend.engine()
    console = console_beside(options.json_file)
    cluster = options.backend.cluster(console, server=options.base_url is not None)
    task = options.task.load()
    given = _given(options)
    how = {**_of_the_task(task.evaluation), **given}
    shown = ", ".join(f"{name}={how[name]}" + " (given)" * (name in given) for name in how)
    num_samples = how.pop("n")
    settings = replace(options.sampling, **how)
    where: str | ServerSettings = options.model
    if options.base_url is not None:
        where = ServerSettings(base_url=options.base_url, model=options.model, **options.server)
    if ranks.leads:
        source = task.evaluation.source
        console.out(f"{task.name} {options.split}: {shown}; the task's defaults: {source}")
    summary = sample_run(
        where,
        task,
        out=options.out,
        split=options.split,
        num_samples=num_samples,
        settings=settings,
        limit=options.task.limit,
        greedy=options.greedy,
        device=options.backend.device,
        trust_remote_code=options.backend.trust_remote_code,
        precision=options.precision,
        engine=engine,
        ranks=ranks,
        cluster=cluster,
        console=console,
    )
    if ranks.leads:
        _print_summary(console, summary)
        write_json(json_file, asdict(summary))
    return summary


def _given(options: SampleOptions) -> dict[str, Any]:
    names = ("n", "temperature", "top_p", "max_new_tokens")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _of_the_task(usual: "EvaluationDefaults") -> dict[str, Any]:
    return {
        "n": usual.num_samples,
        "temperature": usual.temperature,
        "top_p": usual.top_p,
        "max_new_tokens": usual.max_completion_length,
    }


def _print_summary(console: Console, summary: "SampleSummary") -> None:
    total = summary.num_problems * summary.num_samples
    console.out(
        f"{summary.folder}: {summary.num_problems} problems x {summary.num_samples} samples = "
        f"{total}; {summary.new_samples} new in {summary.seconds:.1f} s"
    )
    line = status_line(summary.statuses)
    if line is not None:
        console.out(line)
