"""``polypath presample``: from an initial policy and a task to a rehearsal set."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from polypath.cli.options_file import ConfigOption
from polypath.cli.runs import (
    BackendOption,
    GpuMemoryOption,
    ShardOption,
    TaskOptionsOption,
    TensorParallelOption,
    status_line,
)
from polypath.errors import needs_extra
from polypath.tasks.options import key_values


def presample(
    model: Annotated[
        str,
        typer.Option(
            help="Initial policy: a folder, a hub name, countdown-base or small-sql-base."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the rehearsal set; run again to resume.")],
    task: Annotated[str, typer.Option(help="Task: its problems and its verifier.")] = "countdown",
    task_option: TaskOptionsOption = None,
    split: Annotated[str, typer.Option(help="Split of the task; best the one trained on.")] = (
        "train"
    ),
    problems: Annotated[
        Path | None,
        typer.Option(help="JSON lines of problem_id, prompt, gold, asked instead of the split."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask the first so many only.")] = None,
    k: Annotated[int, typer.Option(help="Samples per problem.")] = 8,
    threshold: Annotated[
        int, typer.Option(help="Correct samples of k from which a problem is near-perfect.")
    ] = 6,
    confirm: Annotated[
        int, typer.Option(help="Extra samples of a near-perfect problem; 0 skips confirming.")
    ] = 1,
    failed_confirm: Annotated[
        str, typer.Option(help="Where an unconfirmed problem goes: explore or drop.")
    ] = "explore",
    hopeless: Annotated[
        str, typer.Option(help="Never-solved problems: keep (explored), drop, or list apart.")
    ] = "keep",
    answers_per_problem: Annotated[
        int, typer.Option(help="Stored answers per near-perfect problem; 1 is the paper's.")
    ] = 1,
    repeated_answers: Annotated[
        str, typer.Option(help="Stored answers that say the same: keep, or drop all but one.")
    ] = "keep",
    truncated: Annotated[
        str, typer.Option(help="Correct answers cut off by the limit: exclude or allow.")
    ] = "exclude",
    temperature: Annotated[
        float, typer.Option(help="Of sampling and reference log-probs; as in training.")
    ] = 1.0,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Limit of a completion; the task's by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Completions sampled together.")] = 64,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    precision: Annotated[
        str, typer.Option(help="As in training: auto, float32, bf16-mixed or bfloat16.")
    ] = "auto",
    device: Annotated[str | None, typer.Option(help="cpu or cuda; a GPU if there is one.")] = None,
    backend: BackendOption = "transformers",
    tensor_parallel: TensorParallelOption = None,
    gpu_memory: GpuMemoryOption = None,
    shard: ShardOption = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the summary there as JSON.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Sample a task with the initial policy and store a rehearsal set.

    Problems it solves nearly always are kept as rehearsal, with one answer each and the policy's
    log-probs; the rest is left to explore. Killed at any moment, the same command goes on. Under
    torchrun, or with --shard, several processes share the sampling.
    """
    del config  # its callback has filled in the options
    # Imported here, so that `polypath --help` does not wait for torch.
    from polypath.rehearsal.presample import presample as run
    from polypath.rehearsal.problems import read_problems
    from polypath.rehearsal.settings import PresampleSettings
    from polypath.sampling.backends import engine_settings
    from polypath.sampling.ranks import find_ranks
    from polypath.tasks import get_task

    with needs_extra("presample", "trl"):
        from polypath.engines.trl import completion_logps
    ranks = find_ranks(shard)
    console = Console()
    settings = PresampleSettings(
        k=k,
        threshold=threshold,
        confirm=confirm,
        failed_confirm=failed_confirm,
        hopeless=hopeless,
        answers_per_problem=answers_per_problem,
        repeated_answers=repeated_answers,
        truncated=truncated,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        seed=seed,
        precision=precision,
    )
    summary = run(
        model,
        get_task(task, key_values(task_option or ())),
        out=out,
        completion_logps=completion_logps,
        split=split,
        limit=limit,
        problems=None if problems is None else read_problems(problems, limit),
        settings=settings,
        device=device,
        engine=engine_settings(backend, tensor_parallel=tensor_parallel, gpu_memory=gpu_memory),
        ranks=ranks,
        console=console,
    )
    if not ranks.leads:
        return
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
    if not summary.complete:
        text = (
            f"{summary.new_samples} new samples; {summary.missing} known ones are still to be drawn. "
            "When all parts are done, run them once more for the samples that confirm; then the "
            "same command without --shard draws whatever is missing and makes the set."
        )
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(title=f"Rehearsal set {summary.folder}", show_header=False)
    for name, count in summary.counts.items():
        table.add_row(f"{name.replace('_', '-')} problems", str(count))
    table.add_row("stored answers", f"{summary.num_rows} ({summary.num_tokens} tokens)")
    shares = "  ".join(f"{c}:{n}" for c, n in enumerate(summary.histogram) if n)
    table.add_row(f"problems by correct samples of {k}", shares)
    table.add_row("new samples", f"{summary.new_samples} in {summary.seconds:.1f} s")
    console.print(table)
    line = status_line(summary.statuses)
    if line is not None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
