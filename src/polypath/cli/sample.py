"""``polypath sample`` and ``polypath eval``: samples of a model, verified, and measured."""

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from polypath.cli.options_file import ConfigOption
from polypath.cli.runs import (
    BackendOption,
    GpuMemoryOption,
    ShardOption,
    TaskOptionsOption,
    TensorParallelOption,
    status_line,
    write_text,
)
from polypath.tasks.options import key_values

if TYPE_CHECKING:
    from polypath.sampling.run import SampleSummary

ModelOption = Annotated[
    str, typer.Option(help="A folder, a hub name, or the model's name on the server.")
]
OutOption = Annotated[Path, typer.Option(help="Run folder; run again to resume.")]
TaskOption = Annotated[str, typer.Option(help="Task: its problems and its verifier.")]
SplitOption = Annotated[str, typer.Option(help="Split of the task.")]
NumOption = Annotated[
    int | None,
    # torchrun takes --n for an abbreviation of its own options.
    typer.Option("--n", "--num-samples", help="Samples per problem; the task's by default."),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(help="OpenAI-compatible server to sample from: http://localhost:8000/v1."),
]
TemperatureOption = Annotated[
    float | None, typer.Option(help="Of the sampling; the task's by default.")
]
TopPOption = Annotated[
    float | None,
    typer.Option(help="Nucleus mass kept; 1 keeps all. The task's by default."),
]
TopKOption = Annotated[int | None, typer.Option(help="Tokens kept; all by default.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Ask the first so many only.")]
GreedyOption = Annotated[
    bool, typer.Option("--greedy", help="Also draw one greedy sample per problem, kept apart.")
]
MaxNewTokensOption = Annotated[
    int | None, typer.Option(help="Limit of a completion; the task's by default.")
]
BatchSizeOption = Annotated[int, typer.Option(help="Completions sampled, and stored, together.")]
SampleSeedOption = Annotated[int, typer.Option("--seed", help="Of the sampling.")]
DeviceOption = Annotated[str | None, typer.Option(help="cpu or cuda; a GPU if there is one.")]
PrecisionOption = Annotated[str, typer.Option(help="auto, float32, bf16-mixed or bfloat16.")]
ChatOption = Annotated[
    bool, typer.Option("--chat", help="Server: send plain prompts as one user message.")
]
ConcurrencyOption = Annotated[int, typer.Option(help="Server: requests under way at once.")]
ApiKeyEnvOption = Annotated[
    str, typer.Option(help="Server: environment variable that holds the API key.")
]
TimeoutOption = Annotated[float, typer.Option(help="Server: seconds it may be silent.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the summary there as JSON.")]


def sample(
    model: ModelOption,
    out: OutOption,
    task: TaskOption = "countdown",
    task_option: TaskOptionsOption = None,
    split: SplitOption = "test",
    n: NumOption = None,
    base_url: BaseUrlOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    top_k: TopKOption = None,
    limit: LimitOption = None,
    greedy: GreedyOption = False,
    max_new_tokens: MaxNewTokensOption = None,
    batch_size: BatchSizeOption = 64,
    seed: SampleSeedOption = 0,
    device: DeviceOption = None,
    precision: PrecisionOption = "auto",
    backend: BackendOption = "transformers",
    tensor_parallel: TensorParallelOption = None,
    gpu_memory: GpuMemoryOption = None,
    shard: ShardOption = None,
    chat: ChatOption = False,
    concurrency: ConcurrencyOption = 16,
    api_key_env: ApiKeyEnvOption = "OPENAI_API_KEY",
    timeout: TimeoutOption = 600.0,
    json_file: JsonOption = None,
    config: ConfigOption = None,
) -> Any:  # a SampleSummary, which typer would import to read the annotation
    """Sample a model on a task and verify every sample.

    Killed at any moment, the same command goes on and ends with the same rows; with a larger --n or
    --limit it adds to them. Under torchrun, or with --shard, several processes share the work.
    """
    del config  # its callback has filled in the options
    from polypath.sampling.backends import engine_settings
    from polypath.sampling.openai import ServerSettings
    from polypath.sampling.ranks import find_ranks
    from polypath.sampling.run import sample_run
    from polypath.sampling.settings import SamplingSettings
    from polypath.tasks import get_task

    console = Console(highlight=False)
    ranks = find_ranks(shard)
    engine = engine_settings(backend, tensor_parallel=tensor_parallel, gpu_memory=gpu_memory)
    chosen = get_task(task, key_values(task_option or ()))
    usual = chosen.evaluation
    given = {
        "n": n,
        "temperature": temperature,
        "top_p": top_p,
        "max_new_tokens": max_new_tokens,
    }
    n = usual.num_samples if n is None else n
    where: str | ServerSettings = model
    if base_url is not None:
        where = ServerSettings(
            base_url=base_url,
            model=model,
            api_key_env=api_key_env,
            chat=chat,
            concurrency=concurrency,
            timeout=timeout,
        )
    settings = SamplingSettings(
        temperature=usual.temperature if temperature is None else temperature,
        top_p=usual.top_p if top_p is None else top_p,
        top_k=top_k,
        max_new_tokens=max_new_tokens or usual.max_completion_length,
        batch_size=batch_size,
        seed=seed,
    )
    used = {**asdict(settings), "n": n}
    if ranks.leads:
        _print(console, _protocol(f"{chosen.name} {split}", given, used, usual.source))
    summary = sample_run(
        where,
        chosen,
        out=out,
        split=split,
        num_samples=n,
        settings=settings,
        limit=limit,
        greedy=greedy,
        device=device,
        precision=precision,
        engine=engine,
        ranks=ranks,
        console=console,
    )
    if ranks.leads:
        _print_summary(console, summary, json_file)
    return summary


@functools.wraps(sample, assigned=("__annotations__",))  # the same options
def evaluate(**options: Any) -> None:
    """Sample a model on a task, verify every sample, and print every metric with its interval.

    As polypath sample and then polypath diversity on the run folder, which has more options of how
    to measure.
    """
    from polypath.cli.diversity import diversity
    from polypath.sampling.ranks import find_ranks

    summary = sample(**{**options, "json_file": None})
    if summary.missing or not find_ranks(options["shard"]).leads:
        return
    diversity([str(options["out"])], json_file=options["json_file"])


def _protocol(
    what: str, given: Mapping[str, object], used: Mapping[str, object], source: str
) -> str:
    """Say how samples are drawn, and who decided what.

    >>> given = {"n": None, "temperature": 0.7}
    >>> _protocol("gsm8k test", given, {"n": 8, "temperature": 0.7}, "R1-zero-Div, Table 2")
    'gsm8k test: n=8 (the task: R1-zero-Div, Table 2); temperature=0.7 (given)'
    """
    parts = []
    for names, who in (
        ([name for name, value in given.items() if value is None], f"the task: {source}"),
        ([name for name, value in given.items() if value is not None], "given"),
    ):
        if names:
            parts.append(f"{', '.join(f'{name}={used[name]}' for name in names)} ({who})")
    return f"{what}: {'; '.join(parts)}"


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _print_summary(console: Console, summary: "SampleSummary", json_file: Path | None) -> None:
    total = summary.num_problems * summary.num_samples
    _print(
        console,
        f"{summary.folder}: {summary.num_problems} problems x {summary.num_samples} samples = "
        f"{total}; {summary.new_samples} new in {summary.seconds:.1f} s",
    )
    line = status_line(summary.statuses)
    if line is not None:
        _print(console, line)
    if summary.missing:
        _print(
            console,
            f"{summary.missing} samples are still to be drawn by other parts. When they are done, "
            "the same command without --shard draws whatever is missing and sums up.",
        )
    if json_file is not None:
        write_text(json_file, json.dumps(asdict(summary), indent=2) + "\n")
