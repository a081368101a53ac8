r"""Units of an answer: they are dropped and not compared. Words for powers of ten are numbers and stay.

The library also drops units, but counts ``e``, ``i``, ``x``, million and thousand as units.
"""

import re

from polypath.verify.math_latex import CIRCULAR

_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALE = re.compile(
    r"(?<=[\d}])\s*(?:\\(?:text|mathrm|mbox|textrm)\s*\{\s*(?P<word>{0})s?\b(?P<rest>[^{{}}]*)\}|(?P<plain>{0})s?\b)".replace(
        "{0}", "|".join(_SCALES)
    ).replace("{{}}", "{}")
)
_UPRIGHT = r"\\(?:mathrm|text(?:rm|bf|it|normal)?|mbox|mathit|operatorname)\s*\{\s*~?"
_SYMBOL = re.compile(_UPRIGHT + r"([A-Za-z]{1,2})\s*\}")
_UNIT_LETTERS = frozenset("mgsLlhNJWVACFKHTP")  # units, after a number
_POWER = r"(?:\s*\^\s*(?:\{\s*-?\d\s*\}|\d))?"
_UNIT = re.compile(
    r"(?<=[\d)}!])\s*(?:"
    + _UPRIGHT
    + r"[^{}]*\}"
    + _POWER
    + r"\s*(?:[/*-]|\\cdot|per)?\s*)+[\s.]*$"
)
_PLAIN_UNIT = re.compile(
    r"(?<=[\d)}])\s*(?:(?:square|sq\.?|cubic|cu\.?)\s+)?"
    r"(?:[ckm]m|kg|mg|ft|in|inch(?:es)?|feet|foot|miles?|yards?|met(?:er|re)s?|units?|degrees?|seconds?|sec"
    r"|minutes?|min|hours?|hrs?|days?|weeks?|months?|years?|dollars?|cents?|pounds?|lbs?|ounces?|oz|grams?"
    r"|lit(?:er|re)s?|gallons?|mph|km/h|m/s|points?|radians?|rad|people|amps?|foot-pounds)"
    r"(?:\s*(?:/|per)\s*\w+)?" + _POWER + r"[\s.]*$",
    re.IGNORECASE,
)
# Any other words after a number alone: "12 red apples".
_COUNTED = re.compile(
    r"(?<=\d)\s+(?!(?:[a-z ]*\b(?:and|if|less|minus|more|not|or|over|per|plus|than|times|to|when|with)\b))"
    r"[a-z]{3,}(?:[\s-][a-z]{2,}){0,3}[\s.]*$"
)
_ALONE = re.compile(r"[-+]?[\d.,/\s]*")
_DEGREES = re.compile(
    r"(?:\^\{\s*\\circ\s*\}|\^\\circ|\\degree|°)\s*(?:" + _UPRIGHT + r"\s*[CFK]\s*\}|[CFK])?\s*$"
)
_CIRCULAR = re.compile(rf"\\(?:{'|'.join(CIRCULAR)})")


def without_unit(text: str) -> str:
    r"""Drop the unit at the end.

    ``3 \text{ million}`` becomes a product, ``\mathrm{i}`` becomes ``i``.
    """
    text = _SCALE.sub(_scaled, text)
    text = _SYMBOL.sub(lambda match: _letters(match, text), text)
    if not _CIRCULAR.search(text):  # in sin 30° the sign is a factor
        text = _DEGREES.sub("", text)
    text = _PLAIN_UNIT.sub("", _UNIT.sub("", text)).strip()
    counted = _COUNTED.search(text)
    return (
        text[: counted.start()] if counted and _ALONE.fullmatch(text, 0, counted.start()) else text
    )


def unit_power(text: str) -> str | None:
    """Return the power of a unit at the end, as in ``cm^2``; ``None`` without one."""
    unit = _UNIT.search(text) or _PLAIN_UNIT.search(text)
    digits = re.findall(r"\^\D*(\d)", unit[0]) if unit else []
    return digits[-1] if digits else None


def _letters(match: re.Match[str], text: str) -> str:
    """Keep upright letters as a product, unless they are a unit after a number."""
    rest = text[match.end() :].strip(" .")
    before = text[: match.start()].rstrip(" \\,~")
    after_number = before[-1:].isdigit() or (before[-1:] == "/" and "{" in before)
    is_unit = len(match[1]) > 1 or (match[1] in _UNIT_LETTERS and rest[:1] in ("", "/", "^", "-"))
    return match[0] if after_number and is_unit else f" {match[1]} "


def _scaled(match: re.Match[str]) -> str:
    exponent = _SCALES[match["word"] or match["plain"]]
    unit = rf"\text{{{match['rest']}}}" if (match["rest"] or "").strip() else ""
    return rf"\times 10^{{{exponent}}}{unit}"
