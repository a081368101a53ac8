"""Lines through one point per run: each diversity against Potential@k."""

import math
from collections.abc import Sequence

import numpy as np

from polypath.report.model import Fit, FloatArray, Metric, RunAnalysis

FEWEST_RUNS = 3


def fit_lines(runs: Sequence[RunAnalysis]) -> tuple[Fit, ...]:
    """Fit Potential@k on every diversity that all runs have.

    Potential@k is the paper's where all runs have greedy samples, else that of sampling.

    Args:
        runs: the base first.

    Returns:
        A line for each diversity; none with fewer than three runs.
    """
    usable = [m for m in runs[0].metrics if np.isfinite(_of_all(runs, m.key)).all()]
    potentials = [m for m in usable if m.key.startswith("potential@")]
    if len(runs) < FEWEST_RUNS or not potentials:
        return ()
    potential = potentials[-1]  # the greedy form comes last
    return tuple(_fit(runs, m, potential) for m in usable if m.group != "correctness")


def _of_all(runs: Sequence[RunAnalysis], key: str) -> FloatArray:
    """Return the values of all runs; NaN for one without."""
    found = [run.metric(key) for run in runs]
    return np.array([math.nan if metric is None else metric.estimate for metric in found])


def _fit(runs: Sequence[RunAnalysis], diversity: Metric, potential: Metric) -> Fit:
    x, y = _of_all(runs, diversity.key), _of_all(runs, potential.key)
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx)) if dx @ dx else math.nan
    spread = (dx @ dx) * (dy @ dy)
    return Fit(
        key=diversity.key,
        label=diversity.label,
        potential_key=potential.key,
        names=tuple(run.name for run in runs),
        x=tuple(x.tolist()),
        y=tuple(y.tolist()),
        slope=slope,
        intercept=float(y.mean() - slope * x.mean()),
        r_squared=float((dx @ dy) ** 2 / spread) if spread else math.nan,
    )
