"""``polypath presample``: from an initial policy and a task to a rehearsal set."""

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from polypath.cli.command import Fields, command
from polypath.cli.options import BackendOptions, TaskOptions
from polypath.cli.options_file import ConfigOption
from polypath.cli.runs import JsonOption, console_beside, status_line, write_json
from polypath.errors import ConfigError, needs_extra
from polypath.rehearsal.settings import PresampleSettings
from polypath.settings import setting

if TYPE_CHECKING:
    from polypath.rehearsal.summary import PresampleSummary
    from polypath.rehearsal.write_set import CompletionLogps


@dataclass(frozen=True, kw_only=True)
class PresampleOptions:
    """Options of ``polypath presample``."""

    model: Annotated[
        str,
        typer.Option(
            help="Initial policy: a folder, a name on the Hugging Face hub, countdown-base, "
            "small-sql-base or word-problems-base."
        ),
    ]
    out: Annotated[
        Path, typer.Option(help="Folder of the rehearsal set. Rerun the command to resume.")
    ]
    task: TaskOptions
    split: str = setting("train", "Split of the task; use the one you train on.")
    problems: Path | None = setting(
        None,
        "Use the problems of this JSONL file instead of a split. Its keys are problem_id, "
        "prompt and gold. Needs --task.",
    )
    # Samples must come from the distribution that the reference log-probs describe.
    settings: Annotated[PresampleSettings, Fields(without=("top_p", "top_k"))]
    backend: BackendOptions
    json_file: JsonOption = None
    config: ConfigOption = None


@command
def presample(options: PresampleOptions) -> None:
    """Sample the initial policy and store a rehearsal set.

    A problem that the policy solves in nearly all samples enters the rehearsal set, with one of its
    answers and the answer's log-probs. The other problems form the exploration set. Train with the
    result as --rehearsal_set. Rerun the command to resume. Several processes can share the sampling,
    under torchrun or on a Ray cluster. Needs polypath[trl] or polypath[verl].
    """
    from polypath.rehearsal.presample import presample as run
    from polypath.rehearsal.problems import read_problems

    completion_logps = _training_forward()
    if options.problems is not None and options.task.task is None:
        raise ConfigError(
            f"--problems {options.problems} needs --task: whose verifier says which answers are right?"
        )
    ranks = options.backend.ranks()
    console = console_beside(options.json_file)
    limit = options.task.limit
    summary = run(
        options.model,
        options.task.load(),
        out=options.out,
        completion_logps=completion_logps,
        split=options.split,
        limit=limit,
        problems=None if options.problems is None else read_problems(options.problems, limit),
        settings=options.settings,
        device=options.backend.device,
        trust_remote_code=options.backend.trust_remote_code,
        engine=options.backend.engine(),
        ranks=ranks,
        cluster=options.backend.cluster(console),
        console=console,
    )
    if not ranks.leads:
        return
    write_json(options.json_file, asdict(summary))
    _print_summary(console, summary, options.settings.k)


def _training_forward() -> "CompletionLogps":
    """Return TRL's forward; where TRL is not installed, as beside verl, that of transformers alone."""
    if find_spec("trl") is not None:
        with needs_extra("presample", "trl"):
            from polypath.engines.trl import completion_logps as of_trl

            return of_trl
    with needs_extra("presample", "verl"):
        from polypath.rehearsal.logps import completion_logps

        return completion_logps


def _print_summary(console: Console, summary: "PresampleSummary", k: int) -> None:
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
        console.out(line)
