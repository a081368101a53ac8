r"""The k at which one model's pass@k falls below another's, with its interval.

After reinforcement learning pass@1 is often higher than the base's, and pass@64 lower. The k between, where
the two curves cross, says up to how many samples the trained model is the better one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from polypath.errors import ShapeError
from polypath.metrics.pass_at_k import FloatArray

NOWHERE, ONCE, SEVERAL = "nowhere", "once", "several times"


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where a difference over k is 0, between the smallest and the largest k.

    The interval runs from the first to the last k whose own interval of the difference contains 0. If the
    true difference is 0 at one k, that k is among them with the probability of those intervals: only the
    test at that k must not fail, so no correction for the many k is needed.
    """

    k: float  # the first k at which the difference is 0, interpolated in log k; NaN if nowhere
    low: float  # NaN if no k is possible
    high: float
    from_start: bool  # the smallest k is possible, so the crossing may lie below it
    to_end: bool  # the largest k is possible, so the crossing may lie beyond it
    found: str  # how often the difference changes its sign: NOWHERE, ONCE or SEVERAL
    sign_before: int  # sign of the difference at the smallest k: 1, -1, or 0
    first_k: int
    last_k: int


def find_crossing(
    ks: Sequence[int], estimate_K: npt.ArrayLike, low_K: npt.ArrayLike, high_K: npt.ArrayLike
) -> Crossing:
    """Find where a difference over k is 0, from its pointwise intervals.

    Between two k, the difference and the ends of its interval are straight lines over log k.

    Args:
        ks: two k or more, rising.
        estimate_K: differences, such as pass@k of a trained model minus the base's.
        low_K: lower ends of their pointwise intervals.
        high_K: upper ends.

    Raises:
        ShapeError: the shapes differ, there are fewer than two k, or they do not rise.
    """
    parts = [np.asarray(part, dtype=np.float64) for part in (ks, estimate_K, low_K, high_K)]
    if len({part.shape for part in parts}) > 1 or parts[0].ndim != 1 or len(parts[0]) < 2:
        raise ShapeError(
            "find_crossing needs two k or more, with an estimate and both ends at each, got shapes "
            f"{[part.shape for part in parts]}."
        )
    if not (np.diff(parts[0]) > 0).all() or parts[0][0] <= 0:
        raise ShapeError(f"ks must rise from at least 1, got {list(ks)}.")
    at_K, (estimate, low, high) = np.log(parts[0]), parts[1:]
    zeros = _zeros(at_K, estimate)
    ends = [*_zeros(at_K, low), *_zeros(at_K, high)]
    possible_K = (low <= 0) & (high >= 0)
    possible = [*at_K[possible_K].tolist(), *ends]
    return Crossing(
        k=float(np.exp(zeros[0])) if zeros else np.nan,
        low=float(np.exp(min(possible))) if possible else np.nan,
        high=float(np.exp(max(possible))) if possible else np.nan,
        from_start=bool(possible_K[0]),
        to_end=bool(possible_K[-1]),
        found=SEVERAL if len(zeros) > 1 else ONCE if zeros else NOWHERE,
        sign_before=int(np.sign(estimate[0])) if np.isfinite(estimate[0]) else 0,
        first_k=int(parts[0][0]),
        last_k=int(parts[0][-1]),
    )


def _zeros(at_K: FloatArray, value_K: FloatArray) -> list[float]:
    """Return where the line through the points changes its sign."""
    found = []
    # A point at 0 does not change the sign itself; its neighbours that are not 0 do.
    known = np.flatnonzero(np.isfinite(value_K) & (value_K != 0))
    for left, right in pairwise(known):
        if np.sign(value_K[left]) != np.sign(value_K[right]):
            between = value_K[left + 1 : right]
            if len(between):
                found.append(float(at_K[left + 1 : right][between == 0].mean()))
                continue
            share = value_K[left] / (value_K[left] - value_K[right])
            found.append(float(at_K[left] + share * (at_K[right] - at_K[left])))
    return found
