"""Sets of real numbers as sorted, disjoint intervals: union, intersection, difference."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias

Real: TypeAlias = Fraction | float  # a float is an infinity


class RealInterval(NamedTuple):
    """From ``low`` to ``high``; a point is an interval with equal, closed ends."""

    low: Real
    high: Real
    low_closed: bool
    high_closed: bool


def line() -> tuple[RealInterval, ...]:
    """Return all real numbers."""
    return (RealInterval(float("-inf"), float("inf"), False, False),)


def union(sets: Iterable[Sequence[RealInterval]]) -> tuple[RealInterval, ...]:
    """Return every number of any of the sets."""
    parts = sorted(
        (part for one in sets for part in one), key=lambda part: (part.low, not part.low_closed)
    )
    merged: list[RealInterval] = []
    for part in parts:
        last = merged[-1] if merged else None
        touches = last is not None and (
            part.low < last.high
            or (part.low == last.high and (part.low_closed or last.high_closed))
        )
        if last is None or not touches:
            merged.append(part)
            continue
        high, closed = max((last.high, last.high_closed), (part.high, part.high_closed))
        merged[-1] = RealInterval(last.low, high, last.low_closed, closed)
    return tuple(merged)


def intersection(
    left: Sequence[RealInterval], right: Sequence[RealInterval]
) -> tuple[RealInterval, ...]:
    """Return the numbers in both sets."""
    found = []
    for one in left:
        for other in right:
            low, low_open = max((one.low, not one.low_closed), (other.low, not other.low_closed))
            high, high_closed = min((one.high, one.high_closed), (other.high, other.high_closed))
            if low < high or (low == high and not low_open and high_closed):
                found.append(RealInterval(low, high, not low_open, high_closed))
    return tuple(sorted(found))


def difference(
    left: Sequence[RealInterval], right: Sequence[RealInterval]
) -> tuple[RealInterval, ...]:
    """Return the numbers of the left set that are not in the right one."""
    outside: list[RealInterval] = []
    low, low_closed = float("-inf"), False
    for part in union([right]):
        if low < part.low or (low == part.low and low_closed and not part.low_closed):
            outside.append(RealInterval(low, part.low, low_closed, not part.low_closed))
        low, low_closed = part.high, not part.high_closed  # type: ignore[assignment]
    outside.append(RealInterval(low, float("inf"), low_closed, False))
    return intersection(left, outside)
