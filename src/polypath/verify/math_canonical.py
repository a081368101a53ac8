"""One canonical text for an answer. Solutions with different texts are different."""

import hashlib
from typing import Any

from polypath.verify.math_leaf import Leaf
from polypath.verify.math_shape import Builder, Chain, Combined, Grid, Group, Shape

MOST_CANONICAL = 160  # characters; a longer answer is named by its hash
_MOST_OPERATIONS = 32


def bounded(text: str) -> str:
    """Return the text, or a hash in its place if it is long."""
    if len(text) <= MOST_CANONICAL:
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def canonical(shape: Shape) -> str:
    """Name an answer: numbers as ``n/d``, expressions as sympy writes them, sets in one order."""
    return bounded(_named(shape))


def _named(shape: Shape) -> str:
    match shape:
        case Leaf():
            return _leaf(shape)
        case Chain():
            names = [_named(side) for side in shape.sides]
            return "".join(
                name + sign for name, sign in zip(names, (*shape.signs, ""), strict=True)
            )
        case Group():
            names = [_named(item) for item in shape.items]
            if shape.brackets in ("", "⦃⦄"):
                return "{" + ", ".join(sorted(set(names))) + "}"
            return shape.brackets[0] + ", ".join(names) + shape.brackets[1]
        case Combined():
            return f" {shape.sign} ".join(sorted(map(_named, shape.parts)))
        case Grid():
            return "[" + "; ".join(", ".join(map(_named, row)) for row in shape.rows) + "]"
        case Builder():
            return f"{{{_named(shape.item)} | {_named(shape.condition)}}}"


def _leaf(leaf: Leaf) -> str:
    if leaf.number is not None:
        return leaf.number.canonical
    if leaf.wordy is not None or leaf.expression is None:
        return leaf.wordy or leaf.squeezed
    try:
        return str(_simplest(leaf.expression))
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        return leaf.squeezed


def _simplest(expression: Any) -> Any:
    """Multiply out small polynomials, so that their factored form has the same name."""
    import sympy

    if not isinstance(expression, sympy.Expr) or expression.count_ops() > _MOST_OPERATIONS:
        return expression
    powers = expression.atoms(sympy.Pow)
    small = all(power.exp.is_Integer and abs(power.exp) <= 8 for power in powers)
    return sympy.expand(expression) if small else expression
