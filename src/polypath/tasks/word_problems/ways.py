"""The way of solving in a worked text: which quantities it computes, from which, and how.

The equations of the text are found as Div-Equ finds them (``metrics.equations``). Each must hold. From
the final answer back to the given numbers they form an expression, and the expression is the way, with
a letter for each given number:

    Each pen costs 12 / 4 = 3. So 20 pens cost 3 * 20 = 60. The answer is 60.     (b / a) * c
    20 / 4 = 5, and 12 * 5 = 60. The answer is 60.                                (c / a) * b

``+`` and ``*`` are commutative, and nothing else is folded: ``(a - b) - c`` and ``a - (b + c)`` compute
other quantities on the way. Steps that the answer does not need leave no trace. A text that sets up an
equation in the unknown x is another way than one that does not: ``x: (c - b) / a``.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

UNKNOWN = "x"
LETTERS = "abcdefgh"  # of the given numbers, in their order
# Bounds that make every text cheap to read, and keep recursion shallow. A text of the task needs 5
# equations with sides of 20 characters.
MOST_EQUATIONS = 16
MOST_CHARACTERS = 60  # of one side of an equation
LONGEST_WAY = 120

_OPERATORS: dict[type[ast.operator], tuple[str, Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
}
_EXPRESSION = re.compile(r"[\d.+\-*/()a-z ]+", re.ASCII)


def parse_expression(text: str) -> ast.expr | None:
    """Read an expression of numbers, letters, + - * / and brackets; ``None`` for anything else."""
    if len(text) > MOST_CHARACTERS or not _EXPRESSION.fullmatch(text):
        return None
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return tree if _is_arithmetic(tree) else None


def _is_arithmetic(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        known = type(node.op) in _OPERATORS
        return known and _is_arithmetic(node.left) and _is_arithmetic(node.right)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and math.isfinite(node.value)
    return isinstance(node, ast.Name) and len(node.id) == 1


def evaluate(node: ast.expr, values: Mapping[str, Fraction]) -> Fraction | None:
    """Return the exact value; ``None`` for a division by zero or a letter without a value."""
    if isinstance(node, ast.BinOp):
        left, right = evaluate(node.left, values), evaluate(node.right, values)
        if left is None or right is None or (isinstance(node.op, ast.Div) and right == 0):
            return None
        return _OPERATORS[type(node.op)][1](left, right)
    if isinstance(node, ast.Name):
        return values.get(node.id)
    assert isinstance(node, ast.Constant)
    return Fraction(repr(node.value))


def _mentions_unknown(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) for part in ast.walk(node))


def way_of(text: str, answer: Fraction, given: Sequence[int]) -> str | None:
    """Return the way that a worked text reaches its answer.

    Args:
        text: what the model wrote. Any text is safe.
        answer: the final answer of the text, right or wrong.
        given: the numbers of the problem, at most eight.

    Returns:
        The canonical way; ``None`` if an equation cannot be read or does not hold, if the answer does
        not follow from the given numbers, or if nothing is computed.

    >>> way_of("4 are sold: 9 - 4 = 5. Then 5 * 6 = 30.", Fraction(30), (9, 6, 4))
    '(a - c) * b'
    >>> way_of("Then 3 * x + 6 = 30. So 30 - 6 = 24 gives 24 / 3 = 8.", Fraction(8), (3, 6, 30))
    'x: (c - b) / a'
    >>> way_of("9 - 4 = 6. Then 6 * 5 = 30.", Fraction(30), (9, 6, 4)) is None
    True
    """
    # The package imports numpy, and tasks are listed in every help.
    from polypath.metrics.equations import extract_equations

    found = extract_equations(text)
    if not found or len(found) > MOST_EQUATIONS:
        return None
    working = _Working(given)
    if not all(working.add(equation, answer) for equation in found):
        return None
    way = working.way_to(answer)
    return way if way is None or not working.has_unknown else f"{UNKNOWN}: {way}"


class _Working:
    """The calculations of a text, by their values."""

    def __init__(self, given: Sequence[int]) -> None:
        self.letters: dict[Fraction, str] = {}
        for number, letter in zip(given, LETTERS, strict=False):
            self.letters.setdefault(Fraction(number), letter)
        self.calculations: dict[Fraction, ast.BinOp] = {}
        self.has_unknown = False
        self._ways: dict[Fraction, str | None] = {}

    def add(self, equation: str, answer: Fraction) -> bool:
        """Add one equation; return whether it can be read and holds."""
        sides = [parse_expression(side) for side in equation.split("=")]
        trees = [side for side in sides if side is not None]
        values = {evaluate(side, {UNKNOWN: answer}) for side in trees}
        if len(trees) < len(sides) or len(values) != 1:
            return False
        (value,) = values
        if value is None:
            return False
        with_unknown = [side for side in trees if _mentions_unknown(side)]
        set_up = any(isinstance(side, ast.BinOp) for side in with_unknown)
        if set_up and len(with_unknown) == len(trees):
            return False  # x + 1 = 1 + x says nothing
        self.has_unknown |= set_up
        for side in trees:
            if isinstance(side, ast.BinOp) and side not in with_unknown:
                self.calculations.setdefault(value, side)
        return True

    def way_to(self, value: Fraction) -> str | None:
        """Return the canonical way to a computed value; ``None`` if it does not follow."""
        if value not in self._ways:
            self._ways[value] = None  # while it is open: a calculation that needs itself fails
            calculation = self.calculations.get(value)
            if calculation is not None:
                self._ways[value] = self._text(calculation)
        return self._ways[value]

    def _text(self, node: ast.expr) -> str | None:
        if not isinstance(node, ast.BinOp):
            value = evaluate(node, {})
            return None if value is None else self.letters.get(value) or self.way_to(value)
        sides = [self._text(node.left), self._text(node.right)]
        parts = [f"({side})" if side and len(side) > 1 else side for side in sides]
        if isinstance(node.op, ast.Add | ast.Mult):
            parts.sort(key=lambda part: part or "")
        text = f"{parts[0]} {_OPERATORS[type(node.op)][0]} {parts[1]}"
        return None if None in parts or len(text) > LONGEST_WAY else text
