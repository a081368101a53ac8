"""What the commands that measure runs share: reading them, settings from options, writing files."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from polypath.errors import ConfigError
from polypath.tasks.options import key_values

if TYPE_CHECKING:
    from polypath.report.model import RunAnalysis
    from polypath.report.settings import AnalysisSettings
    from polypath.rollouts.samples import Samples

WIDE = 160  # columns where no terminal says how many there are: a file, a pipe
STDOUT = Path("-")

KOption = Annotated[
    str | None,
    typer.Option("--k", help="Comma-separated k's of pass@k, such as 1,4,16."),
]
LevelOption = Annotated[float, typer.Option(help="Confidence level of intervals and tests.")]
SeedOption = Annotated[int, typer.Option(help="Of the resampling and of drawn texts.")]
TextSamplesOption = Annotated[
    int | None,
    typer.Option(help="Texts drawn per problem; 16, or the fewest of a problem, by default."),
]
CorrectSamplesOption = Annotated[
    int | None, typer.Option(help="The same for measures of correct samples only; 4 by default.")
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        help="What a file calls something, as OURS=THEIRS: completion=response. Repeatable.",
    ),
]
TaskOption = Annotated[
    str | None, typer.Option(help="Verify every completion again with this task.")
]
TaskOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--task-option",
        help="Option of the task as KEY=VALUE; repeatable. polypath tasks show TASK lists them.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do part I of N, counted from 0; all write to one folder. Not needed under torchrun.",
    ),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write everything there as JSON; - prints it.")
]
CsvOption = Annotated[
    Path | None, typer.Option("--csv", help="Write the numbers there as CSV; - prints it.")
]
WorkersOption = Annotated[
    int, typer.Option(help="Processes that measure runs side by side; the same numbers.")
]
FigureOption = Annotated[
    Path | None, typer.Option(help="Draw the curves there: .png, .pdf or .svg.")
]


def console_beside(*outputs: Path | None) -> Console:
    """Return where tables go: stderr when a file was asked for on stdout."""
    stream: IO[str] = sys.stderr if STDOUT in outputs else sys.stdout
    measured = stream.isatty() or "COLUMNS" in os.environ
    return Console(file=stream, width=None if measured else WIDE, highlight=False)


def settings_from(
    k: str | None,
    level: float,
    seed: int,
    text_samples: int | None,
    correct_samples: int | None,
) -> "AnalysisSettings":
    """Build the settings of an analysis from options.

    Raises:
        ConfigError: --k is no list of whole numbers, or a value is out of range.
    """
    from polypath.report.settings import AnalysisSettings

    try:
        ks = None if k is None else tuple(int(part) for part in k.split(",") if part.strip())
    except ValueError:
        raise ConfigError(f"--k takes whole numbers separated by commas, got {k!r}.") from None
    return AnalysisSettings(
        ks=ks,
        level=level,
        seed=seed,
        text_samples=text_samples,
        correct_samples=correct_samples,
    )


def read_runs(
    arguments: Sequence[str],
    keys: Sequence[str] | None,
    task: str | None,
    task_options: Sequence[str] | None = None,
) -> "list[tuple[Samples, ...]]":
    """Read the runs named on the command line, each as its seeds.

    An argument is a file or folder, NAME=PATH, or NAME=PATH,PATH,... for several seeds of one
    method.

    Raises:
        PolypathError: a run cannot be read, or an option cannot be understood.
    """
    from polypath.rollouts.samples import load_samples

    mapping = key_mapping(keys or ())
    verify_batch = None
    if task is not None:
        from polypath.tasks import get_task

        verify_batch = get_task(task, key_values(task_options or ())).verify_batch
    elif task_options:
        raise ConfigError(f"--task-option {task_options[0]} needs --task: whose option is it?")
    runs = []
    for argument in arguments:
        name, paths = _parse(argument)
        seeds = []
        for path in paths:
            with waiting(f"Reading {path}"):
                seeds.append(load_samples(path, name=name, keys=mapping, verify_batch=verify_batch))
        runs.append((paths[0], tuple(seeds)))
    return _with_names_apart(runs)


def print_reading(
    console: Console, runs: "Sequence[RunAnalysis]", notes: Iterable[str] = ()
) -> None:
    """Print what was read of each run, what was left out, and what limits the numbers."""
    from polypath.report.sentences import reading

    for run in runs:
        print_lines(console, [f"{run.name}: {reading(run)}."])
        print_lines(console, run.notes, style="dim")
    print_lines(console, notes, style="dim")


def print_lines(console: Console, lines: Iterable[str], *, style: str = "") -> None:
    """Print texts as they are, a paragraph each."""
    for line in lines:
        console.print(Text(line, style))


def write_text(path: Path, text: str) -> None:
    """Write a file, its folder too; ``-`` is stdout.

    Raises:
        ConfigError: it cannot be written.
    """
    if path == STDOUT:
        sys.stdout.write(text)
        return
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell in one line that a file the user named cannot be written.

    Raises:
        ConfigError: for any OSError inside.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f"Cannot write {path}: {error.strerror or error}.") from error


def waiting(what: str) -> AbstractContextManager[object]:
    """Show on a terminal's stderr what is being done."""
    return Console(stderr=True).status(what)


def _parse(argument: str) -> tuple[str | None, list[Path]]:
    name, equals, rest = argument.partition("=")
    if not equals or Path(argument).exists():
        return None, [Path(argument)]
    if not name or not rest.strip(","):
        raise ConfigError(f"A run is PATH, NAME=PATH or NAME=PATH,PATH, got {argument!r}.")
    if Path(rest).exists():
        return name, [Path(rest)]
    return name, [Path(part) for part in rest.split(",") if part]


def key_mapping(keys: Sequence[str]) -> dict[str, str]:
    """Read ``--key OURS=THEIRS`` options.

    Raises:
        ConfigError: one of them is not of that form.
    """
    return key_values(keys, setting="--key", form="OURS=THEIRS", example="completion=response")


def status_line(statuses: Mapping[str, int]) -> str | None:
    """Say how many samples were not graded and why; ``None`` if all were."""
    others = {name: count for name, count in statuses.items() if name != "graded" and count}
    if not others:
        return None
    total = sum(statuses.values())
    listing = ", ".join(f"{count} {name}" for name, count in others.items())
    return f"Not graded: {sum(others.values())} of {total} samples ({listing})"


def _with_names_apart(
    runs: "Sequence[tuple[Path, tuple[Samples, ...]]]",
) -> "list[tuple[Samples, ...]]":
    """Put the folder before the names of runs that would be called the same."""
    times = Counter(seeds[0].name for _, seeds in runs)
    result = []
    for path, seeds in runs:
        if times[seeds[0].name] > 1 and path.resolve().parent.name:
            name = f"{path.resolve().parent.name}/{seeds[0].name}"
            seeds = tuple(replace(seed, name=name) for seed in seeds)
        result.append(seeds)
    return result
