"""Several comparisons at once, several training seeds of a method, and minimum detectable effects."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from polypath.checks import check_shapes
from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics.pass_at_k import FloatArray


def holm(p_values_K: npt.ArrayLike) -> FloatArray:
    """Correct p-values of K tests so that the chance of any false "different" stays at the level.

    Holm 1979: the smallest p times K, the next times K - 1, and so on, never decreasing and at most
    1. It needs no independence, and the k's of one pass@k curve are not independent.

    Args:
        p_values_K: one family of tests, such as all k shown; NaN means no test and stays NaN.

    Raises:
        ShapeError: not 1-D.
        DataError: a value is outside [0, 1].
    """
    p_K = np.asarray(p_values_K, dtype=np.float64)
    check_shapes(p_values_K=p_K)
    if ((p_K < 0) | (p_K > 1)).any():
        raise DataError(f"p-values must lie in [0, 1], got {np.nanmin(p_K)} to {np.nanmax(p_K)}.")
    corrected_K = np.full(len(p_K), np.nan)
    order = np.argsort(p_K)[: int((~np.isnan(p_K)).sum())]  # NaN sorts last
    times = np.arange(len(order), 0, -1)
    corrected_K[order] = np.minimum(1.0, np.maximum.accumulate(times * p_K[order]))
    return corrected_K


def smallest_detectable(
    a_N: npt.ArrayLike, b_N: npt.ArrayLike, *, level: float = 0.95, power: float = 0.8
) -> FloatArray:
    r"""Minimum detectable effect: smallest true difference detected with the given power.

    .. math:: \delta = (t_{1 - \alpha/2} + t_{\mathrm{power}}) \, s_d / \sqrt{n}

    with the standard deviation :math:`s_d` of the paired differences of n problems and t quantiles
    of n - 1 degrees of freedom. "No difference was found" says nothing about smaller ones.

    Args:
        a_N: ``(N, ...)``, as for ``paired_difference``; NaN on either side leaves a problem out.
        b_N: the same problems.
        level: confidence level of the test, in (0, 1).
        power: chance to detect it, in [0.5, 1).

    Returns:
        >= 0, of the shape of the values without the first axis; NaN for fewer than two problems. 0
        when all differences are equal: they then say nothing about other problems.

    Raises:
        ConfigError: level or power is out of range.
        ShapeError: the shapes differ.
    """
    _check_test(level, power)
    a, b = np.asarray(a_N, dtype=np.float64), np.asarray(b_N, dtype=np.float64)
    if a.shape != b.shape or a.ndim < 1:
        raise ShapeError(f"a_N has shape {a.shape}, but b_N has {b.shape}; they must agree.")
    d = a - b
    known = ~np.isnan(d)
    n = known.sum(axis=0)
    mean = np.where(known, d, 0.0).sum(axis=0) / np.maximum(n, 1)
    squares = np.where(known, (d - mean) ** 2, 0.0).sum(axis=0)
    freedom = np.maximum(n - 1, 1)
    error = np.sqrt(squares / freedom / np.maximum(n, 1))
    factor = stdtrit(freedom, (1 + level) / 2) + stdtrit(freedom, power)
    return np.asarray(np.where(n > 1, factor * error, np.nan))


@dataclass(frozen=True, kw_only=True)
class SeedDifference:
    """Difference of two methods' means over training seeds and problems, with its interval."""

    estimate: float  # mean of a minus mean of b
    low: float  # lower end of the interval
    high: float
    p_value: float  # two-sided, for "no difference between the methods"
    degrees_of_freedom: float  # of the t distribution used
    # Share of the error variance that comes from the seeds; at 0.5 and above, more seeds help more
    # than more problems.
    seed_share: float
    smallest_detectable: float  # true difference detected with 80 % power
    level: float  # confidence level
    num_seeds: tuple[int, int]  # rows of a and of b


def seed_difference(
    a_R_N: npt.ArrayLike, b_R_N: npt.ArrayLike, *, level: float = 0.95, power: float = 0.8
) -> SeedDifference:
    r"""Compare two methods over all their training seeds: clusters of values on the same problems.

    The model, for method m, seed s and problem i:

    .. math:: y_{msi} = \mu_m + P_{mi} + S_{ms} + e_{msi}

    with random problems P (paired: the methods share them), random seeds S (each method has its
    own), and e, the effect of a seed on one problem. The error variance of the difference of means
    is the sum of three parts, each estimated without bias by analysis of variance:

    * differences of problem means, :math:`s^2_d / N`, which holds P and e;
    * seed means of each method, :math:`s^2_m / R_m`, which holds S and e;
    * minus e, which both hold: the residual mean square divided by :math:`R_m N`.

    The sum is at least the first part. The interval is the estimate ± a t quantile, with Satterthwaite's
    degrees of freedom: resampling 2 to 5 seeds does not reach far enough (docs/statistics.md).

    A method of **one** row is taken as fixed, without seeds. That is right for a base model, which has
    none. For a trained method of one seed the interval then covers that one run only.

    Args:
        a_R_N: per-problem values of each seed's run, such as pass@k.
        b_R_N: the other method; its number of seeds may differ. Problems with a NaN in any run
            are left out.
        level: confidence level in (0, 1).
        power: of ``smallest_detectable``, in [0.5, 1).

    Raises:
        ConfigError: level or power is out of range.
        ShapeError: not 2-D, or not the same problems.
        DataError: fewer than two problems have values in all runs.
    """
    _check_test(level, power)
    a, b = np.asarray(a_R_N, dtype=np.float64), np.asarray(b_R_N, dtype=np.float64)
    check_shapes(a_R_N=a)
    check_shapes(b_R_N=b)
    if a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ShapeError(f"a_R_N has shape {a.shape} and b_R_N {b.shape}; N must agree, R be > 0.")
    known_N = ~(np.isnan(a).any(axis=0) | np.isnan(b).any(axis=0))
    if known_N.sum() < 2:
        raise DataError("seed_difference needs at least two problems with a value in every run.")
    a, b = a[:, known_N], b[:, known_N]
    difference_N = a.mean(axis=0) - b.mean(axis=0)
    problems = float(difference_N.var(ddof=1) / len(difference_N))
    parts = [(problems, len(difference_N) - 1), *seed_parts(a), *seed_parts(b)]
    variance = max(sum(part for part, _ in parts), problems)
    squares = sum(part**2 / freedom for part, freedom in parts)
    # With parts above 0 the formula gives at least the fewest degrees of freedom of a part. The two
    # subtracted parts can bring it below 1 where seeds hardly differ, and the t quantile to hundreds.
    fewest = min(freedom for _, freedom in parts)
    freedom = max(variance**2 / squares, fewest) if squares else len(difference_N) - 1.0
    estimate, error = float(difference_N.mean()), float(np.sqrt(variance))
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(estimate) / error)) if error else float(estimate == 0)
    return SeedDifference(
        estimate=estimate,
        low=estimate - half,
        high=estimate + half,
        p_value=p_value,
        degrees_of_freedom=float(freedom),
        seed_share=(variance - problems) / variance if variance else 0.0,
        smallest_detectable=half + float(stdtrit(freedom, power)) * error,
        level=level,
        num_seeds=(len(a), len(b)),
    )


def seed_parts(values_R_N: FloatArray) -> list[tuple[float, int]]:
    """Return what the seeds of one method add to the variance, and what must be subtracted again.

    Each comes with its degrees of freedom.
    """
    seeds, problems = values_R_N.shape
    if seeds == 1:
        return []
    residual_R_N = (
        values_R_N
        - values_R_N.mean(axis=0)
        - values_R_N.mean(axis=1, keepdims=True)
        + values_R_N.mean()
    )
    freedom = (seeds - 1) * (problems - 1)
    square = float((residual_R_N**2).sum()) / freedom
    between = float(values_R_N.mean(axis=1).var(ddof=1)) / seeds
    return [(between, seeds - 1), (-square / (seeds * problems), freedom)]


def _check_test(level: float, power: float) -> None:
    if not 0 < level < 1 or not 0.5 <= power < 1:
        raise ConfigError(
            f"level must be in (0, 1) and power in [0.5, 1), got {level} and {power}."
        )
