"""Shared by the commands that measure runs: reading them, settings from options, writing files."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from polypath.errors import ConfigError, unknown_name
from polypath.settings import setting
from polypath.tasks.options import key_values
from polypath.terminal import Terminal, visible

if TYPE_CHECKING:
    from polypath.executor.cluster import RayCluster
    from polypath.report.model import RunAnalysis
    from polypath.report.settings import AnalysisSettings
    from polypath.rollouts.samples import Samples

WIDE = 160  # columns if no terminal says how many there are: for a file or a pipe
STDOUT = Path("-")

TaskOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--task-option",
        metavar="KEY=VALUE",
        help="Option of the task. Repeatable. polypath tasks show TASK lists them.",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Use the Ray cluster at HOST:PORT, or auto for the one that runs on this machine; by default "
        "RAY_ADDRESS, if it is set. off works on this machine. Needs polypath[ray].",
    ),
]
RayWorkersOption = Annotated[
    int | None,
    typer.Option(
        help="With a Ray cluster: workers at most, each with a model or a verifier; by default as many as "
        "it has room for."
    ),
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the results to this JSON file; - prints them.")
]
WorkersOption = Annotated[
    int, typer.Option(help="Parallel processes. The numbers do not depend on it.")
]


MeasuringOption = Annotated[
    int | None,
    typer.Option(
        help="Parallel processes. By default as many as there are cores, where that pays. The numbers do "
        "not depend on it."
    ),
]


def console_beside(*outputs: Path | None) -> Terminal:
    """Return where tables go: stderr if a file was requested on stdout."""
    stream: IO[str] = sys.stderr if STDOUT in outputs else sys.stdout
    measured = stream.isatty() or "COLUMNS" in os.environ
    return Terminal(file=stream, width=None if measured else WIDE)


def chosen_cluster(
    ray: str | None, workers: int | None, console: Console, *, unless: str = ""
) -> "RayCluster | None":
    """Return the Ray cluster that the options or ``RAY_ADDRESS`` name; ``None`` for this machine.

    Args:
        ray: value of ``--ray``.
        workers: value of ``--workers``.
        console: where it is told that ``RAY_ADDRESS`` is not used.
        unless: why a cluster cannot be used here; empty if it can.

    Raises:
        ConfigError: ``--ray`` is no address or cannot be used here, or there are ``workers`` and no cluster.
    """
    from polypath.executor.cluster import VARIABLE, find_cluster

    cluster = find_cluster(ray, workers)
    if cluster is None and workers is not None:
        raise ConfigError(
            "--workers here needs a Ray cluster: name it with --ray, or leave it out."
        )
    if cluster is None or not unless:
        return cluster
    if cluster.named_by != VARIABLE:
        raise ConfigError(
            f"--ray {cluster.address} cannot be used: {unless}. Leave one of them out."
        )
    console.out(f"{VARIABLE} is not used: {unless}.", highlight=False)
    return None


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How runs are read and measured."""

    k: Annotated[str | None, typer.Option("--k")] = setting(
        None,
        "Comma-separated k of pass@k, such as 1,4,16; by default 1, 2, 4, ... up to the fewest "
        "samples of a problem.",
    )
    level: float = setting(0.95, "Confidence level of intervals and tests, in (0, 1).")
    seed: int = setting(0, "Random seed of the bootstrap and of the texts that are drawn.")
    text_samples: int | None = setting(
        None,
        "Texts per problem that text diversity is measured on, at least 2. By default 16, or "
        "fewer if a problem has fewer samples.",
    )
    correct_samples: int | None = setting(
        None, "The same for measures on correct samples only, at least 2; 4 by default."
    )
    key: Annotated[list[str] | None, typer.Option(metavar="OURS=THEIRS")] = setting(
        None,
        "Column name in your files: completion=response reads completions from the column response. "
        "NAME:completion=response does so for the run NAME only. Repeatable.",
    )
    run_key: str | None = setting(
        None,
        "Column that says which run a row of a file belongs to, such as model. PATH then reads every run of "
        "the file, and NAME=PATH the run called NAME. none reads all rows as one run.",
    )
    task: str | None = setting(None, "Verify every completion again with this task's verifier.")
    task_option: TaskOptionsOption = None

    def settings(self) -> "AnalysisSettings":
        """Return the settings of an analysis.

        Raises:
            ConfigError: --k is not a list of whole numbers, or a value is out of range.
        """
        from polypath.report.settings import AnalysisSettings

        return AnalysisSettings(
            ks=None if self.k is None else numbers("--k", self.k),
            level=self.level,
            seed=self.seed,
            text_samples=self.text_samples,
            correct_samples=self.correct_samples,
        )

    def read(self, runs: Sequence[str], *, least: int = 1) -> "list[tuple[Samples, ...]]":
        """Read the runs named on the command line, each as its seeds.

        A run is a file or folder, NAME=PATH, or NAME=PATH,PATH,... for several seeds of one method.
        With a run key, a file holds one run for each value of its column; NAME chooses one.

        Raises:
            PolypathError: a run cannot be read, an option cannot be understood, or there are fewer
                runs than ``least``.
        """
        from polypath.rollouts.samples import load_runs
        from polypath.rollouts.sources import TOGETHER, label_of

        if len(runs) < least and self.run_key is None:
            raise ConfigError("Missing RUN: give a run to compare with BASE, or --run-key.")
        options = key_values(self.task_option or ())
        if options and self.task is None:
            raise ConfigError(
                f"--task-option {next(iter(options))} needs --task: whose option is it?"
            )
        verify_batch = None
        if self.task is not None:
            from polypath.tasks import get_task

            verify_batch = get_task(self.task, options).verify_batch
        named = [(name, paths, name or label_of(paths[0])) for name, paths in map(_parse, runs)]
        keys = _keys_of_runs(self.key or (), [label for *_, label in named])
        read: list[tuple[Path, tuple[Samples, ...]]] = []
        apart = False
        for name, paths, label in named:
            seeds: list[Samples] = []
            for path in paths:
                with progress(f"Reading {path}") as tell:
                    found = load_runs(
                        path,
                        self.run_key,
                        keys=keys[label],
                        verify_batch=verify_batch,
                        progress=tell,
                    )
                apart |= set(found) != {None}
                if name is None:
                    read += [(path, (samples,)) for samples in found.values()]
                elif None in found or name in found:
                    seeds.append(replace(found.get(name) or found[None], name=name))
                else:
                    known = ", ".join(map(str, found))
                    raise ConfigError(f"{path} has no {self.run_key} {name!r}; it has {known}.")
            read += [(paths[0], tuple(seeds))] if seeds else []
        if self.run_key not in (None, TOGETHER) and not apart:
            raise ConfigError(f"--run-key {self.run_key}: no file has a column of that name.")
        return _with_names_apart(read)


def names(text: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated option."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Return the whole numbers of a comma-separated option.

    Raises:
        ConfigError: a part is not a whole number.
    """
    try:
        return tuple(map(int, names(text)))
    except ValueError:
        raise ConfigError(
            f"{option} takes whole numbers separated by commas, got {text!r}."
        ) from None


def write_json(path: Path | None, record: object) -> None:
    """Write a record to the place that ``--json`` names, if it was given."""
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
    """Print texts as they are, one paragraph each."""
    for line in lines:
        console.print(Text(line, style))


def write_text(path: Path, text: str) -> None:
    """Write a file and create its folder; ``-`` is stdout."""
    from polypath.rollouts.files import write_file

    if path == STDOUT:
        sys.stdout.write(text)
        return
    write_file(path, text.encode(errors="backslashreplace"))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], object]]:
    """Show on a terminal's stderr how far something is, with the time left once that is known."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Terminal(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn())
    bar = Progress(
        *columns,
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(visible(what), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def named_path(argument: str) -> tuple[str | None, Path]:
    """Read PATH or NAME=PATH.

    Raises:
        ConfigError: the text is neither.
    """
    name, paths = _parse(argument)
    if len(paths) > 1:
        raise ConfigError(f"Expected PATH or NAME=PATH, got several paths: {argument!r}.")
    return name, paths[0]


def _parse(argument: str) -> tuple[str | None, list[Path]]:
    name, equals, rest = argument.partition("=")
    if not equals or Path(argument).exists():
        return None, [Path(argument)]
    if not name or not rest.strip(","):
        raise ConfigError(f"A run is PATH, NAME=PATH or NAME=PATH,PATH, got {argument!r}.")
    if Path(rest).exists():
        return name, [Path(rest)]
    return name, [Path(part) for part in rest.split(",") if part]


def _keys_of_runs(keys: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the key names of each run: those for all runs, and those for NAME in ``NAME:OURS=THEIRS``."""
    of_run: dict[str, list[str]] = {"": [], **{name: [] for name in names}}
    for text in keys:
        ours, equals, theirs = text.partition("=")
        name, _, ours = ours.rpartition(":")
        if name not in of_run:
            raise unknown_name("run in --key", name, names)
        of_run[name].append(f"{ours}{equals}{theirs}")
    shared = key_mapping(of_run[""])
    return {name: shared | key_mapping(of_run[name]) for name in names}


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
    """Put the folder before the names of runs whose names would be equal."""
    times = Counter(seeds[0].name for _, seeds in runs)
    result = []
    for path, seeds in runs:
        if times[seeds[0].name] > 1 and path.resolve().parent.name:
            name = f"{path.resolve().parent.name}/{seeds[0].name}"
            seeds = tuple(replace(seed, name=name) for seed in seeds)
        result.append(seeds)
    return result
