"""The numbers behind the page's charts."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from polypath.report.model import STATUSES, Comparison, Curve, Metric, RunAnalysis
from polypath.report.sentences import shares, solutions

MAX_LOG_POINTS = 300
TRAINING_KEYS = {
    "diversity/accuracy": "accuracy of training samples",
    "reward": "reward",
    "entropy": "entropy (nats per token)",
    "diversity/distinct_correct": "distinct correct solutions in a group",
    "diversity/duplicate_rate": "duplicate rate in a group",
    "kl": "KL to the initial model",
    "completions/mean_length": "mean length (tokens)",
    "loss": "loss",
}


def chart_data(comparison: Comparison) -> dict[str, Any]:
    """Return the numbers behind every chart; NaN becomes null."""
    runs = comparison.everyone
    return {
        "pass": _points((i, run.pass_curve) for i, run in enumerate(runs)),
        "difference": _points(
            (i, flow.difference_curve) for i, flow in enumerate(comparison.flows, 1)
        ),
        "distinct": _points(
            (i, run.distinct_curve) for i, run in enumerate(runs) if run.distinct_curve
        ),
        "bars": _bars(runs),
        "fits": _fits(comparison),
        "flows": [
            {
                "run": i,
                "problems": {status: flow.problems.get(status, 0) for status in STATUSES},
                "keep": shares(flow),
                "modes": solutions(flow),
            }
            for i, flow in enumerate(comparison.flows, 1)
        ],
        "training": _training([run.samples.training_log for run in runs]),
    }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _points(curves: Iterable[tuple[int, Curve]]) -> list[dict[str, Any]]:
    return [
        {"run": run, "x": k, "e": _number(e), "lo": _number(low), "hi": _number(high)}
        for run, curve in curves
        for k, e, low, high in zip(curve.ks, curve.estimate, curve.low, curve.high, strict=True)
        if math.isfinite(e)
    ]


def _bars(runs: Sequence[RunAnalysis]) -> list[dict[str, Any]]:
    """Return a panel for each measure of diversity, over all and over correct samples together."""
    panels: dict[str, list[tuple[int, Metric]]] = {}
    for run, analysis in enumerate(runs):
        for metric in _diversities(analysis):
            stem = metric.key.removesuffix(" (all)").removesuffix(" (correct)")
            panels.setdefault(stem.partition("@")[0], []).append((run, metric))
    return [
        {
            "title": found[0][1].label,
            "direction": f"higher is {found[0][1].higher_is}",
            "rows": [
                {
                    "run": run,
                    "over": f"{m.over} samples" + (f", {m.k} of a problem" if m.k else ""),
                    "e": _number(m.estimate),
                    "lo": _number(m.low),
                    "hi": _number(m.high),
                }
                for run, m in found
            ],
        }
        for found in panels.values()
        if any(math.isfinite(m.estimate) for _, m in found)  # else the table says why
    ]


def _diversities(run: RunAnalysis) -> list[Metric]:
    """Return a run's measures of diversity; of one at several k, which rise, the last."""
    last = {re.sub(r"@\d+$", "", m.key): m for m in run.metrics if m.group != "correctness"}
    return list(last.values())


def _fits(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the figures of diversity against Potential@k."""
    shown = {metric.key for metric in _diversities(comparison.base)}
    data = []
    for fit in comparison.fits:
        if fit.key not in shown:
            continue
        potential = comparison.base.metric(fit.potential_key)
        ends = [min(fit.x), max(fit.x)] if len(set(fit.x)) > 1 else []  # without spread no line
        r_squared = f"R² = {fit.r_squared:.2f}" if math.isfinite(fit.r_squared) else "R² undefined"
        points = enumerate(zip(fit.x, fit.y, strict=True))
        data.append(
            {
                "title": fit.label,
                "y": potential.label if potential else fit.potential_key,
                "note": f"{r_squared} over {len(fit.x)} runs; with few runs R² is high by chance",
                "points": [{"run": run, "x": x, "y": y} for run, (x, y) in points],
                "ends": [[x, fit.intercept + fit.slope * x] for x in ends],
            }
        )
    return data


def _training(logs: Sequence[Sequence[Mapping[str, float]]]) -> list[dict[str, Any]]:
    panels = []
    logged = {key for log in logs for line in log for key in line}
    probes = {
        key: f"{key.removeprefix('probe/')} on the probe set"
        for key in sorted(logged)
        if key.startswith("probe/pass@")
    }
    for key, title in {**TRAINING_KEYS, **probes}.items():
        rows = []
        for run, log in enumerate(logs):
            lines = [
                (float(line.get("step", place)), float(line[key]))
                for place, line in enumerate(log)
                if isinstance(line.get(key), int | float)
            ]
            lines = lines[:: math.ceil(len(lines) / MAX_LOG_POINTS) or 1]
            rows += [
                {"run": run, "x": x, "e": _number(y)}
                for x, y in lines
                if math.isfinite(x) and math.isfinite(y)
            ]
        if rows:
            panels.append({"title": title, "rows": rows})
    return panels
