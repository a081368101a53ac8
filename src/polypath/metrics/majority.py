"""The exact chance that the commonest of k answers is right: majority@k, also maj@k and cons@k."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import comb, gammaln

from polypath.errors import DataError
from polypath.metrics.pass_at_k import FloatArray, IntArray, check_ks
from polypath.metrics.solutions import NO_SAMPLE, checked_ids

MAX_MAJORITY_SAMPLES = 1000  # beyond, the number of subsets overflows a double

_NEGLIGIBLE = np.log(1e-16)  # a chance too small to change a sum of chances in a double
_ROWS_BY_SHIFTS = 8  # from this many rows on, shifting all of them beats a convolution of each


class _Answers(NamedTuple):
    """The answers with the same number of votes: ``weight`` is the sum of their shares of correct samples."""

    votes: int
    number: int
    weight: float


_Votes = tuple[int, tuple[_Answers, ...]]  # number of samples, and answers by decreasing votes


def majority_at_k(
    ids_N_S: npt.ArrayLike, correct_N_S: npt.ArrayLike, ks: Sequence[int]
) -> FloatArray:
    """Chance that the commonest answer among k of a problem's samples is correct (maj@k, cons@k).

    The exact mean over all draws of k of the n samples without replacement, unbiased for k fresh ones.
    A sample without an answer does not vote but is one of the k; if none of the k votes, the majority
    is wrong. Each of t tied answers counts 1/t. An answer verified both as right and as wrong counts
    by its share of correct samples.

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
    ids, correct = checked_ids(ids_N_S, correct_N_S)
    ks_K = check_ks(ks)
    result_N_K = np.full((len(ids), len(ks_K)), np.nan)
    known: dict[_Votes, FloatArray] = {}  # many problems of a data set have the same votes
    for i, (row, right) in enumerate(zip(ids, correct, strict=True)):
        votes = _votes(row, right)
        if votes not in known:
            known[votes] = _majority(votes, ks_K)
        result_N_K[i] = known[votes]
    return result_N_K


def _votes(ids_S: IntArray, correct_S: npt.NDArray[np.bool_]) -> _Votes:
    """Return the votes, on which the majority depends."""
    n = int((ids_S != NO_SAMPLE).sum())
    if n > MAX_MAJORITY_SAMPLES:
        raise DataError(
            f"majority_at_k: a problem has {n} samples, more than {MAX_MAJORITY_SAMPLES}. "
            "Give it a part of them."
        )
    voting_S = ids_S >= 0
    all_A = np.bincount(ids_S[voting_S])
    right_A = np.bincount(ids_S[voting_S & correct_S], minlength=len(all_A))
    some_A = all_A > 0
    number_M = np.bincount(all_A[some_A])
    weight_M = np.bincount(all_A[some_A], right_A[some_A] / all_A[some_A])
    there = np.flatnonzero(number_M)[::-1]
    rows = zip(there.tolist(), number_M[there].tolist(), weight_M[there].tolist(), strict=True)
    return n, tuple(_Answers(*row) for row in rows)


def _majority(votes: _Votes, ks_K: IntArray) -> FloatArray:
    n, answers = votes
    chance_K = np.where(ks_K > n, np.nan, 0.0)
    if not any(same.weight for same in answers):
        return chance_K
    # All samples are one draw: the answers with the most votes share it.
    chance_K[ks_K == n] = answers[0].weight / answers[0].number
    drawn_K = ks_K < n
    if drawn_K.any():
        won_K = _draws_won(answers, n, ks_K[drawn_K])
        chance_K[drawn_K] = np.minimum(won_K / comb(n, ks_K[drawn_K]), 1.0)
    return chance_K


def _draws_won(answers: Sequence[_Answers], n: int, ks_K: IntArray) -> FloatArray:
    """Number of draws of k that correct answers win; a tie of t counts 1/t.

    Let the winner get x votes. Every other answer must get at most x. With a factor u for each that
    gets exactly x, the draws are the coefficients in z of a polynomial in z and u. Integrating u from 0
    to 1 turns u^t into 1/(t+1), the share of a tie with t rivals.
    """
    first, second = answers[0], answers[1].votes if len(answers) > 1 else 0
    rivalled = second if first.number == 1 else first.votes  # only one answer can get more votes
    won_K = _won_alone(first, rivalled, n, ks_K)
    likely_X_K = _likely(answers, n, ks_K)
    for x in range(1, min(rivalled, int(ks_K.max())) + 1):
        counted_K = likely_X_K[x] & (ks_K >= x)
        able = [same for same in answers if same.votes >= x]
        if not counted_K.any() or not any(same.weight for same in able):
            continue
        length = int(ks_K[counted_K].max()) - x + 1
        free = n - sum(same.votes * same.number for same in able)  # always fewer than x votes
        won_T, free_T = _won_with(x, able, length), _choices(free, length)
        draws_T = np.convolve(won_T, free_T)
        won_K[counted_K] += draws_T[ks_K[counted_K] - x]
    return won_K


def _won_alone(answer: _Answers, above: int, n: int, ks_K: IntArray) -> FloatArray:
    """Count draws of k in which an answer gets more votes than any other can."""
    x_X = np.arange(above + 1, min(answer.votes, int(ks_K.max())) + 1)
    if not answer.weight or not len(x_X):
        return np.zeros(len(ks_K))
    others_K_X = np.maximum(ks_K[:, None] - x_X, -1)
    rest_T = np.append(_choices(n - answer.votes, int(ks_K.max()) + 1), 0.0)  # at -1: none
    return np.asarray(answer.weight * rest_T[others_K_X] @ _choices(answer.votes, n + 1)[x_X])


def _likely(answers: Sequence[_Answers], n: int, ks_K: IntArray) -> npt.NDArray[np.bool_]:
    """Return for x = 0, 1, ... votes whether no answer gets more in a non-negligible share of draws.

    The votes of answers are negatively associated (Joag-Dev 1983, "Negative Association of Random
    Variables with Applications", Annals of Statistics 11(1)): the chance that all are at most x does not
    exceed the product of their single chances.
    """
    ks = tuple(ks_K.tolist())
    log_X_K = np.zeros((answers[0].votes + 1, len(ks)))
    for same in answers:
        log_X_K[: same.votes] += same.number * _log_at_most(n, same.votes, ks)
    return np.asarray(log_X_K > _NEGLIGIBLE)


@lru_cache(maxsize=1 << 12)
def _log_at_most(n: int, votes: int, ks: tuple[int, ...]) -> FloatArray:
    """Log of the chance that k of n samples hold at most x = 0..votes - 1 of so many; ``(votes, K)``."""
    log_factorial = gammaln(np.arange(n + 1) + 1.0)

    def log_choose(m: IntArray, j: IntArray) -> FloatArray:
        possible = (j >= 0) & (j <= m)
        j = np.where(possible, j, 0)
        log = log_factorial[m] - log_factorial[j] - log_factorial[m - j]
        return np.where(possible, log, -np.inf)

    x_X_1, k_K = np.arange(votes)[:, None], np.array(ks)
    all_K = log_choose(np.array(n), k_K)
    log_X_K = log_choose(np.array(votes), x_X_1) + log_choose(np.array(n - votes), k_K - x_X_1)
    with np.errstate(divide="ignore"):  # the log of 0
        found: FloatArray = np.log(np.minimum(np.exp(log_X_K - all_K).cumsum(axis=0), 1.0))
    found.flags.writeable = False
    return found


def _won_with(x: int, answers: Sequence[_Answers], length: int) -> FloatArray:
    """Count draws of x + 0, 1, ... of these answers that a correct one wins with x votes.

    All the answers may get x votes. ``all`` holds the draws in which each gets at most x. ``won`` holds
    those in which one of them also gets x, times its share of correct samples. Each answer multiplies
    both, and adds to ``won`` the draws in which it is that one.
    """
    # Gauss-Legendre is exact for the degree in u, which is the number of rivals that may tie.
    ties = min(sum(same.number for same in answers) - 1, (length - 1) // x)
    nodes_U, weights_U = _quadrature(ties // 2 + 1)
    all_U_T, won_U_T = np.ones((len(nodes_U), 1)), np.zeros((0, 1))
    # Never correct answers first: there is no ``won`` yet, and polynomials are short.
    for same in sorted(answers, key=lambda same: (same.weight > 0, same.votes)):
        factor = _choices(same.votes, x + 1)
        for last in range(same.number)[::-1]:
            before_U_T = all_U_T
            both = _times(np.concatenate([all_U_T, won_U_T]), factor, nodes_U, length)
            all_U_T, won_U_T = both[: len(nodes_U)], both[len(nodes_U) :]
            if same.weight and not last:
                won_U_T = won_U_T if len(won_U_T) else np.zeros_like(all_U_T)
                won_U_T[:, : before_U_T.shape[1]] += same.weight * factor[x] * before_U_T
    return np.asarray(weights_U @ won_U_T)


def _times(rows_B_T: FloatArray, factor: FloatArray, u_U: FloatArray, length: int) -> FloatArray:
    """Multiply polynomials by one whose last coefficient carries a factor u, and cut them to a length."""
    last, width = len(factor) - 1, rows_B_T.shape[1]
    if len(rows_B_T) < _ROWS_BY_SHIFTS < last:
        low = factor.copy()
        low[last] = 0.0
        product_B_T = np.stack([np.convolve(row, low)[:length] for row in rows_B_T])
    else:
        product_B_T = np.zeros((len(rows_B_T), min(width + last, length)))
        for j in range(min(last, length)):
            end = min(width + j, length)
            product_B_T[:, j:end] += factor[j] * rows_B_T[:, : end - j]
    start, end = min(last, length), min(width + last, length)
    u_B = np.resize(u_U, len(rows_B_T))
    product_B_T[:, start:end] += (factor[last] * u_B)[:, None] * rows_B_T[:, : end - start]
    return product_B_T


@lru_cache(maxsize=1 << 12)
def _choices(n: int, length: int) -> FloatArray:
    """Return the binomials of n over 0, 1, ..., length - 1; read-only, because cached."""
    found: FloatArray = comb(n, np.arange(length))
    found.flags.writeable = False
    return found


@lru_cache(maxsize=1 << 10)
def _quadrature(points: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes in 0..1 and weights of Gauss-Legendre quadrature."""
    nodes_U, weights_U = np.polynomial.legendre.leggauss(points)
    return (nodes_U + 1) / 2, weights_U / 2
