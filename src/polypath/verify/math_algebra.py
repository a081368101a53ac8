"""What math-verify and sympy are used for: reading LaTeX, comparing, and naming what was read."""

import functools
import hashlib
import logging
import math
import re
import zlib
from fractions import Fraction
from typing import Any

from polypath.errors import needs_extra
from polypath.verify.math_number import near, squeeze

MOST_LATEX = 2_000  # characters of an answer that is parsed
MOST_DEPTH = 24  # braces and brackets within each other
MOST_CANONICAL = 160  # characters of a canonical answer; a longer one is named by its hash

_NUMBER_E = re.compile(r"(?<![\w.\\])(\d+(?:\.\d*)?|\.\d+)[eE]([+-]?\d{1,3})(?![\w.])")
_BARE_POINT = re.compile(r"(\d)\.(?![\d.])(?=\s*[/*+\-)}]|$)")
_NUMPY = re.compile(r"\bnp\.(?=(?:arc)?(?:sin|cos|tan)|sqrt|exp|log)")


@functools.cache
def library() -> Any:
    """Import math-verify on first use; raise ``MissingExtraError`` where it is not installed."""
    with needs_extra("Verifying mathematics", "math"):
        import math_verify
    # It warns that its own timeouts are off; the pool is our timeout.
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    return math_verify


def _parsable(latex: str) -> str | None:
    """Rewrite what the library's grammar lacks; ``None`` for what is not worth a try."""
    latex = _NUMBER_E.sub(r"\1 \\times 10^{\2}", latex)
    latex = _BARE_POINT.sub(r"\1", latex)
    latex = _NUMPY.sub(r"\\", latex).replace("\n", " ").replace("$", " ").replace("\0", " ")
    latex = latex.replace(r"_{\odot}", "_{sun}").replace(r"_\odot", "_{sun}")
    # The library takes E for Euler's number, and stumbles over its index.
    latex = re.sub(r"(?<![A-Za-z\\])E(?=_)", r"\\Xi", latex)
    if len(latex) > MOST_LATEX:
        return None
    depth = deepest = 0
    for sign in latex:
        depth += (sign in "{([") - (sign in "})]")
        deepest = max(deepest, depth)
    return latex if deepest <= MOST_DEPTH else None


def parse_latex(latex: str) -> list[Any]:
    """Parse one answer given as LaTeX without delimiters; empty if the library cannot."""
    math_verify = library()
    text = _parsable(latex)
    if not text:
        return []
    balanced = text.count("{") == text.count("}")
    config = math_verify.LatexExtractionConfig(
        boxed_match_priority=0, try_extract_without_anchor=not balanced
    )
    shown = rf"\boxed{{{text}}}" if balanced else f"${text}$"
    parsed: list[Any] = math_verify.parse(
        shown, [config], fallback_mode="no_fallback", parsing_timeout=None
    )
    return parsed


def parse_prose(text: str) -> list[Any]:
    """Let the library take an expression out of text: after ``answer:``, else the last."""
    parsed: list[Any] = library().parse(text, fallback_mode="no_fallback", parsing_timeout=None)
    return parsed


def bounded(text: str) -> str:
    """Return the text, or a hash in its place if it is long."""
    if len(text) <= MOST_CANONICAL:
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _expanded(expression: Any) -> Any:
    """Multiply out small polynomials, so that their factored form has the same name."""
    import sympy

    powers = expression.atoms(sympy.Pow)
    small = all(power.exp.is_Integer and abs(power.exp) <= 8 for power in powers)
    return sympy.expand(expression) if small and expression.count_ops() <= 32 else expression


def canonical_name(parsed: list[Any], text: str) -> str:
    """Name a parsed answer: sympy's own text for it, which sorts sums and reduces roots."""
    import sympy

    try:
        expression = parsed[0]
        if isinstance(expression, sympy.Basic) and expression.count_ops() <= 64:
            if expression.is_number and not expression.has(sympy.Integral, sympy.Sum):
                expression = sympy.nsimplify(expression.doit(), rational=True)
            elif isinstance(expression, sympy.Expr):
                expression = _expanded(expression)
        return bounded(str(expression))
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        return bounded(squeeze(text))


def value_of(parsed: list[Any]) -> Fraction | None:
    """Return the value of a parsed real number, good to about 15 digits."""
    import sympy

    expression = parsed[0] if parsed else None
    try:
        if isinstance(expression, sympy.Expr) and expression.is_number:
            return Fraction(str(expression.evalf(15)))
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        pass
    return None


def _at_a_point(expression: Any, seed: int) -> complex | None:
    """Value of an expression at a point that depends on the names of its symbols and the seed."""
    point = {
        symbol: 0.5 + zlib.crc32(f"{symbol.name} {seed}".encode()) / 2**32
        for symbol in expression.free_symbols
    }
    value = complex(expression.evalf(15, subs=point))
    return value if math.isfinite(value.real) and math.isfinite(value.imag) else None


def surely_different(gold: Any, answer: Any) -> bool:
    """Whether two formulas in variables have different values at some point.

    Seconds of ``simplify`` would come to the same conclusion, or to none. Only for plain
    expressions: the library has rules of its own for products of letters, equations and sets.
    """
    import sympy

    both = (gold, answer)
    if not all(isinstance(side, sympy.Expr) for side in both):
        return False
    if not any(side.free_symbols for side in both):
        return False
    letters = sympy.Symbol | sympy.Number | sympy.NumberSymbol
    for side in both:
        parts = side.args if isinstance(side, sympy.Mul) else (side,)
        if all(isinstance(part, letters) for part in parts):
            return False
        if side.has(
            sympy.Derivative, sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit
        ) or side.atoms(sympy.core.function.AppliedUndef):
            return False
    try:
        for seed in range(2):
            left, right = (_at_a_point(side, seed) for side in both)
            if left is None or right is None:
                return False
            if abs(left - right) > 1e-6 * max(abs(left), abs(right)) + 1e-9:
                return True
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError):
        pass
    return False


def same(gold: list[Any], answer: list[Any]) -> bool:
    """Ask the library, gold first, except where the answer is clear without or it is too lenient."""
    if gold and answer and surely_different(gold[0], answer[0]):
        return False
    if not library().verify(gold, answer, timeout_seconds=None):
        return False
    # The library rounds to six decimals, which makes all small numbers one.
    left, right = value_of(gold), value_of(answer)
    return left is None or right is None or abs(left) >= 1 or near(left, right)
