r"""Many means at once, with intervals that hold together: bands over all k, and ranks of all methods.

A band that contains each point of a curve with 95 % contains the whole curve less often. The ones here
contain all points at once, by the maximum of studentised deviations over resamples ("max-t"): the means of
all columns are moved together, so columns that move alike cost little.

The moves are those of ``matched_difference``: problems are drawn again, the same for all means, and seeds,
which are few, are moved by normal weights. Both are scaled to the variance of ``seed_difference``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtr, stdtrit

from polypath.checks import check_shapes
from polypath.errors import DataError, ShapeError
from polypath.metrics.bootstrap import check_resampling, resampled_times
from polypath.metrics.pass_at_k import FloatArray, IntArray

_ROUNDING = 1e-9  # a standard error below this share of the values is rounding


@dataclass(frozen=True, kw_only=True)
class Together:
    """K means with simultaneous intervals, and tests of "it is 0", each of shape ``(K,)``.

    A mean that does not vary over problems has an interval without width, and no p-value.
    """

    estimate: FloatArray  # NaN for a column without a value
    low: FloatArray
    high: FloatArray
    p_value: FloatArray  # corrected for all K; NaN where nothing varies
    standard_error: FloatArray
    critical: float  # of the maximum of K deviations, in standard errors of a normal mean
    level: float
    num_problems: IntArray  # problems with a value


def simultaneous_band(
    values_R_N_K: npt.ArrayLike,
    others_R_N_K: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Together:
    r"""Return a simultaneous band: it contains all K true means at once with the given probability.

    With the standard error :math:`s_k` and the moves :math:`\delta_k` of each mean, :math:`c` is the
    ``level`` quantile of :math:`\max_k |\delta_k| / s_k`. The band is :math:`\hat\mu_k \pm t_k s_k`,
    where :math:`t_k` has in the t distribution of the mean's degrees of freedom the tail that c has in the
    normal one.

    Args:
        values_R_N_K: such as pass@k by seed, problem and k; NaN for "no value". A seed without a value
            leaves the problem out at this k.
        others_R_N_K: of another run on the same problems, to be subtracted; with any number of seeds.
        level: confidence level in (0, 1).
        num_resamples: at least 100.
        seed: for this call's own generator.

    Raises:
        ConfigError: level or num_resamples is out of range.
        ShapeError: the shapes do not fit.
        DataError: a value is infinite.
    """
    first = _checked(values_R_N_K, "values_R_N_K")
    sides = [first]
    if others_R_N_K is not None:
        second = _checked(others_R_N_K, "others_R_N_K")
        if first.shape[1:] != second.shape[1:]:
            raise ShapeError(
                f"values_R_N_K has shape {first.shape}, but others_R_N_K has {second.shape}. They must "
                "have the same problems and columns."
            )
        sides.append(-second)
    known_N_K = np.asarray(~np.isnan(np.concatenate(sides)).any(axis=0))
    moves = _DrawnMeans([np.where(known_N_K, side, 0.0) for side in sides], known_N_K)
    return moves.together(None, level, num_resamples, seed)


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """M means, all pairs of them compared at once, and where in the order each may be.

    A rank is 1 for the highest. The interval of ranks contains all M true ranks at once with the
    probability ``level``: at least as many others are above as have been shown to be.
    """

    estimate: FloatArray  # (M,)
    difference: FloatArray  # (M, M), row minus column
    low: FloatArray  # (M, M), simultaneous over all pairs
    high: FloatArray
    p_value: (
        FloatArray  # (M, M), corrected for all pairs; NaN on the diagonal and where nothing varies
    )
    best_rank: IntArray  # (M,)
    worst_rank: IntArray
    level: float

    def alike(self, m: int) -> tuple[int, ...]:
        """Return the others that mean m cannot be told apart from."""
        zero_M = (self.low[m] <= 0) & (self.high[m] >= 0)
        return tuple(int(i) for i in np.flatnonzero(zero_M) if i != m)


def rank_means(
    values_M_R_N: Sequence[npt.ArrayLike],
    shared_M_R_N: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Ranking:
    """Rank M means over problems and seeds, with what cannot be told apart.

    All pairs are compared with simultaneous intervals, as in ``simultaneous_band``. The interval of a rank is
    1 + the number of means shown to be higher, to M - the number shown to be lower (Mogstad, Romano, Shaikh
    and Wilhelm 2024, "Inference for Ranks with Applications to Mobility across Neighbourhoods and Academic
    Achievement across Countries", Review of Economic Studies 91(1)).

    Args:
        values_M_R_N: of each mean its values by seed and problem, on the same problems; the number of
            seeds may differ. Problems with a NaN anywhere are left out.
        shared_M_R_N: what is subtracted from each mean, of runs that all share: a reference stopped at
            different steps, for example. One seed of it is one seed for all means.
        level: confidence level in (0, 1).
        num_resamples: at least 100.
        seed: for this call's own generator.

    Raises:
        ConfigError: level or num_resamples is out of range.
        ShapeError: fewer than two means, or shapes that do not fit.
        DataError: a value is infinite, or fewer than two problems have all values.
    """
    values = [_checked(np.asarray(one)[..., None], "values_M_R_N")[..., 0] for one in values_M_R_N]
    if len(values) < 2 or len({one.shape[1] for one in values}) > 1:
        raise ShapeError(
            f"values_M_R_N must be two means or more on the same problems, got the shapes "
            f"{[one.shape for one in values]}."
        )
    count = len(values)
    alone_M = np.eye(count)
    sides = [one[..., None] * alone_M[m] for m, one in enumerate(values)]
    if shared_M_R_N is not None:
        shared = np.asarray(shared_M_R_N, dtype=np.float64)
        check_shapes(shared_M_R_N=shared)
        sides.append(-_checked(np.moveaxis(shared, 0, -1), "shared_M_R_N"))
        if sides[-1].shape[1:] != sides[0].shape[1:]:
            raise ShapeError(
                f"shared_M_R_N has shape {shared.shape}; expected {count} means of "
                f"{sides[0].shape[1]} problems."
            )
    known_N = ~np.any([np.isnan(side).any(axis=(0, 2)) for side in sides], axis=0)
    if known_N.sum() < 2:
        raise DataError(
            f"rank_means needs two problems with all values or more, got {int(known_N.sum())}."
        )
    sides = [side[:, known_N] for side in sides]
    moves = _DrawnMeans(sides, np.ones(sides[0].shape[1:], dtype=bool))
    first_P, second_P = np.triu_indices(count, 1)
    contrast_M_P = (alone_M[first_P] - alone_M[second_P]).T
    pairs = moves.together(contrast_M_P, level, num_resamples, seed)
    estimate_M = moves.mean_K

    def square(up_P: FloatArray, down_P: FloatArray, diagonal: float) -> FloatArray:
        found = np.full((count, count), diagonal)
        found[first_P, second_P], found[second_P, first_P] = up_P, down_P
        return found

    low = square(pairs.low, -pairs.high, 0.0)
    high = square(pairs.high, -pairs.low, 0.0)
    return Ranking(
        estimate=estimate_M,
        difference=square(pairs.estimate, -pairs.estimate, 0.0),
        low=low,
        high=high,
        p_value=square(pairs.p_value, pairs.p_value, np.nan),
        best_rank=1 + (high < 0).sum(axis=1),
        worst_rank=count - (low > 0).sum(axis=1),
        level=level,
    )


def _checked(values: npt.ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 3 or not array.size:
        raise ShapeError(f"{name} must have seeds, problems and columns, got shape {array.shape}.")
    if np.isinf(array).any():
        raise DataError(f"{name} must be finite or NaN, but holds infinity.")
    return array


class _DrawnMeans:
    """K means over the sum of some sides (runs with seeds), and how far they move when drawn again.

    Args:
        sides: of each side its seeds, ``(R, N, K)``, 0 where unknown. The means are sums over sides.
        known_N_K: which problems have a value in which column.
    """

    def __init__(self, sides: Sequence[FloatArray], known_N_K: npt.NDArray[np.bool_]) -> None:
        self.num_K = known_N_K.sum(axis=0)
        share_N_K = np.where(known_N_K, len(known_N_K) / np.maximum(self.num_K, 1), 0.0)
        # Column means over the known problems are means of these over all.
        self._sides = [side * share_N_K for side in sides]
        total_N_K = np.sum([side.mean(axis=0) for side in self._sides], axis=0)
        self.mean_K = np.where(self.num_K > 0, total_N_K.mean(axis=0), np.nan)
        middle_K = np.nan_to_num(self.mean_K)
        self._from_mean_N_K = total_N_K - middle_K * share_N_K

    def together(
        self,
        contrast_K_P: FloatArray | None,
        level: float,
        num_resamples: int,
        seed: int,
    ) -> Together:
        """Return simultaneous intervals of the means, or of P contrasts of them."""
        check_resampling(level, num_resamples)
        n, columns = self._from_mean_N_K.shape
        contrast = np.eye(columns) if contrast_K_P is None else contrast_K_P
        num = self.num_K if contrast_K_P is None else np.full(contrast.shape[1], n)
        mean = self.mean_K if contrast_K_P is None else self.mean_K @ contrast
        parts = _parts(self._from_mean_N_K, self._sides, contrast, num)
        rng = np.random.default_rng([seed, 1])  # not the stream that draws the problems
        times = resampled_times(n, num_resamples, seed)
        moved_Z_K = np.concatenate([t.astype(np.float64) @ self._from_mean_N_K for t in times])
        moved_Z_P = moved_Z_K @ contrast / (np.sqrt(n * (n - 1)) if n > 1 else np.inf)
        for side, factor_P in zip(self._sides, parts.seed_factors, strict=True):
            if len(side) > 1:
                normal_Z_R = rng.standard_normal((num_resamples, len(side)))
                in_P = factor_P > 0  # of many methods, most pairs are without this one
                from_mean_R_P = (side.mean(axis=1) - side.mean(axis=(0, 1))) @ contrast[:, in_P]
                by_seed_Z_P = normal_Z_R @ from_mean_R_P / np.sqrt(len(side) * (len(side) - 1))
                moved_Z_P[:, in_P] += factor_P[in_P] * by_seed_Z_P
        error_P = np.sqrt(parts.variance)
        varies_P = error_P > _ROUNDING * np.maximum(1.0, np.abs(np.nan_to_num(mean)))
        with np.errstate(divide="ignore", invalid="ignore"):
            # Studentised by the spread of the moves, whose scale is that of the error.
            spread_P = moved_Z_P.std(axis=0)
            ratio_Z_P = np.where(varies_P, np.abs(moved_Z_P) / spread_P, 0.0)
        largest_Z = ratio_Z_P.max(axis=1)
        critical = float(np.quantile(largest_Z, level))
        tail = float(ndtr(-critical))
        half_P = np.where(varies_P, -stdtrit(parts.freedom, tail) * error_P, 0.0)
        half_P = np.where(num > 1, half_P, np.nan)
        return Together(
            estimate=mean,
            low=mean - half_P,
            high=mean + half_P,
            p_value=_corrected_p(mean / np.where(varies_P, error_P, np.nan), parts, largest_Z),
            standard_error=error_P,
            critical=critical,
            level=level,
            num_problems=np.asarray(num),
        )


def _corrected_p(t_P: FloatArray, parts: "_Parts", largest_Z: FloatArray) -> FloatArray:
    """Return how often the maximum of all is beyond each statistic, read at its own degrees of freedom."""
    tail_P = stdtr(parts.freedom, -np.abs(t_P))
    ordered_Z = np.sort(ndtr(-largest_Z))  # tails of the maxima: the smaller, the more extreme
    beyond_P = np.searchsorted(ordered_Z, tail_P, side="right")
    p_P = (beyond_P + 1) / (len(ordered_Z) + 1)
    return np.where(np.isnan(t_P), np.nan, p_P)


@dataclass(frozen=True)
class _Parts:
    """The variance of P means by its parts, the degrees of freedom, and a factor for each side's seeds."""

    variance: FloatArray
    freedom: FloatArray
    seed_factors: list[FloatArray]


def _parts(
    from_mean_N_K: FloatArray,
    sides: Sequence[FloatArray],
    contrast_K_P: FloatArray,
    num_P: IntArray,
) -> _Parts:
    """Return variances and degrees of freedom of P contrasts of means as ``seed_difference`` has them."""
    n = len(from_mean_N_K)
    by_problems_P = _squares(from_mean_N_K, contrast_K_P) / (n * max(1, n - 1))
    terms = [(by_problems_P, np.maximum(1.0, num_P - 1.0))]
    factors = []
    for side in sides:
        between_P, within_P, freedom = _seed_parts(side, contrast_K_P)
        left_P = np.maximum(0.0, between_P - within_P)
        factors.append(np.sqrt(left_P / np.where(between_P > 0, between_P, 1.0)))
        # Where a contrast does not contain the side, both are 0 and its seeds cost no freedom.
        seeds_P = np.where(between_P + within_P > 0, len(side) - 1.0, np.inf)
        if len(side) > 1:
            terms += [(between_P, seeds_P), (-within_P, np.full_like(within_P, freedom))]
    variance_P = np.maximum(np.sum([part for part, _ in terms], axis=0), by_problems_P)
    slowness_P = np.sum([part**2 / freedom for part, freedom in terms], axis=0)
    fewest_P = np.min([freedom for _, freedom in terms], axis=0)
    freedom_P = variance_P**2 / np.where(slowness_P > 0, slowness_P, 1.0)
    return _Parts(variance_P, np.maximum(freedom_P, fewest_P), factors)


def _seed_parts(
    side_R_N_K: FloatArray, contrast_K_P: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Return the variance between seed means, what of it is chance within problems, and its freedom."""
    seeds, n, columns = side_R_N_K.shape
    if seeds == 1:
        return np.zeros(contrast_K_P.shape[1]), np.zeros(contrast_K_P.shape[1]), 1.0
    by_seed_R_K = side_R_N_K.mean(axis=1)
    from_mean_R_K = by_seed_R_K - by_seed_R_K.mean(axis=0)
    rest = side_R_N_K - side_R_N_K.mean(axis=0) - from_mean_R_K[:, None]
    freedom = float((seeds - 1) * max(1, n - 1))
    within_P = _squares(rest.reshape(-1, columns), contrast_K_P) / freedom / (seeds * n)
    between_P = ((from_mean_R_K @ contrast_K_P) ** 2).sum(axis=0) / (seeds * (seeds - 1))
    return between_P, within_P, freedom


def _squares(value_M_K: FloatArray, contrast_K_P: FloatArray) -> FloatArray:
    """Return the sum of squares of each contrast. All contrasts of all rows would not fit in memory."""
    gram_K_K = value_M_K.T @ value_M_K
    found: FloatArray = ((gram_K_K @ contrast_K_P) * contrast_K_P).sum(axis=0)
    return np.maximum(0.0, found)
