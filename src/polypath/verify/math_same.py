"""Whether two leaves are the same: words, numbers, expressions by their values, matrices by their cells."""

import re
from typing import Any

from polypath.verify.math_leaf import Leaf, library
from polypath.verify.math_number import NumberAnswer, same_number
from polypath.verify.math_unit import unit_power
from polypath.verify.math_value import Opaque, agree, number_of

_NO_SOLUTION = re.compile(
    r"(?:thereis|thereare|there'?re)?no(?:real)?solutions?|(?:the)?emptyset|nosuch\w*"
)
_ALL = re.compile(r"(?:all|every|any|the)?real(?:number|value)?s?")


def plain_words(leaf: Leaf) -> str | None:
    """Return the words of a leaf; the sign of a set for those that name it."""
    if leaf.text == "⟦R⟧" or (leaf.wordy and _ALL.fullmatch(leaf.wordy)):
        return "⟦R⟧"
    if leaf.text == "∅" or (leaf.wordy and _NO_SOLUTION.fullmatch(leaf.wordy)):
        return "∅"
    return leaf.wordy


def constant_of(leaf: Leaf) -> NumberAnswer | None:
    """A leaf as a number: as it is written, else the value of an expression without variables."""
    if leaf.number is not None or leaf.wordy is not None or leaf.expression is None:
        return leaf.number
    value = number_of(leaf.expression)
    return None if value is None else NumberAnswer(value)


def same_leaf(gold: Leaf, answer: Leaf) -> bool:
    """Whether two leaves are the same: by their text, words, numbers or values, in this order."""
    if gold.squeezed == answer.squeezed:
        return True
    said, words = plain_words(gold), plain_words(answer)
    if said is not None or words is not None:
        return said == words
    powers = unit_power(gold.text), unit_power(answer.text)
    if None not in powers and powers[0] != powers[1]:
        return False  # units are not compared, but numbers are: cm^2 is not cm^3
    if gold.number is not None and answer.number is not None:
        return same_number(gold.number, answer.number)
    left, right = gold.expression, answer.expression
    if left is None or right is None:
        return False
    if any(leaf.number is not None and leaf.number.decimal for leaf in (gold, answer)):
        one, other = constant_of(gold), constant_of(answer)
        return one is not None and other is not None and same_number(one, other)
    return same_expression(left, right)


def explicit_matrix(expression: Any) -> Any:
    """The explicit matrix an expression stands for, or ``None``."""
    import sympy

    if isinstance(expression, sympy.MatrixBase | sympy.MatrixExpr):
        if expression.has(sympy.MatPow) and expression.free_symbols:
            return None  # inverting a matrix of symbols takes forever
        try:
            return sympy.ImmutableMatrix(expression.doit())
        except (TypeError, ValueError, AttributeError):
            return None
    return None


def same_expression(left: Any, right: Any) -> bool:
    """Whether two expressions, or matrices of them, have the same values."""
    import sympy

    matrices = [explicit_matrix(left), explicit_matrix(right)]
    if all(matrix is not None for matrix in matrices):
        one, other = matrices
        return bool(one.shape == other.shape) and all(
            map(same_expression, one.flat(), other.flat())
        )
    try:
        return agree(left, right)
    except Opaque:
        # Open integrals, sums with symbolic bounds and the like are the library's; but it takes two
        # relations that are never true for the same.
        if any(
            isinstance(side, sympy.Basic) and side.has(sympy.core.relational.Relational)
            for side in (left, right)
        ):
            return bool(left == right)
        return bool(library().verify([left], [right], timeout_seconds=None))
