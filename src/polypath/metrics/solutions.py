"""The solutions among the samples of a problem: how many different ones there are.

All functions take ids: ``ids_N_S`` holds for each sample the number of its canonical solution
within its problem, ``NO_SOLUTION`` where none was found, and ``NO_SAMPLE`` where a problem has
fewer samples than the widest one. ``encode_solutions`` makes them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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
    replacement, so curves of different n are comparable at equal k.

    Args:
        ids_N_S: solution ids.
        correct_N_S: whether each sample is correct. A correct sample without a solution is
            not counted. To count wrong solutions as well, pass all True.
        ks: numbers of samples, >= 1.

    Returns:
        ``(N, K)`` in [0, k], higher = more diverse, NaN where a problem has fewer than k samples.
        Never decreasing in k. At k = n it is the plain count; at k = 1 the share of samples that
        are correct and have a solution.
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


def checked_ids(
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
    ids, correct = checked_ids(ids_N_S, correct_N_S)
    return ids, correct & (ids >= 0)


def _multiplicities(ids_N_S: IntArray, counted_N_S: BoolArray) -> tuple[IntArray, ...]:
    """Return (problem, solution, times) of each of the M distinct solutions that count."""
    row, _ = np.nonzero(counted_N_S)
    width = int(ids_N_S.max(initial=0)) + 1
    keys_M, times_M = np.unique(row * width + ids_N_S[counted_N_S], return_counts=True)
    return keys_M // width, keys_M % width, times_M
