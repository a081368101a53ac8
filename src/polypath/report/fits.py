"""Lines through one point per run: each diversity against Potential@k."""

import math
from collections.abc import Sequence

import numpy as np

from polypath.report.model import Fit, Metric, RunAnalysis

FEWEST_RUNS = 3


def fit_lines(runs: Sequence[RunAnalysis]) -> tuple[Fit, ...]:
    """Fit Potential@k on every diversity that all runs have.

    Potential@k is the paper's where all runs have greedy samples, else that of sampling.

    Args:
        runs: the base first.

    Returns:
        A line for each diversity; none with fewer than three runs.
    """
    potentials = [m for m in runs[0].metrics if m.key.startswith("potential@")]
    usable = [m for m in potentials if _of_all(runs, m.key)]
    if len(runs) < FEWEST_RUNS or not usable:
        return ()
    potential = usable[-1]  # the greedy form comes last
    diversities = [m for m in runs[0].metrics if m.group != "correctness" and _of_all(runs, m.key)]
    return tuple(_fit(runs, diversity, potential) for diversity in diversities)


def _of_all(runs: Sequence[RunAnalysis], key: str) -> list[float]:
    """Return the values of all runs, or nothing when one of them has none."""
    found = [run.metric(key) for run in runs]
    values = [metric.estimate for metric in found if metric is not None]
    return values if len(values) == len(runs) and all(map(math.isfinite, values)) else []


def _fit(runs: Sequence[RunAnalysis], diversity: Metric, potential: Metric) -> Fit:
    x, y = np.array(_of_all(runs, diversity.key)), np.array(_of_all(runs, potential.key))
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx)) if (dx @ dx) > 0 else math.nan
    r_squared = (
        float((dx @ dy) ** 2 / ((dx @ dx) * (dy @ dy))) if (dx @ dx) * (dy @ dy) else math.nan
    )
    return Fit(
        key=diversity.key,
        label=diversity.label,
        potential_key=potential.key,
        names=tuple(run.name for run in runs),
        x=tuple(x.tolist()),
        y=tuple(y.tolist()),
        slope=slope,
        intercept=float(y.mean() - slope * x.mean()),
        r_squared=r_squared,
    )
