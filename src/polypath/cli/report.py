"""``polypath report``: one HTML file on what changed, with the solutions to look at."""

from pathlib import Path
from typing import Annotated

import typer

from polypath.cli.diversity import RUN_HELP
from polypath.cli.runs import (
    CorrectSamplesOption,
    KeyOption,
    KOption,
    LevelOption,
    SeedOption,
    TaskOption,
    TaskOptionsOption,
    TextSamplesOption,
    WorkersOption,
    console_beside,
    print_lines,
    print_reading,
    read_runs,
    settings_from,
    waiting,
    writing,
)


def report(
    base: Annotated[str, typer.Argument(metavar="BASE", help=f"The base run. {RUN_HELP}")],
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="What to compare with it.")],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    k: KOption = None,
    level: LevelOption = 0.95,
    seed: SeedOption = 0,
    text_samples: TextSamplesOption = None,
    correct_samples: CorrectSamplesOption = None,
    key: KeyOption = None,
    task: TaskOption = None,
    task_option: TaskOptionsOption = None,
    workers: WorkersOption = 1,
) -> None:
    """Write a page that compares runs with a base run: in words, charts, and an explorer.

    The page is one file that works without a network.
    """
    from polypath.report.analysis import compare
    from polypath.report.page import write_page
    from polypath.report.sentences import summary

    settings = settings_from(k, level, seed, text_samples, correct_samples)
    console = console_beside()
    first, *others = read_runs([base, *runs], key, task, task_option)
    with waiting("Comparing"):
        comparison = compare(first, others, settings=settings, workers=workers)
    print_reading(console, comparison.everyone, comparison.notes)
    print_lines(console, summary(comparison))
    with writing(out):
        write_page(comparison, out)
    console.print(f"Written: {out}", markup=False)
