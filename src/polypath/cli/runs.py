"""What the commands that measure runs share: reading them, settings from options, writing files."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from polypath.errors import ConfigError
from polypath.settings import setting
from polypath.tasks.options import key_values

if TYPE_CHECKING:
    from polypath.report.model import RunAnalysis
    from polypath.report.settings import AnalysisSettings
    from polypath.rollouts.samples import Samples

WIDE = 160  # columns where no terminal says how many there are: a file, a pipe
STDOUT = Path("-")

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
WorkersOption = Annotated[
    int, typer.Option(help="Processes that measure runs side by side; the same numbers.")
]


def console_beside(*outputs: Path | None) -> Console:
    """Return where tables go: stderr when a file was asked for on stdout."""
    stream: IO[str] = sys.stderr if STDOUT in outputs else sys.stdout
    measured = stream.isatty() or "COLUMNS" in os.environ
    return Console(file=stream, width=None if measured else WIDE, highlight=False)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How runs are read and measured."""

    k: Annotated[str | None, typer.Option("--k")] = setting(
        None, "Comma-separated k's of pass@k, such as 1,4,16."
    )
    level: float = setting(0.95, "Confidence level of intervals and tests.")
    seed: int = setting(0, "Of the resampling and of drawn texts.")
    text_samples: int | None = setting(
        None, "Texts drawn per problem; 16, or the fewest of a problem, by default."
    )
    correct_samples: int | None = setting(
        None, "The same for measures of correct samples only; 4 by default."
    )
    key: list[str] | None = setting(
        None, "What a file calls something, as OURS=THEIRS: completion=response. Repeatable."
    )
    task: str | None = setting(None, "Verify every completion again with this task.")
    task_option: TaskOptionsOption = None

    def settings(self) -> "AnalysisSettings":
        """Return the settings of an analysis.

        Raises:
            ConfigError: --k is no list of whole numbers, or a value is out of range.
        """
        from polypath.report.settings import AnalysisSettings

        return AnalysisSettings(
            ks=None if self.k is None else numbers("--k", self.k),
            level=self.level,
            seed=self.seed,
            text_samples=self.text_samples,
            correct_samples=self.correct_samples,
        )

    def read(self, runs: Sequence[str]) -> "list[tuple[Samples, ...]]":
        """Read the runs named on the command line, each as its seeds.

        A run is a file or folder, NAME=PATH, or NAME=PATH,PATH,... for several seeds of one method.

        Raises:
            PolypathError: a run cannot be read, or an option cannot be understood.
        """
        from polypath.rollouts.samples import load_samples

        keys, options = key_mapping(self.key or ()), key_values(self.task_option or ())
        if options and self.task is None:
            raise ConfigError(
                f"--task-option {next(iter(options))} needs --task: whose option is it?"
            )
        verify_batch = None
        if self.task is not None:
            from polypath.tasks import get_task

            verify_batch = get_task(self.task, options).verify_batch
        read = []
        for run in runs:
            name, paths = _parse(run)
            seeds = []
            for path in paths:
                with waiting(f"Reading {path}"):
                    seeds.append(
                        load_samples(path, name=name, keys=keys, verify_batch=verify_batch)
                    )
            read.append((paths[0], tuple(seeds)))
        return _with_names_apart(read)


def names(text: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated option."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Return the whole numbers of a comma-separated option.

    Raises:
        ConfigError: a part is no whole number.
    """
    try:
        return tuple(map(int, names(text)))
    except ValueError:
        raise ConfigError(
            f"{option} takes whole numbers separated by commas, got {text!r}."
        ) from None


def write_json(path: Path | None, record: object) -> None:
    """Write a record where ``--json`` says, if it was given."""
    if path is not None:
        write_text(path, json.dumps(record, indent=2) + "\n")


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
