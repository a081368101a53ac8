"""Statistics of training groups, cheap enough to log at every step.

P prompts by G completions. Distinct solutions and duplicates of a group are computed by
``polypath.metrics.solutions``, with the prompts of the step as its problems.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.checks import check_shapes
from polypath.errors import ShapeError
from polypath.metrics.pass_at_k import FloatArray, as_bool
from polypath.metrics.solutions import count_distinct, duplicate_rate


@dataclass(frozen=True, kw_only=True)
class OutcomeShares:
    """Shares of groups by outcome; they add up to 1. NaN when there are no groups with a score."""

    all_correct: float  # no signal left except from adjusted rewards
    all_wrong: float
    mixed: float  # the groups that plain GRPO learns from


def outcome_shares(
    correct_P_G: npt.ArrayLike, scored_P_G: npt.ArrayLike | None = None
) -> OutcomeShares:
    """Count groups that are all correct, all wrong, and mixed, as shares in [0, 1].

    Args:
        correct_P_G: whether each completion is correct.
        scored_P_G: whether correctness is known; ``None``: for all. Other completions, and groups
            without a scored one, are left out.

    Raises:
        ShapeError, DataError: not a 2-D array of 0 and 1 with at least one completion a group.
    """
    correct = as_bool("correct_P_G", correct_P_G)
    scored = np.ones_like(correct) if scored_P_G is None else as_bool("scored_P_G", scored_P_G)
    check_shapes(correct_P_G=correct, scored_P_G=scored)
    if correct.shape[1] == 0:
        raise ShapeError("correct_P_G must have at least one completion per group, got 0.")
    known_P = scored.any(axis=1)
    correct, scored = correct[known_P], scored[known_P]
    if not len(correct):
        return OutcomeShares(all_correct=np.nan, all_wrong=np.nan, mixed=np.nan)
    all_P, any_P = (correct | ~scored).all(axis=1), (correct & scored).any(axis=1)
    return OutcomeShares(
        all_correct=float(all_P.mean()),
        all_wrong=float((~any_P).mean()),
        mixed=float((any_P & ~all_P).mean()),
    )


def mean_pairwise_similarity(similarity_P_G_G: npt.ArrayLike) -> FloatArray:
    """Mean similarity over pairs of different completions of a group.

    Args:
        similarity_P_G_G: symmetric; the diagonal is ignored.

    Returns:
        ``(P,)`` in [-1, 1], lower = more diverse; NaN for groups of one.
    """
    s_P_G_G = np.asarray(similarity_P_G_G, dtype=np.float64)
    check_shapes(similarity_P_G_G=s_P_G_G)
    num_groups, size = s_P_G_G.shape[:2]
    if size < 2:
        return np.full(num_groups, np.nan)
    off_diagonal_P = s_P_G_G.sum(axis=(1, 2)) - np.trace(s_P_G_G, axis1=1, axis2=2)
    mean_P: FloatArray = off_diagonal_P / (size * (size - 1))
    return mean_P


def group_statistics(
    ids_P_G: npt.ArrayLike,
    correct_P_G: npt.ArrayLike,
    similarity_P_G_G: npt.ArrayLike | None = None,
    scored_P_G: npt.ArrayLike | None = None,
) -> dict[str, float]:
    """Collect one step's statistics under the names used in training logs.

    Args:
        ids_P_G: solution ids, from ``encode_solutions``.
        correct_P_G: whether each completion is correct.
        similarity_P_G_G: leave out when no similarity was computed.
        scored_P_G: as in ``outcome_shares``.

    Returns:
        Means over the groups for which each is defined (NaN when it is for none):
        ``distinct_solutions`` and ``distinct_correct`` per group (higher = more diverse),
        ``duplicate_rate`` and ``duplicate_rate_correct`` (lower = more diverse), ``all_correct``,
        ``all_wrong`` and ``mixed`` (shares of groups), and ``similarity`` if given.
    """
    distinct_correct_P = count_distinct(ids_P_G, correct_P_G)
    if scored_P_G is not None:
        distinct_correct_P = distinct_correct_P[np.asarray(scored_P_G).any(axis=1)]
    statistics = {
        "distinct_solutions": _mean(count_distinct(ids_P_G)),
        "distinct_correct": _mean(distinct_correct_P),
        "duplicate_rate": _mean(duplicate_rate(ids_P_G)),
        "duplicate_rate_correct": _mean(duplicate_rate(ids_P_G, correct_P_G)),
        **vars(outcome_shares(correct_P_G, scored_P_G)),
    }
    if similarity_P_G_G is not None:
        statistics["similarity"] = _mean(mean_pairwise_similarity(similarity_P_G_G))
    return statistics


def _mean(values_P: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> float:
    known_P = values_P[~np.isnan(values_P)]
    return float(known_P.mean()) if known_P.size else float("nan")
