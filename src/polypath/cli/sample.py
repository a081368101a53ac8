"""``polypath sample`` and ``polypath eval``: sample a model, verify the samples, measure them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from polypath.cli.command import Fields, command
from polypath.cli.options import BackendOptions, SummaryOption, TaskOptions
from polypath.cli.options_file import ConfigOption
from polypath.cli.runs import console_beside, status_line, write_text
from polypath.sampling.settings import SamplingSettings, ServerSettings

if TYPE_CHECKING:
    from polypath.sampling.run import SampleSummary
    from polypath.tasks.base import EvaluationDefaults

_SERVER_FIELDS = ("chat", "concurrency", "api_key_env", "timeout")


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Options of ``polypath sample`` and ``polypath eval``.

    Attributes:
        model: a folder, a name on the hub, or the model's name on the server.
        out: run folder; rerun the command to resume.
        task: the problems.
        split: split of the task.
        n: samples per problem, at least 1; the task's number by default.
        temperature: sampling temperature, at least 0; the task's by default.
        top_p: probability mass of nucleus sampling, in (0, 1]; the task's by default.
        max_new_tokens: maximum length of a completion in tokens, at least 1; the task's by default.
        sampling: the rest of how completions are drawn.
        greedy: also draw one greedy sample per problem, stored separately.
        precision: precision of the model: auto, float32, bf16-mixed or bfloat16.
        backend: what generates, unless a server does.
        base_url: sample from this OpenAI-compatible server: http://localhost:8000/v1.
        server: how requests are sent to it.
        json_file: the summary.
        config: file of these options.
    """

    model: str
    out: Path
    task: TaskOptions
    split: str = "test"
    # Under torchrun only the long name works: torchrun takes --n for one of its own options.
    n: Annotated[int | None, typer.Option("--n", "--num-samples")] = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    sampling: Annotated[SamplingSettings, Fields(only=("top_k", "batch_size", "seed"))]
    greedy: bool = False
    precision: str = "auto"
    backend: BackendOptions
    base_url: str | None = None
    server: Annotated[dict[str, Any], Fields(only=_SERVER_FIELDS, of=ServerSettings)]
    json_file: SummaryOption = None
    config: ConfigOption = None

    def protocol(self, usual: "EvaluationDefaults") -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the values that the task decides, and those given instead, by option."""
        task = {
            "n": usual.num_samples,
            "temperature": usual.temperature,
            "top_p": usual.top_p,
            "max_new_tokens": usual.max_completion_length,
        }
        given = {name: getattr(self, name) for name in task if getattr(self, name) is not None}
        return {name: value for name, value in task.items() if name not in given}, given


@command
def sample(options: SampleOptions) -> None:
    """Sample a model on a task and verify every sample.

    Rerun the command to resume; a larger --n or --limit adds samples to the run. Under torchrun, or
    with --shard, several processes share the work.
    """
    _sample(options, options.json_file)


@command
def evaluate(options: SampleOptions) -> None:
    """Sample a model on a task, verify, and print all metrics.

    Does what polypath sample does and then what polypath diversity does on the run folder; the
    latter has more options for the metrics.
    """
    from polypath.cli.diversity import diversity

    summary = _sample(options, None)
    if not summary.missing and options.backend.ranks().leads:
        diversity([str(options.out)], json_file=options.json_file)


def _sample(options: SampleOptions, json_file: Path | None) -> "SampleSummary":
    from polypath.sampling.run import sample_run

    ranks, engine = options.backend.ranks(), options.backend.engine()
    console = console_beside(options.json_file)
    task = options.task.load()
    usual, given = options.protocol(task.evaluation)
    how = {**usual, **given}
    num_samples = how.pop("n")
    settings = replace(options.sampling, **how)
    where: str | ServerSettings = options.model
    if options.base_url is not None:
        where = ServerSettings(base_url=options.base_url, model=options.model, **options.server)
    if ranks.leads:
        parts = {f"the task's: {task.evaluation.source}": usual, "given": given}
        console.out(f"{task.name} {options.split}: {_listing(parts)}")
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
        precision=options.precision,
        engine=engine,
        ranks=ranks,
        console=console,
    )
    if ranks.leads:
        _print_summary(console, summary)
        if json_file is not None:
            write_text(json_file, json.dumps(asdict(summary), indent=2) + "\n")
    return summary


def _listing(parts: Mapping[str, Mapping[str, object]]) -> str:
    """List values by where they come from.

    >>> _listing({"the task's: R1-zero-Div, Table 2": {"n": 8}, "given": {"temperature": 0.7}})
    "n=8 (the task's: R1-zero-Div, Table 2); temperature=0.7 (given)"
    """
    return "; ".join(
        f"{', '.join(f'{name}={value}' for name, value in values.items())} ({who})"
        for who, values in parts.items()
        if values
    )


def _print_summary(console: Console, summary: "SampleSummary") -> None:
    total = summary.num_problems * summary.num_samples
    console.out(
        f"{summary.folder}: {summary.num_problems} problems x {summary.num_samples} samples = "
        f"{total}; {summary.new_samples} new in {summary.seconds:.1f} s"
    )
    line = status_line(summary.statuses)
    if line is not None:
        console.out(line)
    if summary.missing:
        console.out(
            f"{summary.missing} samples of other parts are missing so far. When all parts are done, "
            "run the command without --shard: it draws what is missing and prints the summary."
        )
