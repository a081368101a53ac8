"""The tables of runs and comparisons; terminal and page show the same ones."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from polypath.report.model import GROUPS, Comparison, Difference, Metric, RunAnalysis
from polypath.report.numbers import MISSING, ends, number, p_value
from polypath.report.table import Cell, Cells, ReportTable

P_NOTE = (
    "p: corrected for the several k of one measure, not for the number of measures. detectable: "
    "minimum detectable effect, the smallest true difference detected with 80 % power."
)


def metrics_table(runs: Sequence[RunAnalysis], group: str) -> ReportTable:
    """Return the metrics of one group, a row each, with a column for each run.

    Metrics that no run has a value for are not rows; the notes say why.
    """
    of_group = [[m for m in run.metrics if m.group == group] for run in runs]
    first: dict[str, Metric] = {}
    for m in chain(*of_group):
        first.setdefault(m.key, m)
    shown = [m for m in first.values() if any(_known(run.metric(m.key)) for run in runs)]
    notes = [
        (f"{run.name}: {note}" if len(runs) > 1 else note, m.label)
        for run, metrics in zip(runs, of_group, strict=True)
        for m in metrics
        for note in filter(None, m.note.split("; "))
    ]
    return ReportTable(
        title=group,
        columns=("measure", *(run.name for run in runs)),
        rows=tuple((m.label, *(_cell(run.metric(m.key)) for run in runs)) for m in shown),
        notes=(*_directions(shown), *_grouped(notes)),
    )


def differences_table(comparison: Comparison, run: RunAnalysis) -> ReportTable:
    """Return the differences of one run from the base, a row for each measure with a value."""
    differences = comparison.differences_of(run.name)
    rows: list[Cells] = []
    sections = []
    for group in GROUPS:
        known = [d for d in differences if d.group == group and math.isfinite(d.estimate)]
        rows += [_difference_row(d) for d in known]
        sections.append(len(rows) - 1)
    return ReportTable(
        title=f"{run.name} against {comparison.base.name}",
        columns=("measure", "base", "run", "difference", "p", "detectable", "problems", "verdict"),
        rows=tuple(rows),
        notes=(*_grouped(_notes_of_differences(differences)), P_NOTE),
        words=("verdict",),
        sections=tuple(sections),
    )


def _difference_row(d: Difference) -> Cells:
    return (
        d.label,
        number(d.base_value),
        number(d.run_value),
        Cell(number(d.estimate, sign=True), detail=ends(d.low, d.high, sign=True)),
        p_value(d.p_holm),
        number(d.smallest_detectable) if d.smallest_detectable > 0 else MISSING,
        f"{d.num_problems:,}",
        Cell(d.verdict, verdict=d.verdict),
    )


def _notes_of_differences(differences: Sequence[Difference]) -> Iterator[tuple[str, str]]:
    """Leave out what the column of problems says already."""
    for d in differences:
        for note in d.note.split("; "):
            if math.isnan(d.estimate) or not note.startswith("left out"):
                yield note, d.label


def _directions(metrics: Sequence[Metric]) -> list[str]:
    """Say in which direction the measures point: once, and for which of them it is another."""
    labels: dict[str, list[str]] = {}
    for m in metrics:
        labels.setdefault(m.higher_is, []).append(m.label)
    most = max(labels, key=lambda direction: len(labels[direction]), default="")
    others = [f"{which}: {', '.join(of)}" for which, of in labels.items() if which != most]
    return [f"Higher is {'; '.join([most, *others])}."] if most else []


def _grouped(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Join the measures that have the same note."""
    labels: dict[str, list[str]] = {}
    for note, label in notes:
        if note and label not in labels.setdefault(note, []):
            labels[note].append(label)
    return [f"{note}: {', '.join(of)}" for note, of in labels.items()]


def _cell(metric: Metric | None) -> Cell:
    if metric is None or not _known(metric):
        return Cell(MISSING)
    return Cell(number(metric.estimate), detail=ends(metric.low, metric.high))


def _known(metric: Metric | None) -> bool:
    return metric is not None and math.isfinite(metric.estimate)
