r"""Intervals and paired tests by resampling *problems*, because a benchmark is a sample of problems.

Samples of one problem are correlated and are never resampled: their noise is already in the
per-problem values.

All intervals are **expanded percentile** intervals (Hesterberg 2015, "What Teachers Should Know About
the Bootstrap", The American Statistician 69(4)): for n problems the lower end lies at the quantile
:math:`\Phi(-\sqrt{n/(n-1)} \, t_{n-1})` of the resamples, where plain percentiles lie at
:math:`(1 - level) / 2`; the upper end is its mirror image. p-values are transformed the same way, so p is
below 1 - level when the interval excludes 0, except for ties. docs/statistics.md gives the coverage, and
says when no bootstrap of problems can be trusted.
"""

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics.pass_at_k import FloatArray, IntArray

TRUSTED_FROM = 12.0  # effective problems
SAME = 1e-12  # a spread below this share of the squared values is rounding, not a difference

_CHUNK = 2_000_000  # numbers of problems drawn at once: 16 MB
_CACHED = 50_000_000  # draws kept for the next call with the same seed: 50 MB


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An estimate with its interval. Each array has the shape of the values without the first axis."""

    estimate: FloatArray  # from all problems, not the mean of the resamples; NaN if no problem has a value
    low: FloatArray  # lower end; NaN if the estimate is, or rests on fewer than two problems
    high: FloatArray
    num_problems: IntArray  # problems with a value (not NaN), on which the estimate rests
    level: float  # confidence level


@dataclass(frozen=True, kw_only=True)
class PairedDifference(Interval):
    """Mean of a - b over the same problems, with its interval."""

    p_value: FloatArray  # two-sided; above 2 / (num_resamples + 1), NaN with the ends


def bootstrap_mean(
    values_N: npt.ArrayLike, *, level: float = 0.95, num_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Mean over problems with an expanded percentile bootstrap interval.

    Args:
        values_N: ``(N, ...)``, one row per problem; all trailing entries share the resamples.
            NaN means "no value": each resample averages its problems that have one.
        level: confidence level in (0, 1).
        num_resamples: at least 100.
        seed: for this call's own generator; the global one is not touched.

    Raises:
        ConfigError: level or num_resamples is out of range.
        ShapeError: no problems.
        DataError: a value is infinite.
    """
    values = _array("values_N", values_N)
    # The mean of the known values is a ratio: their sum divided by their number.
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
    """Sum of numerators divided by sum of denominators over problems (Potential@k, Keep, Explore).

    Both sums are taken over the problems of each resample. Problems with a NaN on either side are
    left out. A resample whose denominators sum to 0 has no ratio and is left out too. The estimate is NaN
    if the denominators of all problems sum to 0.

    The settings and errors are those of ``bootstrap_mean``; the two arrays have the same shape.
    """
    numerator, denominator = _pair(numerator_N, denominator_N, "numerator_N", "denominator_N")
    return _interval(numerator, denominator, level, num_resamples, seed)[0]


def paired_difference(
    a_N: npt.ArrayLike,
    b_N: npt.ArrayLike,
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    r"""Mean of a - b over problems, resampling each problem with both its values.

    A problem's difficulty affects both values and cancels, so this resolves far smaller
    differences than two separate intervals. The p-value starts from
    :math:`2 \min(\#\{d^* \le 0\}, \#\{d^* \ge 0\})` over the
    resampled differences :math:`d^*`, each count plus 1, divided by the number of resamples plus 1, and at
    most 1. Its normal quantile, times :math:`\sqrt{(n-1)/n}`, is then read as a quantile of
    t with n - 1 degrees of freedom: the interval's correction for few problems.

    Args:
        a_N: ``(N, ...)``, such as the trained model's pass@k.
        b_N: the same problems in the same order, such as the base model's.
        level: as in ``bootstrap_mean``.
        num_resamples: as in ``bootstrap_mean``.
        seed: as in ``bootstrap_mean``.

    Returns:
        Positive means that a is larger. Problems with a NaN on either side are left out of both.

    Raises:
        ConfigError, ShapeError, DataError: as ``bootstrap_mean``, or the shapes differ.
    """
    a, b = _pair(a_N, b_N, "a_N", "b_N")
    d = a - b
    found, means_Z = _interval(d, np.ones_like(d), level, num_resamples, seed)
    p = two_sided_p(means_Z, 1e-12 * np.where(np.isnan(d), 0.0, np.abs(d)).max(axis=0))
    return PairedDifference(**vars(found), p_value=_expand_p(p, found.num_problems))


def effective_problems(values_N: npt.ArrayLike) -> FloatArray:
    r"""Count the problems that carry the spread of the values: can the interval be trusted?

    .. math:: \Big(\sum_i |x_i|\Big)^2 \Big/ \sum_i x_i^2

    with the distances x from the median. It is m if m problems are equally far from the median and all
    others are at it. Resampling learns the spread from these alone: with fewer than ``TRUSTED_FROM``, 95 %
    intervals contain the truth less often, down to one in ten below 3 (docs/statistics.md).

    Args:
        values_N: ``(N, ...)`` as for ``bootstrap_mean``; for a paired difference a - b, for a ratio
            numerator - ratio * denominator. NaN is left out.

    Returns:
        In [0, N], of the shape of the values without the first axis; 0 where all values are equal.
    """
    values = _array("values_N", values_N)
    known = ~np.isnan(values)
    # Columns without a value become zeros, which have no spread.
    filled = np.where(known.any(axis=0), values, 0.0)
    distance = np.where(known, np.abs(values - np.nanmedian(filled, axis=0)), 0.0)
    squares = (distance**2).sum(axis=0)
    return np.nan_to_num(_divide(distance.sum(axis=0) ** 2, squares))


def spread(value_M: FloatArray) -> float:
    """Return the variance of M values; 0 where it is no more than the rounding of their mean."""
    variance = float(value_M.var())
    return variance if variance > SAME * float((value_M**2).mean()) else 0.0


def _interval(
    numerator: FloatArray, denominator: FloatArray, level: float, num_resamples: int, seed: int
) -> tuple[Interval, FloatArray]:
    """Return the ratio of sums over all problems, and over each resample, ``(Z, ...)``."""
    check_resampling(level, num_resamples)
    known = ~(np.isnan(numerator) | np.isnan(denominator))
    n, shape = len(known), known.shape[1:]
    top_N_K = np.where(known, numerator, 0.0).reshape(n, -1)
    bottom_N_K = np.where(known, denominator, 0.0).reshape(n, -1)
    ratios: list[FloatArray] = []
    for times_Z_N in resampled_times(n, num_resamples, seed):
        weights_Z_N = times_Z_N.astype(np.float64)
        # Two matrix products compute all statistics at once.
        ratios.append(_divide(weights_Z_N @ top_N_K, weights_Z_N @ bottom_N_K))
    ratios_Z_K = np.concatenate(ratios)
    estimate_K = _divide(top_N_K.sum(axis=0), bottom_N_K.sum(axis=0))
    n_K = np.where(np.isnan(estimate_K), 0, known.reshape(n, -1).sum(axis=0))
    low_K, high_K = _ends(ratios_Z_K, n_K, level)
    found = Interval(
        estimate=estimate_K.reshape(shape),
        low=low_K.reshape(shape),
        high=high_K.reshape(shape),
        num_problems=np.asarray(known.sum(axis=0)),
        level=level,
    )
    return found, ratios_Z_K.reshape(-1, *shape)


def check_resampling(level: float, num_resamples: int) -> None:
    """Raise ConfigError when level is out of range, or there are too few resamples for its ends."""
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level}. Use 0.95 for 95 %.")
    if num_resamples < 100:
        raise ConfigError(f"num_resamples must be at least 100, got {num_resamples}.")


def resampled_times(n: int, num_resamples: int, seed: int) -> Iterable[npt.NDArray[np.uint8]]:
    """Return, in chunks ``(Z, n)``, how often each resample of n problems contains each problem."""
    # One report asks for the same draws for every metric.
    draw = _kept_times if n * num_resamples <= _CACHED else _times_drawn
    return draw(n, num_resamples, seed)


@functools.lru_cache(maxsize=2)
def _kept_times(n: int, num_resamples: int, seed: int) -> tuple[npt.NDArray[np.uint8], ...]:
    return tuple(_times_drawn(n, num_resamples, seed))


def _times_drawn(n: int, num_resamples: int, seed: int) -> Iterator[npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // n)
    for start in range(0, num_resamples, step):
        rows = min(step, num_resamples - start)
        # One problem 256 times in one resample has a chance below 1e-500.
        times_Z_N = np.empty((rows, n), dtype=np.uint8)
        for times_N, drawn_N in zip(times_Z_N, rng.integers(0, n, size=(rows, n)), strict=True):
            times_N[:] = np.bincount(drawn_N, minlength=n)
        yield times_Z_N


def _divide(top: FloatArray, bottom: FloatArray) -> FloatArray:
    return np.where(bottom != 0, top / np.where(bottom != 0, bottom, 1.0), np.nan)


def _ends(values_Z_K: FloatArray, n_K: IntArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Return both ends over the resamples that have a value; NaN for fewer than two problems."""
    low_K, high_K = np.full((2, values_Z_K.shape[1]), np.nan)
    some_K = ~np.isnan(values_Z_K).all(axis=0) & (n_K > 1)
    for n in np.unique(n_K[some_K]):
        tail = expanded_tail(int(n), level)
        these_K = some_K & (n_K == n)
        chosen = values_Z_K[:, these_K]
        quantile = np.nanquantile if np.isnan(chosen).any() else np.quantile
        low_K[these_K], high_K[these_K] = quantile(chosen, [tail, 1 - tail], axis=0)
    return low_K, high_K


def expanded_tail(n: int, level: float) -> float:
    """Return the share of resamples below the interval, for n >= 2 independent parts."""
    return float(ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - level) / 2)))


def two_sided_p(values_Z: FloatArray, rounding: FloatArray | float) -> FloatArray:
    """Return the two-sided p-value of resampled values, ``(Z, ...)``, for a true value of 0."""
    # Values that are 0 on paper may be off by rounding, and must count on both sides.
    below, above = (values_Z <= rounding).sum(axis=0), (values_Z >= -rounding).sum(axis=0)
    drawn = (~np.isnan(values_Z)).sum(axis=0)
    return np.asarray(np.minimum(1.0, 2 * (np.minimum(below, above) + 1) / (drawn + 1)))


def _expand_p(p: FloatArray, num_problems: IntArray) -> FloatArray:
    """Turn two-sided p-values of percentiles into those of expanded percentiles."""
    n = np.maximum(num_problems, 2)
    t = ndtri(p / 2) * np.sqrt((n - 1) / n)
    return np.where(num_problems > 1, np.minimum(1.0, 2 * stdtr(n - 1, t)), np.nan)


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
