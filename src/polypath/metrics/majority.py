"""Whether the commonest of k answers is right."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import comb

from polypath.errors import DataError
from polypath.metrics.pass_at_k import FloatArray, IntArray, check_ks
from polypath.metrics.solutions import NO_SAMPLE, solution_inputs

MAX_MAJORITY_SAMPLES = 1000  # beyond, the number of subsets overflows a double

_Votes = tuple[int, tuple[tuple[int, int], ...]]  # n, and (votes, of them correct) of each answer


def majority_at_k(
    ids_N_S: npt.ArrayLike, correct_N_S: npt.ArrayLike, ks: Sequence[int]
) -> FloatArray:
    """Chance that the commonest answer among k of a problem's samples is correct (maj@k, cons@k).

    The exact mean over all draws of k of the n samples without replacement; no draw is simulated.
    Every such draw is k independent samples of the model, so it is unbiased for k fresh ones.

    Votes:
        * A sample without an answer does not vote, but is one of the k. If none of the k votes, the
          majority is wrong.
        * Ties are broken at random: of t tied answers each counts 1/t.
        * An answer that was found both right and wrong counts by its share of correct samples.

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
    ids, correct = solution_inputs(ids_N_S, correct_N_S)
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
    result: FloatArray = np.where(ks_K > n, np.nan, np.minimum(wins_K / draws_K, 1.0))
    return result


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
