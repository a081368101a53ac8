"""Where the pass@k of two runs crosses, as a sentence and as the cell of a table."""

import math

from polypath.metrics import Crossing
from polypath.metrics.crossing import NOWHERE, SEVERAL
from polypath.report.numbers import MISSING


def crossing_sentence(found: Crossing | None) -> str:
    """Say up to which k a run is above the base, or below; empty for fewer than two k.

    Args:
        found: where the run's pass@k minus the base's is 0.
    """
    if found is None or not found.sign_before:
        return ""
    side, other = ("above", "below") if found.sign_before > 0 else ("below", "above")
    last = found.last_k
    if found.found == SEVERAL:
        return (
            f"pass@k crosses the base's more than once up to k = {last}: first at {_number(found.k)}, "
            f"and anywhere in {_ends(found)}."
        )
    if found.found != NOWHERE:
        where = f"{_number(found.k)} {_ends(found)}"
        return (
            f"pass@k is {side} the base's up to k = {where} (the interval of this k), then {other}."
        )
    if math.isnan(found.low):
        return f"pass@k is {side} the base's at every k up to {last}."
    if found.from_start and found.to_end:
        return f"Whether pass@k crosses the base's up to k = {last} is within noise."
    return (
        f"pass@k is {side} the base's at every k up to {last}; a crossing is not ruled out in "
        f"{_ends(found)}."
    )


def crossing_cell(found: Crossing | None) -> str:
    """Say the same briefly, for a table.

    Args:
        found: where a difference over k is 0; ``None`` for fewer than two k.
    """
    if found is None or not found.sign_before:
        return MISSING
    side = "above" if found.sign_before > 0 else "below"
    if found.found == NOWHERE:
        maybe = "" if math.isnan(found.low) else f"; {_ends(found)} not ruled out"
        return f"{side} at every k{maybe}"
    several = " (and again)" if found.found == SEVERAL else ""
    return f"{side} to {_number(found.k)} {_ends(found)}{several}"


def _ends(found: Crossing) -> str:
    low = f"≤ {found.first_k}" if found.from_start else _number(found.low)
    high = f"≥ {found.last_k}" if found.to_end else _number(found.high)
    return f"[{low}, {high}]"


def _number(k: float) -> str:
    return f"{k:.1f}" if k < 10 else f"{k:.0f}"
