"""Intervals and paired tests by resampling *problems*.

Problems are what a benchmark is a sample of. Samples of one problem are correlated, and are never
resampled: their noise is already in the per-problem values.

All intervals are **percentile** intervals: they stay within the range of the values, need no special
case for ratios or for values that are all equal, and match the paired test (p is below 1 - level when
the interval leaves out 0, but for ties). BCa, which corrects skew, was tried and covers a little more.

Measured share of 2,000 simulated data sets whose 95 % interval (2,000 resamples) holds the true
pass@k, with p ~ Beta(a, b) for each problem and 16 samples of it:

    problems   k   a, b        true pass@k   percentile   BCa
          30   1   0.3, 0.6       0.333         0.944     0.958
          30   8   0.3, 0.6       0.619         0.940     0.956
         200   1   0.3, 0.6       0.333         0.948     0.954
         200   8   0.3, 0.6       0.619         0.944     0.947
          30   1   0.1, 2.0       0.048         0.855     0.891
          30   8   2.0, 0.3       0.995         0.392     0.493

So do not trust any bootstrap interval from a few dozen problems when nearly all have the same value:
if all are solved, its width is 0. The paired test at 0.05 rejected two equal models in 7.3 % of 2,000
data sets of 30 problems, and in 5.5 % of those of 200 problems (Beta(0.3, 0.6), pass@1).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics.pass_at_k import FloatArray, IntArray

_CHUNK = 2_000_000  # numbers of problems drawn at once: 16 MB


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its interval. Each array has the shape of the values without the first axis.

    A plain list of N values gives 0-d arrays, which convert with ``float()``.

    Attributes:
        estimate: from all problems, not the mean of the resamples; NaN if no problem has a value.
        low: lower end; NaN with the estimate.
        high: upper end.
        num_problems: problems that have a value (not NaN): what the estimate rests on.
        level: confidence level.
    """

    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    num_problems: IntArray
    level: float


@dataclass(frozen=True, kw_only=True)
class PairedDifference(Interval):
    """Mean of a - b over the same problems, with its interval.

    Attributes:
        p_value: two-sided, for "no difference"; at least 2 / (num_resamples + 1).
    """

    p_value: FloatArray


def bootstrap_mean(
    values_N: npt.ArrayLike, *, level: float = 0.95, num_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Mean over problems with a percentile bootstrap interval.

    Args:
        values_N: ``(N, ...)``, one row per problem, the same resamples for all trailing entries.
            NaN means "no value": each resample averages the problems it drew that have one.
        level: confidence level in (0, 1).
        num_resamples: at least 100.
        seed: of this call's own generator; the global one is not touched.

    Raises:
        ConfigError: level or num_resamples is out of range.
        ShapeError: no problems.
        DataError: a value is infinite.
    """
    values = _array("values_N", values_N)
    # The mean of the known values is a ratio: their sum by their number.
    return bootstrap_ratio(
        values, np.ones_like(values), level=level, num_resamples=num_resamples, seed=seed
    )


def bootstrap_ratio(
    numerator_N: npt.ArrayLike,
    denominator_N: npt.ArrayLike,
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Sum of numerators by sum of denominators over problems (Potential@k, Keep, Explore).

    Both sums are taken over the problems of each resample. Problems with a NaN on either side are
    left out. A resample whose denominators sum to 0 has no ratio and is left out, too; the estimate
    is NaN if that is so for all problems together.

    The settings and errors are those of ``bootstrap_mean``; the two arrays have one shape.
    """
    numerator, denominator = _pair(numerator_N, denominator_N, "numerator_N", "denominator_N")
    known = ~(np.isnan(numerator) | np.isnan(denominator))
    estimate, ratios_R_K = _resample(numerator, denominator, known, level, num_resamples, seed)
    low, high = _percentiles(ratios_R_K, level)
    shape = numerator.shape[1:]
    return Interval(
        estimate=estimate.reshape(shape),
        low=np.where(np.isnan(estimate), np.nan, low).reshape(shape),
        high=np.where(np.isnan(estimate), np.nan, high).reshape(shape),
        num_problems=np.asarray(known.sum(axis=0)),
        level=level,
    )


def paired_difference(
    a_N: npt.ArrayLike,
    b_N: npt.ArrayLike,
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    r"""Mean of a - b over problems, resampling each problem with both its values.

    The difficulty of a problem is in both and cancels, so this resolves far smaller differences
    than two separate intervals.

    The p-value is :math:`2 \min(\#\{d^* \le 0\}, \#\{d^* \ge 0\})` over the resampled
    differences :math:`d^*`, each count plus 1, by the number of resamples plus 1, and at most 1.

    Args:
        a_N: ``(N, ...)``, such as the trained model's pass@k.
        b_N: the same problems in the same order, such as the base model's.
        level: as in ``bootstrap_mean``.
        num_resamples: as in ``bootstrap_mean``.
        seed: as in ``bootstrap_mean``.

    Returns:
        Positive = a is larger. Problems with a NaN on either side are left out of both.

    Raises:
        ConfigError, ShapeError, DataError: as ``bootstrap_mean``, or the shapes differ.
    """
    a, b = _pair(a_N, b_N, "a_N", "b_N")
    d = a - b
    known = ~np.isnan(d)
    estimate, means_R_K = _resample(d, np.ones_like(d), known, level, num_resamples, seed)
    low, high = _percentiles(means_R_K, level)
    # Sums that are 0 on paper may be off by rounding, and must count on both sides.
    noise_K = 1e-12 * np.where(known, np.abs(d), 0.0).reshape(len(d), -1).max(axis=0)
    below_K = (means_R_K <= noise_K).sum(axis=0)
    above_K = (means_R_K >= -noise_K).sum(axis=0)
    drawn_K = (~np.isnan(means_R_K)).sum(axis=0)
    p_K = np.minimum(1.0, 2 * (np.minimum(below_K, above_K) + 1) / (drawn_K + 1))
    shape = d.shape[1:]
    return PairedDifference(
        estimate=estimate.reshape(shape),
        low=low.reshape(shape),
        high=high.reshape(shape),
        num_problems=np.asarray(known.sum(axis=0)),
        level=level,
        p_value=np.where(np.isnan(estimate), np.nan, p_K).reshape(shape),
    )


def _resample(
    numerator: FloatArray,
    denominator: FloatArray,
    known: npt.NDArray[np.bool_],
    level: float,
    num_resamples: int,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """Return the ratio of sums over all problems ``(K,)`` and over each resample ``(R, K)``."""
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level}. Use 0.95 for 95 %.")
    if num_resamples < 100:
        raise ConfigError(f"num_resamples must be at least 100, got {num_resamples}.")
    n = len(numerator)
    top_N_K = np.where(known, numerator, 0.0).reshape(n, -1)
    bottom_N_K = np.where(known, denominator, 0.0).reshape(n, -1)
    rng = np.random.default_rng(seed)
    ratios: list[FloatArray] = []
    step = max(1, _CHUNK // n)
    for start in range(0, num_resamples, step):
        rows = min(step, num_resamples - start)
        drawn_R_N = rng.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
        # How often each problem was drawn; two matrix products then do all statistics at once.
        times_R_N = np.bincount(drawn_R_N.ravel(), minlength=rows * n).reshape(rows, n)
        weights_R_N = times_R_N.astype(np.float64)
        ratios.append(_divide(weights_R_N @ top_N_K, weights_R_N @ bottom_N_K))
    return _divide(top_N_K.sum(axis=0), bottom_N_K.sum(axis=0)), np.concatenate(ratios)


def _divide(top: FloatArray, bottom: FloatArray) -> FloatArray:
    result: FloatArray = np.where(bottom != 0, top / np.where(bottom != 0, bottom, 1.0), np.nan)
    return result


def _percentiles(values_R_K: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Return both ends over the resamples that have a value; NaN where none has."""
    low_K, high_K = np.full((2, values_R_K.shape[1]), np.nan)
    some_K = ~np.isnan(values_R_K).all(axis=0)
    if some_K.any():
        quantile = np.nanquantile if np.isnan(values_R_K).any() else np.quantile
        ends = quantile(values_R_K[:, some_K], [(1 - level) / 2, (1 + level) / 2], axis=0)
        low_K[some_K], high_K[some_K] = ends
    return low_K, high_K


def _pair(
    a_N: npt.ArrayLike, b_N: npt.ArrayLike, a_name: str, b_name: str
) -> tuple[FloatArray, FloatArray]:
    a, b = _array(a_name, a_N), _array(b_name, b_N)
    if a.shape != b.shape:
        raise ShapeError(
            f"{a_name} has shape {a.shape}, but {b_name} has {b.shape}. "
            "Both must hold the same problems in the same order."
        )
    return a, b


def _array(name: str, values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim < 1 or not array.size:
        raise ShapeError(f"{name} must hold at least one problem, but has shape {array.shape}.")
    if np.isinf(array).any():
        raise DataError(f"{name} must be finite or NaN, but holds infinity.")
    return array
