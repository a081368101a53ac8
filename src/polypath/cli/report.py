"""``polypath report``: one HTML file on what changed, with the solutions to explore."""

from pathlib import Path
from typing import Annotated

import typer

from polypath.cli.command import command
from polypath.cli.diversity import BaseRun, OtherRuns
from polypath.cli.runs import (
    MeasuringOption,
    RunOptions,
    console_beside,
    print_lines,
    print_reading,
    progress,
)


@command
def report(
    base: BaseRun,
    runs: OtherRuns = None,
    *,
    options: RunOptions,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    workers: MeasuringOption = None,
) -> None:
    """Write an HTML page that compares runs with a base run.

    The page has a summary in words, tables, charts, and an explorer of problems and completions. It is
    one file and works without a network.
    """
    from polypath.report.analysis import compare
    from polypath.report.page import write_page
    from polypath.report.sentences import closing, headlines

    settings = options.settings()
    console = console_beside()
    first, *others = options.read([base, *(runs or ())], least=2)
    with progress("Comparing") as tell:
        comparison = compare(first, others, settings=settings, workers=workers, progress=tell)
    print_lines(console, headlines(comparison))
    print_reading(console, comparison.everyone, comparison.notes)
    print_lines(console, closing(comparison))
    with progress("Writing the page"):
        write_page(comparison, out)
    console.out(f"Written: {out}")
