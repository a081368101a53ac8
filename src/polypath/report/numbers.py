"""How numbers are written in tables, sentences and figures.

Every function returns a text. An unknown number is NaN. ``places`` is the number of decimals; ``None``
chooses it by size. ``sign`` says whether a number above 0 gets a plus.
"""

import math

MISSING = "–"  # in place of an unknown number
UNVARIED = 1e-9  # a smaller minimum detectable effect is rounding: all problems differ by the same


def number(value: float, *, places: int | None = None, sign: bool = False) -> str:
    """Write a number with three decimals, or ``places``; fewer if it is large, a dash for NaN.

    >>> number(0.03121), number(12.345), number(0.2, sign=True), number(1.5, places=2)
    ('0.031', '12.35', '+0.200', '1.50')
    """
    if not math.isfinite(value):
        return MISSING
    if places is None:
        places = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:{'+' if sign else ''}.{places}f}"


def ends(low: float, high: float, *, places: int | None = None, sign: bool = False) -> str:
    """Write both ends of an interval; empty if they are unknown.

    >>> ends(0.1, 0.25), ends(-0.1, 0.25, places=1, sign=True)
    ('[0.100, 0.250]', '[-0.1, +0.2]')
    """
    if not math.isfinite(low):
        return ""
    return f"[{number(low, places=places, sign=sign)}, {number(high, places=places, sign=sign)}]"


def with_ends(
    value: float, low: float, high: float, *, places: int | None = None, sign: bool = False
) -> str:
    """Write a number with both ends of its interval, if they are known.

    >>> with_ends(0.2, 0.1, 0.25)
    '0.200 [0.100, 0.250]'
    """
    told = number(value, places=places, sign=sign)
    both = "" if told == MISSING else ends(low, high, places=places, sign=sign)
    return f"{told} {both}".rstrip()


def with_half(value: float, low: float, high: float, *, places: int = 3, sign: bool = False) -> str:
    """Write a number with half the width of its interval, if that is known.

    >>> with_half(0.2, 0.1, 0.25), with_half(1.5, 0.1, 2.9, places=2, sign=True)
    ('0.200 ±.075', '+1.50 ±1.40')
    """
    half = (high - low) / 2
    told = number(value, places=places, sign=sign)
    if told == MISSING or not math.isfinite(half):
        return told
    return f"{told} ±{half:.{places}f}".replace("±0.", "±.")


def levels(before: float, after: float, *, share: bool = False) -> tuple[str, str]:
    """Write two levels with few decimals; with more if they would look equal but are not.

    Args:
        before: the first level.
        after: the second.
        share: whether they are shares in [0, 1], written without the leading zero.

    >>> levels(0.36, 0.77, share=True), levels(0.36, 0.364, share=True), levels(4.81, 3.0)
    (('.36', '.77'), ('.360', '.364'), ('4.8', '3.0'))
    """
    places = 2 if share else 1
    while places < 4 and before != after and f"{before:.{places}f}" == f"{after:.{places}f}":
        places += 1
    first, second = f"{before:.{places}f}", f"{after:.{places}f}"
    return (first.removeprefix("0"), second.removeprefix("0")) if share else (first, second)


def effect(smallest: float) -> str:
    """Write a minimum detectable effect, or that the paired differences did not vary.

    Args:
        smallest: the effect, at least 0, in the units of the measure.

    >>> effect(0.0582), effect(0.0001), effect(1e-17)
    ('0.058', '<0.001', 'nothing varied')
    """
    if smallest < UNVARIED:
        return "nothing varied"
    return "<0.001" if smallest < 0.0005 else number(smallest)


def p_value(p: float) -> str:
    """Write a p-value.

    Args:
        p: in [0, 1]; NaN where unknown.

    >>> p_value(0.00001), p_value(0.0312), p_value(1.0)
    ('<.001', '.031', '1.000')
    """
    if not math.isfinite(p):
        return MISSING
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
