"""``polypath diversity`` and ``polypath compare``: measure samples, and what changed between runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from polypath.cli.command import command
from polypath.cli.runs import (
    JsonOption,
    MeasuringOption,
    RunOptions,
    console_beside,
    print_lines,
    print_reading,
    progress,
    write_json,
    write_text,
)
from polypath.settings import setting

RUN_HELP = (
    "Run folder, sample store, JSONL or Parquet file. NAME=PATH gives the run a name; "
    "NAME=PATH,PATH takes several seeds as one run."
)
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help=RUN_HELP)]
BaseRun = Annotated[str, typer.Argument(metavar="BASE", help=f"The base run. {RUN_HELP}")]
OtherRuns = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN...",
        help="Runs to compare with it, written in the same way. May be left out with --run-key.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where the results are written."""

    json_file: JsonOption = None
    csv_file: Annotated[Path | None, typer.Option("--csv")] = setting(
        None, "Write the numbers to this CSV file; - prints them."
    )
    figure: Path | None = setting(None, "Draw the curves to this file: .png, .pdf or .svg.")

    def console(self) -> Console:
        """Return where tables go. Raises ConfigError before any work if the figure cannot be drawn."""
        from polypath.report.figures import check_figure

        if self.figure is not None:
            check_figure(self.figure)
        return console_beside(self.json_file, self.csv_file)

    def write(
        self,
        console: Console,
        record: object,
        *,
        csv: Callable[[], str],
        draw: Callable[[Path], object],
    ) -> None:
        """Write the requested files."""
        write_json(self.json_file, record)
        if self.csv_file is not None:
            write_text(self.csv_file, csv())
        if self.figure is not None:
            draw(self.figure)
            console.out(f"Drawn: {self.figure}")


@command
def diversity(
    runs: Runs, *, options: RunOptions, output: OutputOptions, workers: MeasuringOption = None
) -> None:
    """Measure the correctness and diversity of samples.

    Every number has a confidence interval, by bootstrap over problems. Runs can be folders of polypath
    sample, or files of samples from other tools.
    """
    measure(runs, options, output, workers)


def measure(
    runs: list[str], options: RunOptions, output: OutputOptions, workers: int | None = None
) -> None:
    """Measure runs, print the tables, and write the requested files."""
    from polypath.report import figures, records
    from polypath.report.analysis import analyse, combine
    from polypath.report.model import GROUPS, RunAnalysis
    from polypath.report.settings import choose_sizes
    from polypath.report.table import metrics_table, print_tables

    settings, console = options.settings(), output.console()
    read = options.read(runs)
    sizes, notes = choose_sizes([samples for run in read for samples in run], settings)
    start = [analyse(run, settings=settings, groups=(), sizes=sizes) for run in read]
    print_reading(console, start, notes)
    parts: list[list[RunAnalysis]] = []
    for group in GROUPS:  # tables appear one by one, because measures of texts take longest
        of_group = []
        for run, name in zip(read, (one.name for one in start), strict=True):
            with progress(f"Measuring {name}: {group}") as tell:
                of_group.append(
                    analyse(
                        run,
                        settings=settings,
                        groups=[group],
                        sizes=sizes,
                        workers=workers,
                        progress=tell,
                    )
                )
        parts.append(of_group)
        print_tables(console, [metrics_table(parts[-1], group)])
    analyses = [combine(of_run) for of_run in zip(*parts, strict=True)]
    record = {"notes": list(notes), "runs": [records.analysis_record(run) for run in analyses]}
    output.write(
        console,
        record,
        csv=lambda: records.metrics_csv(analyses),
        draw=lambda path: figures.draw_runs(analyses, path),
    )


@command
def compare(
    base: BaseRun,
    runs: OtherRuns = None,
    *,
    options: RunOptions,
    output: OutputOptions,
    workers: MeasuringOption = None,
) -> None:
    """Show what runs gained and lost against a base run.

    Differences are paired by problem, over the problems that all runs have, and have confidence
    intervals. With three or more runs, the base included, --json and --figure also have a line fit of
    Potential@k on each measure of diversity.
    """
    from polypath.report import figures, records
    from polypath.report.analysis import compare as run_comparison
    from polypath.report.sentences import closing, headlines
    from polypath.report.table import differences_table, print_tables

    settings, console = options.settings(), output.console()
    first, *others = options.read([base, *(runs or ())], least=2)
    with progress("Comparing") as tell:
        comparison = run_comparison(
            first, others, settings=settings, workers=workers, progress=tell
        )
    first_words, last_words = headlines(comparison), closing(comparison)
    print_lines(console, first_words)
    print_reading(console, comparison.everyone, comparison.notes)
    print_tables(console, [differences_table(comparison, run) for run in comparison.runs])
    print_lines(console, last_words)
    record = records.comparison_record(comparison, [*first_words, *last_words])
    output.write(
        console,
        record,
        csv=lambda: records.differences_csv(comparison),
        draw=lambda path: figures.draw_comparison(comparison, path),
    )
