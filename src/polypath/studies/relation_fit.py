r"""How closely two metrics go together over models, with intervals for related models.

.. math:: R^2 = \frac{S_{xy}^2}{S_{xx} S_{yy}}

This is R² of the least-squares line of y on x (for one x, the square of Pearson's correlation). Spearman's
:math:`\rho` is the same correlation between the ranks, where ties have their mean rank.

Checkpoints of one training run are not independent of each other, so the bootstrap draws whole runs. Its
intervals are expanded percentiles, as in ``metrics.bootstrap``, with runs in place of problems. That of R² is
made from the signed correlation's, because resamples of R² never fall below 0 and would exclude it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.metrics.bootstrap import SAME, expanded_tail, spread

FloatArray = npt.NDArray[np.float64]

FEWEST_MODELS = 3  # a line always fits through two points
TRUSTED_RUNS = (
    5  # from here on, simulated intervals contain the truth often enough; see docs/studies
)
RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True)
class RelationFit:
    """The line through some models; NaN where it is undefined.

    Attributes:
        models: number of points.
        runs: clusters that the points belong to.
        slope: slope of the least-squares line, units of y per unit of x.
        intercept: y at x = 0.
        r_squared: share of the variance of y that the line explains, in [0, 1].
        r_squared_low: lower end of its interval; NaN with one run.
        r_squared_high: upper end.
        rho: Spearman's rank correlation, in [-1, 1].
        rho_low: lower end of its interval; NaN with one run.
        rho_high: upper end.
        note: why there are no numbers; else empty.
    """

    models: int
    runs: int
    slope: float = math.nan
    intercept: float = math.nan
    r_squared: float = math.nan
    r_squared_low: float = math.nan
    r_squared_high: float = math.nan
    rho: float = math.nan
    rho_low: float = math.nan
    rho_high: float = math.nan
    note: str = ""


def fit_relation(
    x_M: FloatArray,
    y_M: FloatArray,
    runs_M: Sequence[str],
    *,
    level: float = 0.95,
    num_resamples: int = RESAMPLES,
    seed: int = 0,
) -> RelationFit:
    """Fit a line through M models and measure how well it fits.

    Args:
        x_M: a metric of each model, finite.
        y_M: another.
        runs_M: name of the run that each model comes from; runs are resampled as a whole.
        level: level of the intervals, in (0, 1).
        num_resamples: number of resamples of the bootstrap.
        seed: seed of the resampling.

    Returns:
        The line and the rank correlation, with intervals if there are two or more runs.
    """
    names, run_M = np.unique(np.asarray(runs_M), return_inverse=True)
    note = ""
    if len(x_M) < FEWEST_MODELS:
        note = f"fewer than {FEWEST_MODELS} models"
    elif spread(x_M) == 0 or spread(y_M) == 0:
        note = f"all models have the same {'x' if spread(x_M) == 0 else 'y'}"
    if note:
        return RelationFit(models=len(x_M), runs=len(names), note=note)
    from scipy import stats  # slow to import

    line = stats.linregress(x_M, y_M)
    rs_Z, rhos_Z = _resampled(x_M, y_M, run_M, num_resamples, seed)
    low, high = _ends(rs_Z, level, len(names))
    rho_low, rho_high = _ends(rhos_Z, level, len(names))
    return RelationFit(
        models=len(x_M),
        runs=len(names),
        slope=float(line.slope),
        intercept=float(line.intercept),
        r_squared=float(line.rvalue) ** 2,
        # If the sign is not known, the interval of the square contains 0.
        r_squared_low=0.0 if low <= 0 <= high else min(low**2, high**2),
        r_squared_high=max(low**2, high**2),
        rho=float(stats.spearmanr(x_M, y_M).statistic),
        rho_low=rho_low,
        rho_high=rho_high,
    )


def _resampled(
    x_M: FloatArray, y_M: FloatArray, run_M: npt.NDArray[np.int64], num_resamples: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Return r and rho of resamples of whole runs; NaN where all x or all y of one are equal."""
    count = int(run_M.max()) + 1
    if count < 2:
        return np.empty(0), np.empty(0)
    rng = np.random.default_rng(seed)
    times_Z_C = rng.multinomial(count, np.full(count, 1 / count), size=num_resamples)
    times_Z_M: FloatArray = times_Z_C[:, run_M].astype(np.float64)
    # Rank in a resample: the points below, and half of those with the same value.
    ranks = [times_Z_M @ ((v < v[:, None]) + 0.5 * (v == v[:, None])).T for v in (x_M, y_M)]
    return (
        _correlation(x_M[None], y_M[None], times_Z_M),
        _correlation(ranks[0], ranks[1], times_Z_M),
    )


def _correlation(x_Z_M: FloatArray, y_Z_M: FloatArray, times_Z_M: FloatArray) -> FloatArray:
    """Return Pearson's correlation in each resample, with each point counted as often as it was drawn."""
    total_Z_1 = times_Z_M.sum(axis=1, keepdims=True)
    dx, dy = (v - (times_Z_M * v).sum(axis=1, keepdims=True) / total_Z_1 for v in (x_Z_M, y_Z_M))
    xx_Z, yy_Z, xy_Z = ((times_Z_M * a * b).sum(axis=1) for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    floor = SAME * (x_Z_M**2).mean() * (y_Z_M**2).mean() * total_Z_1[:, 0] ** 2
    known_Z = xx_Z * yy_Z > floor
    return np.where(known_Z, xy_Z / np.sqrt(np.where(known_Z, xx_Z * yy_Z, 1.0)), np.nan)


def _ends(values_Z: FloatArray, level: float, runs: int) -> tuple[float, float]:
    """Return the expanded percentile interval (Hesterberg 2015), for this number of independent parts."""
    known = values_Z[~np.isnan(values_Z)]
    if not len(known):
        return math.nan, math.nan
    tail = expanded_tail(runs, level)
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
