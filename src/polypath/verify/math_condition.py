"""Sets of real numbers that answers write as intervals, conditions on a variable, or set builders."""

import functools
from fractions import Fraction

from polypath.verify.math_interval import RealInterval, difference, intersection, line, union
from polypath.verify.math_leaf import Leaf
from polypath.verify.math_same import constant_of, plain_words
from polypath.verify.math_shape import Builder, Chain, Combined, Group, Shape

_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
ORDERS = frozenset(_FLIPPED)


def upward(chain: Chain) -> Chain:
    """Write ``3 > x`` as ``x < 3``."""
    if chain.signs and set(chain.signs) <= {">", "≥"}:
        return Chain(chain.sides[::-1], tuple(_FLIPPED[sign] for sign in chain.signs[::-1]))
    return chain


def end_of(shape: Shape) -> Fraction | float | None:
    """An end of an interval."""
    if not isinstance(shape, Leaf):
        return None
    squeezed = shape.squeezed.lstrip("+")
    if squeezed in ("∞", "-∞"):
        return float(squeezed.replace("∞", "inf"))
    number = constant_of(shape)
    return None if number is None else number.value


def _interval(low: Shape, high: Shape, brackets: str) -> RealInterval | None:
    ends = end_of(low), end_of(high)
    if ends[0] is None or ends[1] is None or not ends[0] < ends[1]:
        return None
    closed = [
        bracket in "[]" and not isinstance(end, float)
        for bracket, end in zip(brackets, ends, strict=True)
    ]
    return RealInterval(ends[0], ends[1], *closed)


def real_set(shape: Shape) -> tuple[RealInterval, ...] | None:
    """The set of real numbers a shape stands for, if it is an interval, a condition, or made of such."""
    match shape:
        case Leaf() if plain_words(shape) == "∅":
            return ()
        case Leaf() if plain_words(shape) == "⟦R⟧":
            return line()
        case Group(brackets="⦃⦄"):
            ends = [end_of(item) for item in shape.items]
            points = [RealInterval(end, end, True, True) for end in ends if end is not None]
            return union([(point,) for point in points]) if len(points) == len(ends) else None
        case Group(brackets=brackets) if len(shape.items) == 2 and brackets in (
            "()",
            "(]",
            "[)",
            "[]",
        ):
            found = _interval(*shape.items, brackets)
            return None if found is None else (found,)
        case Group(brackets=""):
            sets = [real_set(item) for item in shape.items]
            known = [part for part in sets if part is not None]
            if len(known) < len(sets) or not all(isinstance(item, Chain) for item in shape.items):
                return None
            # Conditions that exclude each other are alternatives.
            return functools.reduce(intersection, known) or union(known)
        case Combined():
            sets = [real_set(part) for part in shape.parts]
            known = [part for part in sets if part is not None]
            if len(known) < len(sets):
                return None
            if shape.sign == "∪":
                return union(known)
            return functools.reduce(intersection if shape.sign == "∩" else difference, known)
        case Builder():
            return (
                real_set(shape.condition) if _variable(shape.item) or _membership(shape) else None
            )
        case Chain():
            return _solved(upward(shape))
    return None


def _membership(shape: Builder) -> bool:
    return (
        isinstance(shape.item, Chain)
        and shape.item.signs == ("∈",)
        and _variable(shape.item.sides[0])
    )


def _variable(shape: Shape) -> bool:
    return isinstance(shape, Leaf) and len(shape.squeezed) == 1 and shape.squeezed.isalpha()


def _solved(chain: Chain) -> tuple[RealInterval, ...] | None:
    """The set of a condition on one variable in solved form."""
    infinite = float("inf")
    if len(chain.sides) == 3 and _variable(chain.sides[1]) and set(chain.signs) <= {"<", "≤"}:
        brackets = "[("[chain.signs[0] == "<"] + "])"[chain.signs[1] == "<"]
        found = _interval(chain.sides[0], chain.sides[2], brackets)
        return None if found is None else (found,)
    if len(chain.sides) != 2:
        return None
    (left, right), (sign,) = chain.sides, chain.signs
    if sign == "∈" and _variable(left):
        return real_set(right)
    if not _variable(left):
        left, right, sign = right, left, _FLIPPED.get(sign, sign)
    end = end_of(right)
    if not _variable(left) or end is None:
        return None
    closed = sign in "≤≥"
    if sign in "<≤":
        return (RealInterval(-infinite, end, False, closed),)
    if sign in ">≥":
        return (RealInterval(end, infinite, closed, False),)
    point = (RealInterval(end, end, True, True),)
    return difference(line(), point) if sign == "≠" else None
