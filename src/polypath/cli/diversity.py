"""``polypath diversity`` and ``polypath compare``: what samples show, and what changed."""

import json
from typing import Annotated

import typer

from polypath.cli.runs import (
    CorrectSamplesOption,
    CsvOption,
    FigureOption,
    JsonOption,
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
    write_text,
    writing,
)

RUN_HELP = (
    "Run folder, sample store, JSONL or Parquet; NAME=PATH names it; NAME=PATH,PATH pools seeds."
)


def diversity(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help=RUN_HELP)],
    k: KOption = None,
    level: LevelOption = 0.95,
    seed: SeedOption = 0,
    text_samples: TextSamplesOption = None,
    correct_samples: CorrectSamplesOption = None,
    key: KeyOption = None,
    task: TaskOption = None,
    task_option: TaskOptionsOption = None,
    json_file: JsonOption = None,
    csv_file: CsvOption = None,
    figure: FigureOption = None,
) -> None:
    """Measure the correctness and diversity of samples, each number with its interval."""
    from polypath.report import figures, records
    from polypath.report.analysis import analyse, combine
    from polypath.report.model import GROUPS, RunAnalysis
    from polypath.report.settings import choose_sizes
    from polypath.report.table import metrics_table, print_tables

    if figure is not None:
        figures.check_figure(figure)
    settings = settings_from(k, level, seed, text_samples, correct_samples)
    console = console_beside(json_file, csv_file)
    read = read_runs(runs, key, task, task_option)
    sizes, notes = choose_sizes([samples for run in read for samples in run], settings)
    start = [analyse(run, settings=settings, groups=(), sizes=sizes) for run in read]
    print_reading(console, start, notes)
    parts: list[list[RunAnalysis]] = []
    for group in GROUPS:  # tables appear one after the other: measures of texts take longest
        parts.append([analyse(run, settings=settings, groups=[group], sizes=sizes) for run in read])
        print_tables(console, [metrics_table(parts[-1], group)])
    analyses = [combine(of_run) for of_run in zip(*parts, strict=True)]
    if json_file is not None:
        record = {"notes": list(notes), "runs": [records.analysis_record(run) for run in analyses]}
        write_text(json_file, json.dumps(record, indent=2) + "\n")
    if csv_file is not None:
        write_text(csv_file, records.metrics_csv(analyses))
    if figure is not None:
        with writing(figure):
            figures.draw_runs(analyses, figure)
        console.print(f"Drawn: {figure}", markup=False)


def compare(
    base: Annotated[str, typer.Argument(metavar="BASE", help=f"The base run. {RUN_HELP}")],
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="What to compare with it.")],
    k: KOption = None,
    level: LevelOption = 0.95,
    seed: SeedOption = 0,
    text_samples: TextSamplesOption = None,
    correct_samples: CorrectSamplesOption = None,
    key: KeyOption = None,
    task: TaskOption = None,
    task_option: TaskOptionsOption = None,
    workers: WorkersOption = 1,
    json_file: JsonOption = None,
    csv_file: CsvOption = None,
    figure: FigureOption = None,
) -> None:
    """Say what runs gained and lost against a base run, paired by problem.

    With three or more runs, also fits each diversity against Potential@k.
    """
    from polypath.report import figures, records
    from polypath.report.analysis import compare as run_comparison
    from polypath.report.sentences import summary
    from polypath.report.table import differences_table, print_tables

    if figure is not None:
        figures.check_figure(figure)
    settings = settings_from(k, level, seed, text_samples, correct_samples)
    console = console_beside(json_file, csv_file)
    first, *others = read_runs([base, *runs], key, task, task_option)
    with waiting("Comparing"):
        comparison = run_comparison(first, others, settings=settings, workers=workers)
    told = summary(comparison)
    print_reading(console, comparison.everyone, comparison.notes)
    print_tables(console, [differences_table(comparison, run) for run in comparison.runs])
    print_lines(console, told)
    if json_file is not None:
        record = records.comparison_record(comparison, told)
        write_text(json_file, json.dumps(record, indent=2) + "\n")
    if csv_file is not None:
        write_text(csv_file, records.differences_csv(comparison))
    if figure is not None:
        with writing(figure):
            figures.draw_comparison(comparison, figure)
        console.print(f"Drawn: {figure}", markup=False)
