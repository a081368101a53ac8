r"""Exact numbers and plain words from answers, without a computer algebra system.

Most answers are numbers. Reading them here costs microseconds instead of milliseconds, and gives 1/2, 0.5
and ``\frac12`` one canonical text.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from polypath.verify.math_unit import without_unit

MOST_DIGITS = 60
MOST_EXPONENT = 400
LEAST_PLACES = 6  # decimals of a rounding that counts as the number itself, as in the library
RELATIVE = Fraction(1, 1000)

_DROP = re.compile(
    r"\\left(?![a-z])|\\right(?![a-z])|\\displaystyle|\\[!,;: ]|~|\\\$|\$|\\(?:quad|qquad)\b"
)
_SPACE = re.compile(r"\s+")
_FRACTION = re.compile(r"\\[dtc]frac(?![a-z])")
_FULL_STOP = re.compile(r"(?<!\.)\s*\.$")  # dots mean that digits go on

_INTEGER = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.\d*)?|\.\d+)"
_PLAIN = re.compile(
    rf"(?P<sign>[+-]?)(?P<mantissa>{_DECIMAL})"
    r"(?:[eE](?P<e>[+-]?\d+)|(?:\\times|\\cdot|\*|×)10\^(?:\{(?P<braced>[+-]?\d+)\}|(?P<bare>\d)))?"
    r"(?P<percent>\\?%)?",
    re.ASCII,
)
_POWER_OF_TEN = re.compile(r"(?P<sign>[+-]?)10\^\{(?P<braced>[+-]?\d+)\}", re.ASCII)
_FRAC = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d+)?\\frac"
    rf"(?:\{{(?P<top>[+-]?{_DECIMAL})\}}|(?P<t>\d))(?:\{{(?P<bottom>[+-]?{_DECIMAL})\}}|(?P<b>\d))",
    re.ASCII,
)
_SLASH = re.compile(rf"(?P<sign>[+-]?)(?P<top>{_DECIMAL})/(?P<bottom>{_DECIMAL})", re.ASCII)
_MIXED = re.compile(r"(?P<sign>[+-]?)(?P<whole>\d+)\s+(?P<top>\d+)/(?P<bottom>\d+)", re.ASCII)

_REPEATING = re.compile(
    rf"(?P<sign>[+-]?)(?P<whole>{_INTEGER})?\.(?P<digits>\d*)"
    r"(?:\\(?:overline|bar)\{(?P<over>\d+)\}|\((?P<round>\d+)\)|(?P<again>\d)(?P=again){2,}(?:\.{2,}|…|\\l?dots)"
    r"|(?P<first>\\dot(?:\{\d\}|\d))(?P<rest>\d*\\dot(?:\{\d\}|\d))?)",
    re.ASCII,
)
_FACES = r"\\(?:text|textbf|textit|textrm|mbox|mathrm|mathbf)\s*"
WRAPPED = re.compile(_FACES + r"\{([^{}]*)\}")
_LETTER = re.compile(_FACES + r"\{([A-Za-z])\}")


@dataclass(frozen=True, slots=True)
class NumberAnswer:
    """A number as it was written.

    Attributes:
        value: its value, without applying a percent sign.
        places: decimals that it was written with, and so perhaps rounded to; ``None`` if it is exact.
        percent: whether it had a percent sign.
    """

    value: Fraction
    places: int | None = None
    percent: bool = False

    @property
    def decimal(self) -> bool:
        """Whether it was written with a point or an exponent."""
        return self.places is not None

    @property
    def canonical(self) -> str:
        """``n`` or ``n/d`` in lowest terms; 50% is 50, as it is when compared."""
        return str(self.value)


def tidy(text: str) -> str:
    """Drop LaTeX that only changes the looks, and a full stop. White space becomes single blanks."""
    text = _FRACTION.sub(r"\\frac", text.replace("{,}", ","))
    return _FULL_STOP.sub("", _SPACE.sub(" ", _DROP.sub("", text)).strip())


def squeeze(text: str) -> str:
    """``tidy``, without white space and faces of single letters. Equal results are equal answers."""
    return re.sub(r"_\{(\w)\}", r"_\1", _LETTER.sub(r"\1", tidy(text)).replace(" ", ""))


def _decimal(text: str) -> Fraction:
    return Fraction("0" * text.startswith(".") + text.replace(",", "").rstrip("."))


def _signed(text: str) -> Fraction:
    return -_decimal(text[1:]) if text[0] == "-" else _decimal(text.lstrip("+"))


def _ratio(match: re.Match[str], top: str, bottom: str, whole: str | None) -> NumberAnswer | None:
    over, under = _signed(top), _signed(bottom)
    if under == 0:
        return None
    value = over / under + int(whole or 0)
    value = -value if match["sign"] == "-" else value
    return NumberAnswer(value, places=LEAST_PLACES if "." in top + bottom else None)


def _scaled(match: re.Match[str]) -> NumberAnswer | None:
    exponent = int(match["e"] or match["braced"] or match["bare"] or 0)
    if abs(exponent) > MOST_EXPONENT:
        return None
    value = _decimal(match["mantissa"]) * Fraction(10) ** exponent
    value = -value if match["sign"] == "-" else value
    point = match["mantissa"].partition(".")[2]
    rounded = "." in match["mantissa"] or match["e"]
    places = len(point) - exponent if rounded else None
    return NumberAnswer(value, places=places, percent=bool(match["percent"]))


def _repeating(match: re.Match[str]) -> NumberAnswer:
    dotted = re.sub(r"\D", "", (match["first"] or "") + (match["rest"] or ""))
    digits, block = match["digits"], match["over"] or match["round"] or match["again"] or dotted
    value = _decimal(match["whole"] or "0") + (
        Fraction(int(digits + block) - int(digits or 0), (10 ** len(block) - 1) * 10 ** len(digits))
    )
    return NumberAnswer(-value if match["sign"] == "-" else value)


def read_number(text: str) -> NumberAnswer | None:
    r"""Read an answer that is one number.

    Integers with or without thousands commas, decimals, ``4.5e33``, ``4.5 \times 10^{33}``,
    fractions, mixed numbers; with currency sign, percent sign, degrees or a unit in ``\text{}``.

    Returns:
        ``None`` for anything else, and for more than ``MOST_DIGITS`` characters of digits or an
        exponent beyond ``MOST_EXPONENT``.
    """
    shown = tidy(text)
    if inner := WRAPPED.fullmatch(shown):
        shown = inner[1].strip()
    if shown.startswith("(") and shown.endswith(")") and "," not in shown:
        shown = shown[1:-1]
    shown = without_unit(shown.strip())
    if not shown or len(shown) > 2 * MOST_DIGITS:
        return None
    if mixed := _MIXED.fullmatch(shown):
        return _ratio(mixed, mixed["top"], mixed["bottom"], mixed["whole"])
    shown = shown.replace(" ", "")
    if match := _REPEATING.fullmatch(shown):
        return _repeating(match)
    if match := _PLAIN.fullmatch(shown):
        return _scaled(match)
    if match := _FRAC.fullmatch(shown):
        return _ratio(
            match, match["top"] or match["t"], match["bottom"] or match["b"], match["whole"]
        )
    if match := _SLASH.fullmatch(shown):
        return _ratio(match, match["top"], match["bottom"], None)
    if (match := _POWER_OF_TEN.fullmatch(shown)) and abs(int(match["braced"])) <= MOST_EXPONENT:
        value = Fraction(10) ** int(match["braced"])
        return NumberAnswer(-value if match["sign"] == "-" else value)
    return None


def near(gold: Fraction, answer: Fraction) -> bool:
    """Whether two numbers differ by at most a thousandth of the larger."""
    return abs(gold - answer) <= RELATIVE * max(abs(gold), abs(answer))


def _rounding(gold: NumberAnswer, answer: NumberAnswer) -> bool:
    """Whether one is the other, or its rounding to six decimals or more; 0 is not 1e-8."""
    if gold.value == answer.value:
        return True
    places = min(number.places for number in (gold, answer) if number.places is not None)
    written = Fraction(10) ** -max(places, 0) / 2
    return (
        places >= LEAST_PLACES
        and abs(gold.value - answer.value) <= written
        and near(gold.value, answer.value)
    )


def same_number(gold: NumberAnswer, answer: NumberAnswer) -> bool:
    """Compare exactly, except for a decimal that is the other number rounded to six decimals or more.

    1/3 is 0.333333 and 0.3333333, as in the library, but 7 is not 7.0000001. A percent sign on one
    side only may be a unit (50% is 50), or stand for hundredths when the other side is no integer
    (50% is 0.5).
    """
    if gold.value == answer.value:
        return True
    close = (gold.decimal or answer.decimal) and _rounding(gold, answer)
    if close or gold.percent == answer.percent:
        return close
    part, other = (gold, answer) if gold.percent else (answer, gold)
    places = None if part.places is None else part.places + 2
    hundredths = NumberAnswer(part.value / 100, places)
    return other.value.denominator != 1 and (
        hundredths.value == other.value
        or ((hundredths.decimal or other.decimal) and _rounding(hundredths, other))
    )


def unwrap_text(text: str) -> str | None:
    r"""Return the words of an answer that is only ``\text{...}``; else ``None``."""
    match = WRAPPED.fullmatch(tidy(text))
    return match[1].strip() or None if match else None


def words(text: str) -> str:
    r"""Reduce words to what counts: no case, no ``\text{}``, no blanks, no marks around them."""
    inner = WRAPPED.sub(r"\1", tidy(text))
    return re.sub(r"[\s{}*\"'`]+", "", inner).strip("().,;:!").casefold()
