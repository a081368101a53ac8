r"""One expression of an answer: its number, its words, or its sympy expression.

``math_latex`` reads it, or else the library's grammar. The grammar is used in two stages, as its parser
generator advises: first the fast prediction mode, which reads the same or fails, then the full one.
Units are dropped here and not by the library, because its list contains ``e`` and ``i``, which are numbers.
"""

import contextlib
import functools
import logging
import re
from dataclasses import dataclass
from typing import Any

from polypath.errors import needs_extra
from polypath.verify.math_latex import CIRCULAR, Unread, read
from polypath.verify.math_number import NumberAnswer, read_number, squeeze, unwrap_text, words
from polypath.verify.math_unit import without_unit

MOST_LATEX = 2_000  # most characters of an expression that is read
MOST_SLOW = 200  # most characters for the full grammar, which takes a second for more

_END = r"(?![A-Za-z])"
_CIRCULAR = "|".join(CIRCULAR)
_NAMED = rf"arc(?:{_CIRCULAR})|(?:{_CIRCULAR})h?|ln|log|exp|sqrt|lcm|gcd|max|min"
_REWRITES: tuple[tuple[str, str], ...] = (
    ("⦃", r"\\{"),
    ("⦄", r"\\}"),
    ("⟨", r"\\langle "),
    ("⟩", r"\\rangle "),
    ("∞", r"\\infty "),
    ("√", r"\\sqrt "),
    ("×", r"\\times "),
    ("·|⋅", r"\\cdot "),
    ("÷", "/"),
    ("π", r"\\pi "),
    ("θ", r"\\theta "),
    (r"⟦([RZQNC])⟧", r"\\mathbb{\1}"),
    # 4.5e33 is a number, but the grammar takes e for Euler's.
    (r"(?<![\w.\\])(\d+(?:\.\d*)?|\.\d+)[eE]([+-]?\d{1,3})(?![\w.])", r"\1 \\times 10^{\2}"),
    (r"(\d)\.(?![\d.])(?=\s*[/*+\-)}]|$)", r"\1"),
    (r"\bnp\.(?=(?:arc)?(?:sin|cos|tan)|sqrt|exp|log)", r"\\"),
    (r"_\{\\odot\}|_\\odot" + _END, "_{sun}"),
    (r"(?<![A-Za-z\\])E(?=_)", r"\\Xi"),  # the grammar fails on the index of Euler's number
    (r"\\operatorname\*?\s*\{\s*(" + _NAMED + r")\s*\}", r"\\\1 "),
    (
        r"(?:\\operatorname\*?\s*\{\s*|(?<![A-Za-z\\{]))a("
        + _CIRCULAR
        + r")(?:\s*\}|"
        + _END
        + ")",
        r"\\arc\1 ",
    ),
    # Written without backslashes, as in programs.
    (rf"(?<![A-Za-z\\{{])({_NAMED}|pi|theta)" + _END, r"\\\1 "),
    (r"\*\*\s*(-?[\w.]+)|\^\s*(-?\d[\d.]*)", r"^{\1\2}"),
    (r"\*\*", "^"),
    # The grammar drops a lone T.
    (r"\^(?:\{\s*(?:T|\\top|\\intercal)\s*\}|(?:T|\\top|\\intercal)(?![\w{]))", "^{T_{0}}"),
    (r"\\(?:imath|jmath)" + _END, "i"),
    (r"\\lg" + _END, r"\\log_{10}"),
)
_FOR_THE_LIBRARY: tuple[tuple[str, str], ...] = (
    # Products of brackets, which the grammar takes for mixed numbers.
    (r"((?<![_^])\d|\))\s*(?=\()", r"\1\\cdot "),
    (
        r"\)\s*(?=[\d\\a-zA-Z])(?!\\(?:cdot|times|div|over|choose|pmod|bmod|mod)" + _END + ")",
        r")\\cdot ",
    ),
)
_SPELLINGS = [(re.compile(pattern), new) for pattern, new in _REWRITES]

_WORDY = re.compile(r"(?=.*[A-Za-z]{2})[A-Za-z][A-Za-z'\u2019 .!-]*")
_PROSE = re.compile(
    r"(?<![\\A-Za-z{])(?:[A-Za-z]{4,}|(?<=\s)(?:at|on|up|so|is|of|to|by|if|for|the|has|then|when)(?=\s))"
    r"(?![A-Za-z}])"
)
_SHORT_WORDS = frozenset({"yes", "no", "odd", "dne", "max", "min", "all", "none", "true", "even"})
_CALLED = re.compile(
    r"(?:\\operatorname\{[A-Za-z]+\}|\\?[A-Za-z]+)(?:_\w|_\{\w+\})?\([^()]{1,60}\)"
)
_COMPLEX = re.compile(r"\\mathbb\{C\}|\\det" + _END + r"|\\arg" + _END + r"|\\(?:Re|Im)" + _END)


@functools.cache
def library() -> Any:
    """Import math-verify on first use; raise ``MissingExtraError`` if it is not installed."""
    with needs_extra("Verifying mathematics", "math"):
        import math_verify
    # It warns that its own timeouts are off. The pool is our timeout.
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    return math_verify


@functools.cache
def _readers() -> tuple[Any, Any, Any]:
    """Return a normaliser of LaTeX, and the fast and the full reader."""
    library()
    from antlr4.atn.PredictionMode import PredictionMode
    from latex2sympy2_extended import NormalizationConfig, normalize_latex
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, _Latex2Sympy

    class Fast(_Latex2Sympy):  # type: ignore[misc]  # the library has no types
        def create_parser(self, latex_str: str) -> Any:
            parser = super().create_parser(latex_str)
            parser._interp.predictionMode = PredictionMode.SLL
            return parser

    config = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
    )
    as_written = {"convert_degrees": False, "config": ConversionConfig(lowercase_symbols=False)}
    return (
        functools.partial(normalize_latex, config=config),
        functools.partial(Fast, **as_written),
        functools.partial(_Latex2Sympy, **as_written),
    )


@functools.lru_cache(maxsize=8192)
def read_expression(text: str) -> Any:
    """Read one expression as sympy does; ``None`` if the library cannot."""
    text = without_unit(text)
    for pattern, new in _SPELLINGS:
        text = pattern.sub(new, text)
    # The grammar reads prose as a product of its letters.
    if not text or len(text) > MOST_LATEX or _PROSE.search(text):
        return None
    with contextlib.suppress(Unread):
        return read(text)
    for bracket, times in _FOR_THE_LIBRARY:
        text = re.sub(bracket, times, text)
    normal, fast, full = _readers()
    latex = normal(text)
    real = not _COMPLEX.search(latex)
    for reader in (fast, full)[: 1 + (len(latex) <= MOST_SLOW)]:
        try:
            return reader(is_real=real).parse(latex)
        except MemoryError:
            raise  # for the pool to see
        except Exception:  # any error of its grammar and its conversions
            continue
    return _called(text)


def _called(text: str) -> Any:
    """A name with something in brackets is identified by its text: ``P(X=1)``, ``Cov(Z, W)``."""
    import sympy

    return sympy.Symbol(squeeze(text)) if _CALLED.fullmatch(text.strip()) else None


@dataclass(frozen=True)
class Leaf:
    """One expression, as text in the spelling of ``math_shape``."""

    text: str

    @functools.cached_property
    def number(self) -> NumberAnswer | None:
        """Its number, as it is written."""
        return read_number(self.text)

    @functools.cached_property
    def squeezed(self) -> str:
        """Its text without parts that only change the looks."""
        return squeeze(self.text)

    @functools.cached_property
    def wordy(self) -> str | None:
        r"""The words of a leaf that has nothing else, in one case: ``\text{no solution}``, ``true``."""
        inner = unwrap_text(self.text)
        shown = self.text if inner is None else inner
        if inner is None and not (
            _WORDY.fullmatch(shown)
            and (" " in shown.strip() or len(shown) >= 4 or shown.casefold() in _SHORT_WORDS)
        ):
            return None
        if read_number(shown) is not None:
            return None
        return words(shown).rstrip(".") or None

    @property
    def expression(self) -> Any:
        """Its sympy expression, ``None`` if it cannot be read."""
        return read_expression(self.text)

    @property
    def readable(self) -> bool:
        """Whether anything is known about it."""
        return (
            self.number is not None
            or self.wordy is not None
            or self.text in NAMED_SETS
            or self.expression is not None
        )


NAMED_SETS = frozenset({"∅", *(f"⟦{letter}⟧" for letter in "RZQNC")})
