r"""Whether an answer equals a gold answer, shape by shape; leaves are compared by their values.

The gold defines what is asked for. An answer ``x = 5`` is right for the gold 5, and so is 5 for the gold
``x = 5``. But an answer that contradicts itself (``8 = 7``) is never right. An equation is compared with
an equation by its solutions, not by what is left if both have none.
"""

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from polypath.verify.math_condition import ORDERS, end_of, real_set, upward
from polypath.verify.math_leaf import Leaf
from polypath.verify.math_number import NumberAnswer
from polypath.verify.math_same import constant_of, explicit_matrix, same_expression, same_leaf
from polypath.verify.math_shape import Builder, Chain, Combined, Grid, Group, Shape, leaves
from polypath.verify.math_value import Opaque, same_value, symbols, values

_EQUALS = frozenset("=≈")
_OPERATOR = re.compile(r"[\d+\-*/^!]")
_INDEX = re.compile(r"_\{[^{}]*\}|_\w|\([^()]*\)|\\(?:math\w+|text|vec|hat|bar|overline)")
_MOST_OPERATIONS = 60  # of an equation whose polynomials are compared


def equal(gold: Shape, answer: Shape) -> bool:
    """Whether the answer says the same as the gold."""
    gold, answer = _single(gold), _single(answer)
    if _is_several(answer, gold):
        return True
    match gold, answer:
        case Leaf(), Leaf():
            return same_leaf(gold, answer)
        case Chain(), Chain():
            return _chains(gold, answer)
        case _, Chain():
            stated = answer.sides[1:] if _letters(answer.sides[0]) else answer.sides
            if (
                set(answer.signs) <= _EQUALS | {"∈"}
                and _consistent(answer)
                and not _is_normal(answer)
            ):
                same = [side for side in stated[:-1] if "≈" in answer.signs or not _letters(side)]
                return any(equal(gold, side) for side in (*same, stated[-1]))
        case Chain(), _:
            if set(gold.signs) <= _EQUALS | {"∈"} and _states_a_value(gold):
                sides = gold.sides[1:] if "≈" in gold.signs else gold.sides[-1:]
                sides = gold.sides if "≈" in gold.signs and not _is_name(gold.sides[0]) else sides
                if any(equal(side, answer) for side in sides):
                    return True
        case Group(), Group():
            if _groups(gold, answer):
                return True
        case (Grid(), _) | (_, Grid()):
            return _grids(gold, answer)
        case Builder(), Builder():
            if equal(gold.item, answer.item) and equal(gold.condition, answer.condition):
                return True
        case Combined(), Combined():
            if gold.sign == answer.sign and _matched(gold.parts, answer.parts):
                return True
    left = real_set(gold)
    return left is not None and left == real_set(answer)


def _is_several(answer: Shape, gold: Shape) -> bool:
    """Whether the answer is a list of one value written in several ways: ``1/2, 0.5``."""
    if not isinstance(answer, Group) or answer.brackets or isinstance(gold, Group):
        return False
    return all(equal(gold, item) for item in answer.items)


def _single(shape: Shape) -> Shape:
    """A list or set of one item is that item, unless it is an interval's bracket."""
    return shape.items[0] if isinstance(shape, Group) and len(shape.items) == 1 else shape


# Relations


def _letters(shape: Shape) -> bool:
    """Whether a side has a variable, and so is not a computation."""
    return any(
        leaf.number is None
        and (
            leaf.wordy is not None
            or leaf.expression is None
            or bool(symbols(leaf.expression) - {"i"})
        )
        for leaf in leaves(shape)
    )


def _is_name(shape: Shape) -> bool:
    r"""Whether a side is a name, or names: ``x``, ``f(x)``, ``\lambda_1``, ``(x, y)``."""
    return all(
        _letters(leaf) and not _OPERATOR.search(_INDEX.sub("", leaf.text)) for leaf in leaves(shape)
    )


def _states_a_value(chain: Chain) -> bool:
    if _is_name(chain.sides[0]) or "≈" in chain.signs:
        return True
    # A computation with vectors asks for its result.
    return any(isinstance(side, Grid | Group) for side in chain.sides)


def _is_normal(chain: Chain) -> bool:
    """Whether it is an equation brought to zero, ``2x + 3y - 3 = 0``: that does not say 0."""
    last = chain.sides[-1]
    zero = isinstance(last, Leaf) and last.number is not None and last.number.value == 0
    return zero and _letters(chain.sides[0]) and not _is_name(chain.sides[0])


def _consistent(chain: Chain) -> bool:
    """Whether no two constant sides contradict each other. A decimal may be rounded or cut off."""
    numbers = [constant_of(side) if isinstance(side, Leaf) else None for side in chain.sides]
    known = [(number, place) for place, number in enumerate(numbers) if number is not None]
    return all(
        _shortened(one, other, rounded="≈" in chain.signs[:place])
        for (one, _), (other, place) in itertools.pairwise(known)
    )


def _shortened(one: NumberAnswer, other: NumberAnswer, *, rounded: bool) -> bool:
    """Whether two numbers are equal, or one is the other rounded or cut off at its last decimal."""
    if abs(one.value - other.value) < Fraction(1, 10**30):  # exact sides have 36 digits
        return True
    if not (rounded or one.decimal or other.decimal):
        return False
    if not rounded and (other.places is None or (one.places or 1000) < other.places):
        one, other = other, one
    unit = Fraction(1, 10 ** max(other.places or 0, 0))
    gap = abs(one.value - other.value)
    return gap <= unit / 2 or (gap < unit and abs(other.value) < abs(one.value))


def _same_sides(gold: Sequence[Shape], answer: Sequence[Shape]) -> bool:
    return len(gold) == len(answer) and all(map(equal, gold, answer))


def _same_name(gold: Shape, answer: Shape) -> bool:
    """``y`` is ``y(x)``, but not ``x``."""
    if equal(gold, answer):
        return True
    if isinstance(gold, Leaf) and isinstance(answer, Leaf):
        names = sorted((gold.squeezed, answer.squeezed), key=len)
        return bool(names[0]) and bool(re.fullmatch(re.escape(names[0]) + r"\([^()]*\)", names[1]))
    return False


def _chains(gold: Chain, answer: Chain) -> bool:
    gold, answer = upward(gold), upward(answer)
    if {*gold.signs, *answer.signs} <= _EQUALS:
        return _equations(gold, answer)
    if gold.signs == answer.signs and _same_sides(gold.sides, answer.sides):
        return True
    if gold.signs == answer.signs == ("≠",) and _same_sides(gold.sides, answer.sides[::-1]):
        return True
    if len(gold.signs) == 1 and gold.signs == answer.signs and gold.signs[0] in ORDERS:
        return _proportional(gold, answer, positive=True)
    left = real_set(gold)
    return left is not None and left == real_set(answer)


def _exact(chain: Chain) -> tuple[Shape, ...]:
    """The sides before the first rounding."""
    return chain.sides[: chain.signs.index("≈") + 1 if "≈" in chain.signs else None]


def _numbers(shape: Shape) -> list[str]:
    return sorted(number for leaf in leaves(shape) for number in re.findall(r"\d+", leaf.text))


def _same_step(gold: Shape, answer: Shape) -> bool:
    r"""Whether two sides that are not results are the same: ``\cos 2\pi`` is not ``\cos 4\pi``."""
    return equal(gold, answer) and (_letters(gold) or _numbers(gold) == _numbers(answer))


def _same_equation(gold: Sequence[Shape], answer: Sequence[Shape]) -> bool:
    return (
        len(gold) == len(answer)
        and equal(gold[-1], answer[-1])
        and all(map(_same_step, gold[:-1], answer[:-1]))
    )


def _equations(gold: Chain, answer: Chain) -> bool:
    if not _consistent(answer):
        return False
    if _is_name(answer.sides[-1]) and not _is_name(answer.sides[0]):
        answer = Chain(answer.sides[::-1], answer.signs[::-1])  # 5 = x
    left, right = _exact(gold), _exact(answer)
    if _same_equation(left, right):
        rounded = len(gold.sides) - len(left), len(answer.sides) - len(right)
        # Roundings of constants are consistent; of formulas they have to be the same.
        return not all(rounded) or not _letters(left[-1]) or _same_sides(gold.sides, answer.sides)
    if (
        _is_name(gold.sides[0])
        and _is_name(answer.sides[0])
        and _same_name(gold.sides[0], answer.sides[0])
    ):
        if len(left) != len(right) or len(left) == 2:
            return any(equal(one, right[-1]) for one in (left[-1], *gold.sides[len(left) :]))
        return False
    if len(gold.sides) != 2 or len(answer.sides) != 2:
        return False
    if not all(map(_letters, (gold, answer))):
        return _same_equation(gold.sides[::-1], answer.sides)
    return _proportional(gold, answer, positive=False) or _same_polynomial(gold, answer)


def _sides(*chains: Chain) -> list[Any] | None:
    """Expressions of all sides; ``None`` if a side is not an expression."""
    import sympy

    found = [
        side.expression if isinstance(side, Leaf) else None
        for chain in chains
        for side in chain.sides
    ]
    return found if all(isinstance(side, sympy.Expr) for side in found) else None


def _proportional(gold: Chain, answer: Chain, *, positive: bool) -> bool:
    """Whether left minus right of one is a constant times that of the other."""
    sides = _sides(gold, answer)
    if sides is None or not symbols_of(sides[:2]) & symbols_of(sides[2:]):
        return False
    try:
        points = list(itertools.islice(values(sides), 6))
    except Opaque:
        return False
    ratios = []
    for left, right, one, other in points:
        size = max(map(abs, (left, right, one, other)))
        if same_value(left, right) or same_value(one, other):
            if not (abs(left - right) + abs(one - other) <= 1e-12 * size):
                return False
            continue
        ratios.append((one - other) / (left - right))
    if len(ratios) < 2 or any(not same_value(ratio, ratios[0]) for ratio in ratios):
        return False
    return not positive or bool(ratios[0].real > 0 and ratios[0].imag == 0)


def symbols_of(expressions: Sequence[Any]) -> set[str]:
    """Names in any of the expressions, in one case."""
    return {name.casefold() for part in expressions for name in symbols(part)}


def _same_polynomial(gold: Chain, answer: Chain) -> bool:
    """Whether two equations become the same polynomial: ``1/x = y`` and ``x y = 1``."""
    import sympy

    sides = _sides(gold, answer)
    if sides is None or sum(side.count_ops() for side in sides) > _MOST_OPERATIONS:
        return False
    if symbols_of(sides[:2]) != symbols_of(sides[2:]):
        return False
    try:
        tops = []
        for left, right in (sides[:2], sides[2:]):
            top = sympy.fraction(sympy.together(left - right))[0]
            names = sorted(top.free_symbols, key=str)
            tops.append(sympy.Poly(top, *names).monic())
        return bool(tops[0] == tops[1] and tops[0].total_degree() > 0)
    except (
        sympy.polys.polyerrors.BasePolynomialError,
        ArithmeticError,
        AttributeError,
        NotImplementedError,
        TypeError,
        ValueError,
    ):
        return False


# Lists, vectors, sets


def _matched(gold: Sequence[Shape], answer: Sequence[Shape]) -> bool:
    """Whether items match one to one in some order. Repeats count once if only one side has them."""
    wanted, given = _distinct(gold), list(_distinct(answer))
    if len(wanted) < len(gold) and len(given) < len(answer):
        wanted, given = list(gold), list(answer)
    if len(wanted) != len(given):
        return False
    for item in wanted:
        place = next((place for place, other in enumerate(given) if equal(item, other)), None)
        if place is None:
            return False
        del given[place]
    return True


def _distinct(items: Sequence[Shape]) -> list[Shape]:
    found: list[Shape] = []
    for item in items:
        if not any(other == item or equal(other, item) for other in found):
            found.append(item)
    return found


def _groups(gold: Group, answer: Group) -> bool:
    loose = ("", "⦃⦄")
    if gold.brackets in loose and answer.brackets in loose:
        return _matched(gold.items, answer.items)
    if any(isinstance(item, Chain) for item in gold.items) and any(
        isinstance(item, Chain) for item in answer.items
    ):
        return _matched(gold.items, answer.items)  # [x = 1, y = 2] in any brackets
    kinds = {gold.brackets, answer.brackets}
    interval = len(gold.items) == 2 and not any(
        isinstance(item, Chain) for item in gold.items + answer.items
    )
    if interval and len(kinds - {"⟨⟩", *loose}) > 1:
        # (1, 2) is not [1, 2], but (2, 1) is no interval; nothing is closed at infinity.
        ends = [end_of(item) for item in gold.items]
        if None in ends or ends[0] < ends[1]:  # type: ignore[operator]
            left = real_set(gold)
            return left is not None and left == real_set(answer)
        return kinds == {"()", "[]"} and _same_sides(gold.items, answer.items)
    if interval and kinds & {"(]", "[)", "[]"} and kinds & {"", "⦃⦄"}:
        return False
    if kinds & {"(]", "[)"} and len(kinds) > 1:
        return False
    return _same_sides(gold.items, answer.items)


def _grids(gold: Shape, answer: Shape) -> bool:
    if isinstance(gold, Grid) and isinstance(answer, Grid):
        return len(gold.rows) == len(answer.rows) and all(map(_same_sides, gold.rows, answer.rows))
    for grid, other in ((gold, answer), (answer, gold)):
        if not isinstance(grid, Grid):
            continue
        if isinstance(other, Group) and 1 in (len(grid.rows), max(map(len, grid.rows), default=0)):
            cells = [cell for row in grid.rows for cell in row]
            return _same_sides(*((cells, other.items) if grid is gold else (other.items, cells)))
        matrix = explicit_matrix(other.expression) if isinstance(other, Leaf) else None
        if matrix is None or [matrix.shape[1]] * matrix.shape[0] != list(map(len, grid.rows)):
            return False
        entries = zip((cell for row in grid.rows for cell in row), matrix.flat(), strict=True)
        return all(
            isinstance(cell, Leaf)
            and cell.expression is not None
            and same_expression(cell.expression, entry)
            for cell, entry in entries
        )
    return False
