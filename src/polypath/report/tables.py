"""Analyses and comparisons as tables in the terminal, as JSON, and as CSV."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from polypath.report.model import (
    BY_LUCK,
    FELL,
    GROUPS,
    NOISE,
    ROSE,
    Comparison,
    Difference,
    Flow,
    Metric,
    RunAnalysis,
)

STYLE_OF_VERDICT = {ROSE: "green", FELL: "red", NOISE: "dim"}


def print_metrics(console: Console, runs: Sequence[RunAnalysis], group: str) -> None:
    """Print the metrics of one group, a row each, with a column for each run.

    Metrics that no run has a value for are not rows; the reasons follow the table.
    """
    labels = _in_order((m.key, m.label) for run in runs for m in run.metrics if m.group == group)
    shown = [key for key in labels if any(_known(run.metric(key)) for run in runs)]
    if shown:
        table = _table(group)
        table.add_column("")
        for run in runs:
            table.add_column(Text(run.name), justify="right")
        for key in shown:
            table.add_row(labels[key], *(_cell(run.metric(key)) for run in runs))
        console.print(table)
    notes = [
        (f"{run.name}: {note}" if len(runs) > 1 else note, m.label)
        for run in runs
        for m in run.metrics
        if m.group == group
        for note in m.note.split("; ")
        if note
    ]
    _print_notes(console, _grouped(notes))


def print_reading(console: Console, runs: Sequence[RunAnalysis], notes: Iterable[str] = ()) -> None:
    """Print what was read of each run, what was left out, and what limits the numbers."""
    for run in runs:
        console.print(Text(reading(run)))
        _print_notes(console, run.notes)
    _print_notes(console, notes)


def print_words(console: Console, words: Iterable[str]) -> None:
    """Print the summary in words, a paragraph each."""
    for line in words:
        console.print(Text(line))


def reading(run: RunAnalysis) -> str:
    """Say in one line what a run holds and what was left out of it.

    >>> reading(run)
    'base: 200 problems, 12,800 samples (12,796 judged); left out 3 rows: 2 bad JSON, 1 duplicate.'
    """
    seeds = f" in {run.num_seeds} seeds" if run.num_seeds > 1 else ""
    problems = len(run.samples.problem_ids)
    text = (
        f"{run.name}: {problems:,} problem{'s' if problems != 1 else ''}, "
        f"{run.num_samples:,} sample{'s' if run.num_samples != 1 else ''}{seeds}"
    )
    if run.num_judged < run.num_samples:
        text += f" ({run.num_judged:,} judged)"
    total = sum(run.left_out.values())
    if total:
        reasons = ", ".join(f"{count:,} {why}" for why, count in run.left_out.items() if count)
        text += f"; left out {total:,} row{'s' if total != 1 else ''}: {reasons}"
    return text + "."


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print a table of differences for each run, and what was kept, lost and found."""
    for run, flow in zip(comparison.runs, comparison.flows, strict=True):
        table = _table(f"{run.name} against {comparison.base.name}")
        for name in ("", "base", "run", "difference", "p", "could show", "problems", "verdict"):
            table.add_column(name, justify="left" if name in ("", "verdict") else "right")
        differences = comparison.differences_of(run.name)
        for group in GROUPS:
            rows = [d for d in differences if d.group == group and not math.isnan(d.estimate)]
            for d in rows:
                table.add_row(d.label, *_difference_cells(d), end_section=d is rows[-1])
        if table.row_count:
            console.print(table)
        _print_notes(console, _grouped(_notes_of_differences(differences)))
        for line in flow_lines(flow):
            console.print(Text(line))
    console.print(
        Text(
            "p: corrected for the several k of one measure, not for the number of measures. could "
            "show: true difference found 4 times of 5.",
            style="dim",
        )
    )


def flow_lines(flow: Flow) -> list[str]:
    """Say in a line each which problems and solutions were kept, lost and found."""
    counts = ", ".join(f"{count:,} {status}" for status, count in flow.problems.items())
    lines = [f"problems by any sample: {counts}"]
    if flow.expected_modes:
        modes = dict(flow.expected_modes)
        luck = modes.pop(BY_LUCK, math.nan)
        told = ", ".join(f"{count:,.1f} {status}" for status, count in modes.items())
        by_luck = "" if math.isnan(luck) else f" ({luck:,.1f} would be lost by luck alone)"
        lines.append(f"correct solutions in {flow.k} samples of each: {told}{by_luck}")
    lines += [f"{m.label}: {_cell(m)}" for m in (flow.keep, flow.explore) if _known(m)]
    if not math.isnan(flow.keep_by_luck) and _known(flow.keep):
        lines[-2 if _known(flow.explore) else -1] += (
            f"; the base against fresh samples of itself: {number(flow.keep_by_luck)}"
        )
    return lines


def _notes_of_differences(differences: Sequence[Difference]) -> Iterator[tuple[str, str]]:
    """Leave out what the column of problems says already."""
    for d in differences:
        for note in d.note.split("; "):
            if math.isnan(d.estimate) or not note.startswith("left out"):
                yield note, d.label


def _grouped(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Join the measures that have the same note."""
    labels: dict[str, list[str]] = {}
    for note, label in notes:
        if note and label not in labels.setdefault(note, []):
            labels[note].append(label)
    return [f"{note}: {', '.join(of)}" for note, of in labels.items()]


def analysis_record(run: RunAnalysis) -> dict[str, Any]:
    """Return a run as an object for JSON: every metric and curve, without the samples."""
    record = {f.name: plain(getattr(run, f.name)) for f in fields(run) if f.name != "samples"}
    return {"num_problems": len(run.samples.problem_ids), **record}


def comparison_record(comparison: Comparison, words: Sequence[str]) -> dict[str, Any]:
    """Return a comparison as an object for JSON, with its summary in words."""
    record: dict[str, Any] = {"summary": list(words)}
    for f in fields(comparison):
        value = getattr(comparison, f.name)
        if f.name == "base":
            record["base"] = analysis_record(value)
        elif f.name == "runs":
            record["runs"] = [analysis_record(run) for run in value]
        else:
            record[f.name] = plain(value)
    ids = comparison.base.samples.problem_ids
    for flow in record["flows"]:
        flow["status_N"] = dict(zip(ids, flow["status_N"], strict=True))
    return record


def metrics_csv(runs: Sequence[RunAnalysis]) -> str:
    """Return the metrics of all runs as CSV, a row for each metric of each run."""
    return _csv(Metric, [("run", run.name, metric) for run in runs for metric in run.metrics])


def differences_csv(comparison: Comparison) -> str:
    """Return the differences as CSV, a row for each metric of each run."""
    return _csv(Difference, [("", "", d) for d in comparison.differences])


def plain(value: Any) -> Any:
    """Turn a value into what JSON can hold; NaN and infinity, which it cannot, become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain({f.name: getattr(value, f.name) for f in fields(value)})
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def number(value: float, *, sign: bool = False) -> str:
    """Format with three decimals, fewer where the number is large.

    >>> number(0.03121), number(12.345), number(0.2, sign=True)
    ('0.031', '12.35', '+0.200')
    """
    decimals = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:{'+' if sign else ''}.{decimals}f}"


def _csv(kind: type, rows: Iterable[tuple[str, str, Any]]) -> str:
    out = io.StringIO()
    rows = list(rows)
    lead = [rows[0][0]] if rows and rows[0][0] else []
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*lead, *(f.name for f in fields(kind))])
    for _, name, row in rows:
        values = ["" if value is None else value for value in plain(list(asdict(row).values()))]
        writer.writerow([*([name] if lead else []), *values])
    return out.getvalue()


def _table(title: str) -> Table:
    return Table(
        title=Text(title), title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )


def _cell(metric: Metric | None) -> str:
    if metric is None or not _known(metric):
        return "–"
    return number(metric.estimate) + _interval(metric.low, metric.high)


def _interval(low: float, high: float, *, sign: bool = False) -> str:
    if math.isnan(low):  # one problem has a value, but no spread
        return ""
    return f" ({number(low, sign=sign)} to {number(high, sign=sign)})"


def _difference_cells(d: Difference) -> list[str | Text]:
    p = "<.001" if d.p_holm < 0.001 else f"{d.p_holm:.3f}".removeprefix("0")
    p = "–" if math.isnan(d.p_holm) else p
    return [
        number(d.base_value),
        number(d.run_value),
        number(d.estimate, sign=True) + _interval(d.low, d.high, sign=True),
        p,
        number(d.smallest_detectable) if d.smallest_detectable > 0 else "–",
        f"{d.num_problems:,}",
        Text(d.verdict, style=STYLE_OF_VERDICT[d.verdict]),
    ]


def _known(metric: Metric | None) -> bool:
    return metric is not None and not math.isnan(metric.estimate)


def _in_order(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the pairs as a dict; of equal keys the first stays."""
    result: dict[str, str] = {}
    for key, value in pairs:
        result.setdefault(key, value)
    return result


def _print_notes(console: Console, notes: Iterable[str]) -> None:
    for note in notes:
        console.print(Text(f"  note: {note}", style="dim"))
