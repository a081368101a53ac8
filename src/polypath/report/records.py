"""Analyses and comparisons as JSON and CSV."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polypath.report.model import Comparison, Difference, Metric, RunAnalysis

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def analysis_record(run: RunAnalysis) -> dict[str, Any]:
    """Return a run as an object for JSON: every metric and curve, without the samples."""
    known = {f.name: getattr(run, f.name) for f in fields(run) if f.name != "samples"}
    return {"num_problems": run.samples.num_problems, **plain(known)}


def comparison_record(comparison: Comparison, summary: Sequence[str]) -> dict[str, Any]:
    """Return a comparison as an object for JSON, with its summary in sentences.

    Args:
        comparison: comparison to turn into an object; problem ids become the keys of ``status_N``.
        summary: its sentences.
    """
    ids = comparison.base.samples.problem_ids
    record = plain(comparison)
    for flow in record["flows"]:
        flow["status_N"] = dict(zip(ids, flow["status_N"], strict=True))
    return {"summary": list(summary), **record}


def metrics_csv(runs: Sequence[RunAnalysis]) -> str:
    """Return the metrics of all runs as CSV, one row for each metric of each run."""
    rows = [{"run": run.name, **asdict(metric)} for run in runs for metric in run.metrics]
    return _csv(["run", *(f.name for f in fields(Metric))], rows)


def differences_csv(comparison: Comparison) -> str:
    """Return the differences as CSV, one row for each metric of each run."""
    return _csv([f.name for f in fields(Difference)], map(asdict, comparison.differences))


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return one row for each object, with every number in full; undefined values are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """Return the content of a cell. A text that a spreadsheet may run as a formula gets a quote before it."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return plain(value)


def plain(value: Any) -> Any:
    """Turn a value into one that JSON can hold; NaN and infinity become null.

    Args:
        value: a dataclass, mapping, array, list, path, text or number, nested to any depth.

    Returns:
        Dictionaries, lists, texts, numbers, booleans and ``None``.
    """
    if isinstance(value, RunAnalysis):
        return analysis_record(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain({f.name: getattr(value, f.name) for f in fields(value)})
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
