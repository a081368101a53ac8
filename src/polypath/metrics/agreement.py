r"""Does a similarity see solutions? Pairs with the same solution against pairs with different ones.

A method that is told how alike two completions are keeps different solutions only if two completions of
one solution are more alike than two completions of different solutions. These measures say how far
that is so. A pair is two completions of one problem.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.errors import DataError, ShapeError
from polypath.metrics.bootstrap import (
    Interval,
    bootstrap_mean,
    check_resampling,
    expanded_tail,
    resampled_times,
)
from polypath.metrics.pass_at_k import BoolArray, FloatArray

POOLED_RESAMPLES = 1_000  # at most: each ranks all pairs again
_AT_ONCE = 200_000  # numbers of pairs in one step of the resampling: they stay in the cache
_DECIMALS = 9  # similarities that differ by less are equal on paper, and a tie


@dataclass(frozen=True, kw_only=True)
class PairAgreement:
    """How well a similarity separates pairs with the same solution from pairs with different ones.

    All but ``pooled_rank_correlation`` are means over the problems that have both kinds of pairs.
    """

    auc: Interval  # chance that a same pair is the more similar one; ties count half; 0.5 is chance
    rank_correlation: Interval  # Spearman's, with "same solution" as 1 and 0, within problems
    pooled_rank_correlation: Interval  # the same over all pairs of all problems together
    mean_same: Interval  # mean similarity of pairs with the same solution
    mean_different: Interval  # mean similarity of pairs with different solutions
    num_same: int  # pairs of all problems
    num_different: int
    num_problems: int  # problems with a pair
    num_problems_both: int  # problems with both kinds of pairs


def pair_order(similarity_M: npt.ArrayLike, same_M: npt.ArrayLike) -> tuple[float, float]:
    r"""Return how the similarity orders the M pairs of a problem: AUC and rank correlation.

    .. math:: \mathrm{AUC} = P(s_+ > s_-) + P(s_+ = s_-) / 2, \qquad
        \rho = \frac{N (\mathrm{AUC} - 1/2) \sqrt{q (1 - q)}}{\sigma}

    for a random same pair with similarity :math:`s_+` and a random different pair with :math:`s_-`, where q
    is the share of same pairs and :math:`\sigma` the standard deviation of the ranks, ties at their
    mean. This :math:`\rho` is Spearman's rank correlation with the 0/1 variable "same solution".

    Args:
        similarity_M: similarity of each pair. Values that agree to 9 decimals are ties.
        same_M: whether the two completions of each pair have the same solution.

    Returns:
        AUC in [0, 1], 0.5 is chance; rank correlation in [-1, 1], 0 is chance. Both NaN without both kinds
        of pairs. If all similarities are equal: 0.5 and 0. With q = 1/2 and no ties, the rank correlation
        is .87 at most, and lower with other shares, because "same" is itself full of ties.

    Raises:
        ShapeError: the two differ in length.
        DataError: a similarity is not finite.
    """
    similarity, same = _pairs(similarity_M, same_M)
    if not len(similarity):
        return float("nan"), float("nan")
    _, place_M, total_U = np.unique(similarity, return_inverse=True, return_counts=True)
    same_U = np.bincount(place_M[same], minlength=len(total_U))
    auc_1, correlation_1 = _order(total_U[None].astype(float), same_U[None].astype(float))
    return float(auc_1[0]), float(correlation_1[0])


def pair_agreement(
    similarity_N: Sequence[npt.ArrayLike],
    same_N: Sequence[npt.ArrayLike],
    *,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> PairAgreement:
    """Measure over N problems how well a similarity separates same from different solutions.

    Args:
        similarity_N: for each problem, the similarities of its M_n pairs, ``(M_n,)``; may be empty.
        same_N: for each problem, whether the two completions of each pair have the same solution.
        level: confidence level in (0, 1).
        num_resamples: resamples of problems, at least 100. The pooled rank correlation uses
            at most ``POOLED_RESAMPLES``, because each of them ranks all pairs again.
        seed: for this call's own generator.

    Returns:
        Intervals as in ``metrics.bootstrap``. Estimates are NaN if no problem has both kinds of pairs,
        and ends are NaN for fewer than two problems.

    Raises:
        ShapeError: not the same problems and pairs on both sides.
        DataError: a similarity is not finite, or there is no pair.
        ConfigError: level or num_resamples is out of range.
    """
    check_resampling(level, num_resamples)
    if len(similarity_N) != len(same_N):
        raise ShapeError(
            f"Got similarities of {len(similarity_N)} problems, same of {len(same_N)}."
        )
    pairs = [_pairs(s, same) for s, same in zip(similarity_N, same_N, strict=True)]
    pairs = [(s, same) for s, same in pairs if len(s)]
    if not pairs:
        raise DataError("There is no pair: every problem has fewer than two completions.")
    values_N_4 = np.full((len(pairs), 4), np.nan)
    for n, (similarity, same) in enumerate(pairs):
        if same.any() and not same.all():
            means = similarity[same].mean(), similarity[~same].mean()
            values_N_4[n] = [*pair_order(similarity, same), *means]
    auc, correlation, mean_same, mean_different = (
        bootstrap_mean(values_N, level=level, num_resamples=num_resamples, seed=seed)
        for values_N in values_N_4.T
    )
    num_same = sum(int(same.sum()) for _, same in pairs)
    return PairAgreement(
        auc=auc,
        rank_correlation=correlation,
        pooled_rank_correlation=_pooled(
            pairs, level=level, num_resamples=min(num_resamples, POOLED_RESAMPLES), seed=seed
        ),
        mean_same=mean_same,
        mean_different=mean_different,
        num_same=num_same,
        num_different=sum(len(same) for _, same in pairs) - num_same,
        num_problems=len(pairs),
        num_problems_both=int(auc.num_problems),
    )


def _pairs(similarity_M: npt.ArrayLike, same_M: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    similarity: FloatArray = np.asarray(similarity_M, dtype=np.float64).round(_DECIMALS)
    same: BoolArray = np.asarray(same_M, dtype=bool)
    if similarity.shape != same.shape or similarity.ndim != 1:
        raise ShapeError(
            f"similarity_M has shape {similarity.shape}, but same_M has {same.shape}; "
            "each needs one entry per pair."
        )
    if not np.isfinite(similarity).all():
        raise DataError("The similarity of a pair is NaN or infinite.")
    return similarity, same


def _order(total_Z_U: FloatArray, same_Z_U: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return AUC and rank correlation, ``(Z,)`` each, for Z sets of pairs.

    Args:
        total_Z_U: number of pairs with each of U similarities, in ascending order.
        same_Z_U: how many of these have the same solution.
    """
    n_Z, same_Z = total_Z_U.sum(axis=1), same_Z_U.sum(axis=1)
    both_Z = (same_Z > 0) & (same_Z < n_Z)
    # Mean rank of the pairs with each similarity, minus the mean of all ranks.
    rank_Z_U = np.cumsum(total_Z_U, axis=1)
    rank_Z_U -= 0.5 * total_Z_U
    rank_Z_U -= 0.5 * n_Z[:, None]
    spread_Z = np.sqrt(np.einsum("zu,zu,zu->z", total_Z_U, rank_Z_U, rank_Z_U) / n_Z)
    sum_Z = np.einsum("zu,zu->z", same_Z_U, rank_Z_U)  # that of different pairs is minus this
    variance_Z = np.where(both_Z, same_Z * (n_Z - same_Z) / n_Z**2, np.nan)  # of "same", 0 or 1
    gap_Z = sum_Z / (n_Z * variance_Z)  # between the mean ranks of same and different pairs
    # On paper in [0, 1]; rounding may leave it.
    auc_Z = (0.5 + gap_Z / n_Z).clip(0.0, 1.0)
    return auc_Z, gap_Z * np.sqrt(variance_Z) / np.where(spread_Z > 0, spread_Z, 1.0)


def _pooled(
    pairs: list[tuple[FloatArray, BoolArray]], *, level: float, num_resamples: int, seed: int
) -> Interval:
    """Return the rank correlation over the pairs of all problems, by resampling problems."""
    problem_M = np.repeat(np.arange(len(pairs)), [len(same) for _, same in pairs])
    similarity_M = np.concatenate([similarity for similarity, _ in pairs])
    order_M = np.argsort(similarity_M, kind="stable")
    problem_M = problem_M[order_M]
    same_M = np.concatenate([same for _, same in pairs])[order_M].astype(np.float64)
    starts_U = np.flatnonzero(np.diff(similarity_M[order_M], prepend=-np.inf))

    def correlations() -> Iterator[FloatArray]:
        step = max(1, _AT_ONCE // len(problem_M))
        for times_Z_N in resampled_times(len(pairs), num_resamples, seed):
            for start in range(0, len(times_Z_N), step):
                yield correlation(times_Z_N[start : start + step])

    def correlation(times_Z_N: npt.NDArray[np.uint8]) -> FloatArray:
        total_Z_U = times_Z_N.astype(np.float64)[:, problem_M]
        same_Z_U = total_Z_U * same_M
        if len(starts_U) < len(same_M):  # ties
            total_Z_U, same_Z_U = (
                np.add.reduceat(part, starts_U, axis=1) for part in (total_Z_U, same_Z_U)
            )
        return _order(total_Z_U, same_Z_U)[1]

    estimate = correlation(np.ones((1, len(pairs)), dtype=np.uint8))[0]
    found_Z = np.concatenate(list(correlations()))
    found_Z = found_Z[~np.isnan(found_Z)]  # a resample may hold one kind of pairs only
    low, high = np.nan, np.nan
    if len(pairs) > 1 and len(found_Z) and not np.isnan(estimate):
        tail = expanded_tail(len(pairs), level)
        low, high = np.quantile(found_Z, [tail, 1 - tail])
    return Interval(
        estimate=np.asarray(estimate),
        low=np.asarray(low),
        high=np.asarray(high),
        num_problems=np.asarray(0 if np.isnan(estimate) else len(pairs)),
        level=level,
    )
