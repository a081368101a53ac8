"""The solutions among the samples of a problem: how many different ones, and which has the majority.

All functions take ids: ``ids_N_S`` holds for each sample the number of its canonical solution
within its problem, ``NO_SOLUTION`` where none was found, and ``NO_SAMPLE`` where a problem has
fewer samples than the widest one. ``encode_solutions`` makes them.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import comb

from polypath.checks import check_shapes
from polypath.errors import DataError
from polypath.metrics.pass_at_k import (
    BoolArray,
    FloatArray,
    IntArray,
    as_bool,
    check_ks,
    pass_at_k_from_counts,
)

NO_SOLUTION = -1
NO_SAMPLE = -2
MAX_MAJORITY_SAMPLES = 1000  # beyond, the number of subsets overflows a double

_Votes = tuple[int, tuple[tuple[int, int], ...]]  # n, and (votes, of them correct) of each answer


def encode_solutions(solutions: Sequence[Sequence[str | None]]) -> IntArray:
    """Number the canonical solutions of each problem in order of first appearance.

    >>> encode_solutions([["1+2", None, "2+1", "1+2"], ["7"]])
    array([[ 0, -1,  1,  0],
           [ 0, -2, -2, -2]])
    """
    width = max((len(row) for row in solutions), default=0)
    ids_N_S = np.full((len(solutions), width), NO_SAMPLE, dtype=np.int64)
    for i, row in enumerate(solutions):
        known: dict[str | None, int] = {None: NO_SOLUTION}
        ids_N_S[i, : len(row)] = [known.setdefault(text, len(known) - 1) for text in row]
    return ids_N_S


def distinct_solutions_at_k(
    ids_N_S: npt.ArrayLike, correct_N_S: npt.ArrayLike, ks: Sequence[int]
) -> FloatArray:
    r"""Expected number of distinct correct solutions among k of a problem's samples.

    .. math:: D_k = \sum_s \Big[ 1 - \binom{n - m_s}{k} \Big/ \binom{n}{k} \Big]

    over the solutions s with :math:`m_s` correct samples among n: rarefaction (Hurlbert 1971, "The
    nonconcept of species diversity", Ecology 52(4)), the exact mean over all draws without
    replacement, so curves of different n compare at equal k.

    Args:
        ids_N_S: solution ids.
        correct_N_S: whether each sample is correct. A correct sample without a solution counts for
            nothing. To count wrong solutions as well, pass all True.
        ks: numbers of samples, >= 1.

    Returns:
        ``(N, K)`` in [0, k], higher = more diverse, NaN where a problem has fewer than k samples.
        Never decreasing in k; at k = n the plain count; at k = 1 the share of samples that are
        correct and have a solution.
    """
    ids, counted = _inputs(ids_N_S, correct_N_S)
    n_N = (ids != NO_SAMPLE).sum(axis=1)
    row_M, _, m_M = _multiplicities(ids, counted)
    ks_K = check_ks(ks)
    expected_N_K = np.zeros((len(ids), len(ks_K)))
    np.add.at(expected_N_K, row_M, pass_at_k_from_counts(n_N[row_M], m_M, ks))
    expected_N_K[n_N[:, None] < ks_K[None, :]] = np.nan
    return expected_N_K


def count_distinct(ids_N_S: npt.ArrayLike, correct_N_S: npt.ArrayLike | None = None) -> IntArray:
    """Count the distinct solutions of each problem, over all samples or the correct ones.

    Returns:
        ``(N,)`` in [0, S], higher = more diverse. It grows with the number of samples.
    """
    ids, counted = _inputs(ids_N_S, correct_N_S)
    row_M, _, _ = _multiplicities(ids, counted)
    return np.bincount(row_M, minlength=len(ids)).astype(np.int64)


def duplicate_rate(ids_N_S: npt.ArrayLike, correct_N_S: npt.ArrayLike | None = None) -> FloatArray:
    """Share of a problem's solutions that had already occurred: 1 - distinct / number.

    Args:
        ids_N_S: solution ids; samples without a solution are left out.
        correct_N_S: count correct samples only; None counts all.

    Returns:
        ``(N,)`` in [0, 1), lower = more diverse; NaN where no sample counts. It grows with the
        number of samples, so compare equal numbers only.
    """
    number_N = _inputs(ids_N_S, correct_N_S)[1].sum(axis=1)
    distinct_N = count_distinct(ids_N_S, correct_N_S)
    return np.where(number_N > 0, 1.0 - distinct_N / np.maximum(number_N, 1), np.nan)


def answer_entropy(ids_N_S: npt.ArrayLike, correct_N_S: npt.ArrayLike | None = None) -> FloatArray:
    r"""Entropy in nats of a problem's solutions, :math:`-\sum_s \hat p_s \ln \hat p_s`.

    The plug-in estimate from the observed shares: biased low, and more so the fewer the samples, so
    compare equal numbers only.

    Args:
        ids_N_S: solution ids; samples without a solution are left out.
        correct_N_S: count correct samples only; None counts all.

    Returns:
        ``(N,)`` in [0, ln S], higher = more diverse; NaN where no sample counts.
    """
    ids, counted = _inputs(ids_N_S, correct_N_S)
    number_N = counted.sum(axis=1)
    row_M, _, m_M = _multiplicities(ids, counted)
    share_M = m_M / number_N[row_M]
    entropy_N = np.bincount(row_M, weights=-share_M * np.log(share_M), minlength=len(ids))
    # max: the single solution gives -1 * log(1) = -0.
    return np.where(number_N > 0, np.maximum(entropy_N, 0.0), np.nan)


def majority_at_k(
    ids_N_S: npt.ArrayLike, correct_N_S: npt.ArrayLike, ks: Sequence[int]
) -> FloatArray:
    """Chance that the commonest answer among k of a problem's samples is correct (maj@k, cons@k).

    The exact mean over all draws of k of the n samples without replacement, unbiased for k fresh ones.
    A sample without an answer does not vote, but is one of the k; if none of the k votes, the majority
    is wrong. Of t tied answers each counts 1/t. An answer that was found both right and wrong counts by
    its share of correct samples.

    Args:
        ids_N_S: answer ids of ``encode_solutions``; ``NO_SAMPLE`` pads.
        correct_N_S: whether each sample is correct.
        ks: numbers of samples, >= 1.

    Returns:
        ``(N, K)`` in [0, 1], higher is better, NaN where n < k. At k = 1 the share of samples that
        have an answer and are correct.

    Raises:
        ConfigError, ShapeError, DataError: bad ks, shapes or values, or a problem has more than
            1,000 samples.

    Differs from other scripts: the mode of Python's ``Counter`` breaks ties by order of appearance,
    and some scripts let samples without an answer vote together for "nothing".
    """
    ids, correct = _checked(ids_N_S, correct_N_S)
    ks_K = check_ks(ks)
    result_N_K = np.full((len(ids), len(ks_K)), np.nan)
    known: dict[_Votes, FloatArray] = {}
    for i, (row, right) in enumerate(zip(ids, correct, strict=True)):
        votes = _votes(row, right)
        if votes not in known:
            known[votes] = _majority(votes, ks_K)
        result_N_K[i] = known[votes]
    return result_N_K


def _votes(ids_S: IntArray, correct_S: npt.NDArray[np.bool_]) -> _Votes:
    """Return what the majority depends on; many problems of a data set share it."""
    n = int((ids_S != NO_SAMPLE).sum())
    if n > MAX_MAJORITY_SAMPLES:
        raise DataError(
            f"majority_at_k: a problem has {n} samples, more than {MAX_MAJORITY_SAMPLES}. "
            "Give it a part of them."
        )
    voting_S = ids_S >= 0
    all_A = np.bincount(ids_S[voting_S])
    right_A = np.bincount(ids_S[voting_S & correct_S], minlength=len(all_A))
    pairs = sorted((int(m), int(r)) for m, r in zip(all_A, right_A, strict=True) if m)
    return n, tuple(pairs)


def _majority(votes: _Votes, ks_K: IntArray) -> FloatArray:
    n, answers = votes
    wins_K = np.zeros(len(ks_K))
    if not (ks_K <= n).any():
        return np.full(len(ks_K), np.nan)
    top = int(ks_K[ks_K <= n].max())
    for place, (count, right) in enumerate(answers):
        if right:
            others = [m for j, (m, _) in enumerate(answers) if j != place]
            won_T = _ways_to_win(count, others, n, top)
            wins_K += right / count * won_T[np.minimum(ks_K, top)]
    draws_K = comb(n, np.minimum(ks_K, n))
    return np.where(ks_K > n, np.nan, np.minimum(wins_K / draws_K, 1.0))


def _ways_to_win(count: int, others: list[int], n: int, top: int) -> FloatArray:
    """Number of draws of 0..top samples that one answer wins, a tie of t counting 1/t.

    Let the answer get x votes. Every other answer must get at most x, and with u for each that gets
    exactly x, the draws are the coefficients in z of a polynomial in z and u. Integrating u from 0
    to 1 turns u^t into 1/(t+1), the share of a tie with t rivals.
    """
    ways_T = np.zeros(top + 1)
    for x in range(1, min(count, top) + 1):
        rivals = [m for m in others if m >= x]
        free = n - count - sum(rivals)  # fewer than x votes each, or none: always beaten
        # Gauss-Legendre is exact for the degree in u, which is the number of rivals that may tie.
        ties = min(len(rivals), (top - x) // x)
        beaten_T = _choices(free, top + 1)[: top - x + 1]
        rest_T = np.zeros(top - x + 1)
        for u, weight in _quadrature(ties // 2 + 1):
            draws_T = beaten_T
            for m in rivals:
                factor = _choices(m, top + 1)[: x + 1].copy()
                factor[x] *= u
                draws_T = np.convolve(draws_T, factor)[: top - x + 1]
            rest_T += weight * draws_T
        ways_T[x:] += _choices(count, top + 1)[x] * rest_T
    return ways_T


@lru_cache(maxsize=1 << 12)
def _choices(n: int, length: int) -> FloatArray:
    """Return n over 0, 1, ..., length - 1; read only, as it is kept."""
    found: FloatArray = comb(n, np.arange(length))
    found.flags.writeable = False
    return found


@lru_cache(maxsize=1 << 10)
def _quadrature(points: int) -> tuple[tuple[float, float], ...]:
    """Return places in 0..1 and weights of Gauss-Legendre quadrature."""
    nodes_U, weights_U = np.polynomial.legendre.leggauss(points)
    places_U = (nodes_U + 1) / 2
    return tuple(zip(places_U.tolist(), (weights_U / 2).tolist(), strict=True))


def _checked(
    ids_N_S: npt.ArrayLike, correct_N_S: npt.ArrayLike | None
) -> tuple[IntArray, BoolArray]:
    """Return checked ids and which samples are correct (all that exist, when not given)."""
    ids = np.asarray(ids_N_S)
    check_shapes(ids_N_S=ids)
    if ids.size and (ids.dtype.kind not in "iu" or ids.min() < NO_SAMPLE):
        raise DataError(
            f"ids_N_S must hold integers of at least {NO_SAMPLE}, got dtype {ids.dtype}. "
            "Use encode_solutions."
        )
    if correct_N_S is None:
        return ids.astype(np.int64), ids != NO_SAMPLE
    correct = as_bool("correct_N_S", correct_N_S)
    check_shapes(ids_N_S=ids, correct_N_S=correct)
    if (correct & (ids == NO_SAMPLE)).any():
        raise DataError("correct_N_S marks samples as correct that ids_N_S says do not exist.")
    return ids.astype(np.int64), correct


def _inputs(
    ids_N_S: npt.ArrayLike, correct_N_S: npt.ArrayLike | None
) -> tuple[IntArray, BoolArray]:
    """Return the ids, and which samples count: those with a solution, and correct if asked."""
    ids, correct = _checked(ids_N_S, correct_N_S)
    return ids, correct & (ids >= 0)


def _multiplicities(ids_N_S: IntArray, counted_N_S: BoolArray) -> tuple[IntArray, ...]:
    """Return (problem, solution, times) of each of the M distinct solutions that count."""
    row, _ = np.nonzero(counted_N_S)
    width = int(ids_N_S.max(initial=0)) + 1
    keys_M, times_M = np.unique(row * width + ids_N_S[counted_N_S], return_counts=True)
    return keys_M // width, keys_M % width, times_M
