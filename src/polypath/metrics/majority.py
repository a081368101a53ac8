"""The exact chance that the commonest of k answers is right: majority@k, also maj@k and cons@k."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from polypath.errors import DataError
from polypath.metrics.pass_at_k import BoolArray, FloatArray, IntArray, check_ks
from polypath.metrics.solutions import NO_SAMPLE, checked_ids
from polypath.metrics.vote_draws import Votes, chance_of_majority

MAX_MAJORITY_SAMPLES = 1000  # beyond, the number of subsets overflows a double

_CELLS_AT_ONCE = 1 << 20  # votes of a block of problems


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
    n_N = (ids != NO_SAMPLE).sum(axis=1)
    most = int(n_N.max(initial=0))
    if most > MAX_MAJORITY_SAMPLES:
        raise DataError(
            f"majority_at_k: a problem has {most} samples, more than {MAX_MAJORITY_SAMPLES}. "
            "Give it a part of them."
        )
    result_N_K = np.full((len(ids), len(ks_K)), np.nan)
    block = max(1, _CELLS_AT_ONCE // max(1, ids.shape[1]))
    for start in range(0, len(ids), block):
        some = slice(start, start + block)
        answer_R_A = _answers(ids[some], correct[some], most + 1)
        result_N_K[some] = _of_block(answer_R_A, n_N[some], ks_K, most + 1)
    return result_N_K


def _answers(ids_R_S: IntArray, correct_R_S: BoolArray, base: int) -> IntArray:
    """Return ``votes * base + right`` of each answer, the most votes first and 0 where there is none.

    Of an answer only these two numbers matter.
    """
    shape = (len(ids_R_S), int(ids_R_S.max(initial=-1)) + 1)
    voting_R_S = ids_R_S >= 0
    cell_V = (np.arange(shape[0])[:, None] * shape[1] + ids_R_S)[voting_R_S]
    right_V = cell_V[correct_R_S[voting_R_S]]
    size = shape[0] * shape[1]
    votes_A = np.bincount(cell_V, minlength=size) * base + np.bincount(right_V, minlength=size)
    return -np.sort(-votes_A.reshape(shape), axis=1)


def _of_block(answer_R_A: IntArray, n_R: IntArray, ks_K: IntArray, base: int) -> FloatArray:
    """Return ``majority_at_k`` of some problems; those with equal votes are computed once."""
    keys = [row.tobytes() for row in np.column_stack([n_R, answer_R_A])]
    place = {key: row for row, key in enumerate(keys)}  # one row of each
    different = np.array([*place.values()], dtype=np.int64)
    number_of = {key: number for number, key in enumerate(place)}
    votes = _classes(answer_R_A[different], n_R[different], base)
    return chance_of_majority(votes, ks_K)[[number_of[key] for key in keys]]


def _classes(answer_R_A: IntArray, n_R: IntArray, base: int) -> Votes:
    """Join the answers of a problem that have the same votes."""
    row_A, column_A = np.nonzero(answer_R_A)
    votes_A, right_A = np.divmod(answer_R_A[row_A, column_A], base)
    first_C = np.flatnonzero(
        (np.diff(row_A, prepend=-1) != 0) | (np.diff(votes_A, prepend=-1) != 0)
    )
    row_C = row_A[first_C]
    place_C = np.arange(len(row_C)) - np.searchsorted(row_C, row_C)
    shape = (len(answer_R_A), int(place_C.max(initial=-1)) + 1)
    votes_R_C, number_R_C = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    weight_R_C = np.zeros(shape)
    votes_R_C[row_C, place_C] = votes_A[first_C]
    number_R_C[row_C, place_C] = np.diff(first_C, append=len(row_A))
    if len(first_C):
        weight_R_C[row_C, place_C] = np.add.reduceat(right_A / votes_A, first_C)
    return Votes(n_R=n_R, votes_R_C=votes_R_C, number_R_C=number_R_C, weight_R_C=weight_R_C)
