"""Equations in plain text: runs of numbers, names, operators and brackets, without units.

The rules are in ``polypath.metrics.equations``.
"""

import re
from collections.abc import Iterator

MOST_UNIT_WORDS = 4
_MOST_TRIMS = 20  # each takes time linear in the run

_BULLET = re.compile(r"^[ \t]*[-*•][ \t]+")
_BOLD = re.compile(r"(?<![\w)*])\*\*(?![\s*])([^*\n]+)\*\*")
_LETTER = r"[^\W\d_⁰¹²³⁴-⁹]"
_NUMBER = r"(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)"
_DATE = r"\d{1,2}/\d{1,2}/\d{4}(?!\d)|\d{4}-[01]\d-[0-3]\d(?!\d)"
# Whole numbers, operators and brackets, up to an equals sign or the end, are taken in one step. Their number
# is limited, because what is followed by something else is read again.
_WHOLE = rf"\({{0,9}}+(?!{_DATE})\d++\){{0,9}}+"
_SIMPLE = rf"{_WHOLE}(?:[-+*/]{_WHOLE}){{1,30}}+(?=[ ]*+(?:=|$))"
_TOKEN = re.compile(
    rf"(?P<skip>{_DATE}|\d+(?:\.\d+){{2,}})"
    rf"|(?P<simple>{_SIMPLE})"
    rf"|(?P<number>\d+[ ]\d+/\d+(?![\d/])|\d+(?::\d+)+|{_NUMBER}%?)"
    r"|(?P<function>√|(?:abs|cos|exp|gcd|lcm|ln|log|max|min|sin|sqrt|tan)(?=\())"
    rf"|(?P<money>(?:(?:US|A|C)?\\?[$€£¥₹]|Rs\.?[ ]?|(?:USD|EUR|GBP|INR)[ ])(?=\.?\d)|(?<=\d)[ ]?[€£¥₹¢]"
    r"|(?<=\d)[ ]?°[CF]?)"
    rf"|(?P<word>{_LETTER}{{2,}}(?:['’-]{_LETTER}+)*(?:\^-?\d|[⁻¹²³])*(?:\.(?=\s*[-+*/=×÷]))?)"
    rf"|(?P<name>(?<!{_LETTER}){_LETTER}(?!{_LETTER}))"
    r"|(?P<factorial>(?<=[\w)])[ ]?!(?!=)|(?<=[\d)])!(?==[^=])|(?<=[^\W\d_])!(?==[^=!]*!))"
    r"|(?P<operator>(?<=[\w)])[ ]?\*\*(?=[ ]?[\w(])|\*(?!\*)|[-+/^×÷−–·⋅∙∗∕])"
    r"|(?P<power>[⁰¹²³⁴-⁹]+)|(?P<equals>=)|(?P<open>\()|(?P<close>\))|(?P<other>\S)"
)
_MIXED = re.compile(r"(\d+) (\d+)/(\d+)")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_OPERAND_AHEAD = re.compile(r"[ ]*(?:\\?[$€£¥₹])?[\d(.]")
_WORD_AHEAD = re.compile(rf"[ ]+{_LETTER}{{2}}")
_UNIT_LETTERS = frozenset("hmsgLlNJWVKCF")
_VALUES = ("number", "name", "close", "factorial")
_ENDS = ("skip", "other", "word")  # of a run
_STARTS = ("number", "name", "open", "function")
_LONE = re.compile(rf"{_NUMBER}%?")


def plain_equations(text: str) -> Iterator[str]:
    """Yield the runs of a text that hold an equals sign and a digit."""
    if "=" not in text:
        return
    for line in text.split("\n"):
        if "=" in line:
            yield from _equations(_BOLD.sub(r"\1", _BULLET.sub("", line)))


def improper(whole: str, top: str, bottom: str) -> str:
    """Write a mixed number as one fraction."""
    return f"{int(whole) * int(bottom) + int(top)}/{bottom}"


class _Run:
    """A run as read so far, and the units left out of it."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.units = [""]  # the first word of each side
        self.letters: set[str] = set()  # units of one letter
        self.words = 0  # since the last value
        self.last = ""
        self.last_before = ""  # the kind before an operator
        self.end = -1

    def is_unit(self, kind: str, text: str, apart: bool, word_ahead: bool) -> bool:
        """Tell whether a word or a letter names a unit of the value before it."""
        after_slash = self.last == "operator" and self.tokens[-1] == "/"
        if after_slash and (self.last_before == "unit" or (kind == "word" and self.last_before)):
            self.tokens.pop()  # km/h, $5/apple
            return True
        if self.last == "unit":
            return True
        letter = apart and (text in _UNIT_LETTERS or word_ahead)  # 2 h; 3 a day
        return self.last in _VALUES and (kind == "word" or letter)

    def add_unit(self, text: str) -> None:
        self.units[-1] = self.units[-1] or text.lower().rstrip("s")
        self.letters |= {text} if len(text) == 1 else set()
        self.words += 1
        self.last = "unit"

    def add(self, kind: str, text: str) -> None:
        self.tokens.append(text)
        if kind == "equals":
            self.units.append("")
        self.words = 0
        self.last_before, self.last = self.last, kind

    def equation(self) -> Iterator[str]:
        """Yield the run, cut to what belongs to the equation."""
        tokens, units = self.tokens, self.units
        if tokens[1:2] == ["="] and _LONE.fullmatch(tokens[0]) and units[0] not in ("", units[-1]):
            tokens = tokens[2:]  # 2 hours = 2 * 60 minutes
        if (
            tokens[-4::2] == ["=", "="]
            and _LONE.fullmatch(tokens[-3])
            and units[-1] != units[-2] != ""
        ):
            tokens = tokens[:-2]  # ... = 12 inches = 1 foot
        if "=" not in tokens:
            return
        text = _trim("".join(tokens))
        for letter in self.letters:
            text = re.sub(rf"(?<=\d){letter}(?!\w)", "", text)
        if text.endswith("!") and text.count("!") == 1 and re.search(r"\w[-+*/×÷].*=", text):
            text = text[:-1]  # the end of a sentence, not a factorial
        if any(character.isdigit() for character in text):
            yield text


def _equations(line: str) -> Iterator[str]:
    run = _Run()
    for match in _TOKEN.finditer(line):
        kind, text = match.lastgroup or "", match.group()
        simple = kind == "simple"
        if simple:
            kind = "open" if text[0] == "(" else "number"
        apart = match.start() != run.end
        ahead = match.end()
        if kind == "money":
            continue
        if not run.last and kind in _ENDS:  # most words of a text: between runs
            run.end = ahead
            continue
        if kind in ("word", "name"):
            value = run.last == "unit" or run.last in _VALUES
            times = text in ("x", "X", "times", "of") and (run.last != "unit" or text != "of")
            if value and times and (apart or text in "xX") and _OPERAND_AHEAD.match(line, ahead):
                kind, text = "operator", "*"
            elif run.is_unit(kind, text, apart, bool(_WORD_AHEAD.match(line, ahead))):
                run.add_unit(text)
                run.end = ahead
                if run.words <= MOST_UNIT_WORDS:
                    continue
                kind = "other"
        if run.last == "unit" and kind == "power":
            continue
        if kind == "power":
            kind, text = (
                ("number", "^" + text.translate(_DIGITS)) if run.last in _VALUES else ("other", "")
            )
            apart = False
        elif mixed := _MIXED.fullmatch(text):
            text = improper(*mixed.groups())
        # Two values side by side belong together only when they touch: 2x, but not "all 5 3+4=7".
        product = kind == "name" and run.last == "number"
        beside = apart and not product and run.last in _VALUES
        if kind in _ENDS or (kind in _STARTS and (beside or run.last == "unit")):
            yield from run.equation()
            run = _Run()
        if simple:  # as two tokens: more than one number
            run.add(kind, text[:-1])
            kind, text = "close" if text[-1] == ")" else "number", text[-1]
        if kind not in _ENDS:
            run.add(kind, text.strip())
        run.end = ahead
    yield from run.equation()


def _trim(text: str) -> str:
    """Trim from both ends what belongs to the sentence, not to the equation."""
    for _ in range(_MOST_TRIMS):
        before = text
        text = text.lstrip("+*/^×÷·=)").rstrip("+-*/^×÷−·=(")
        if text.count("(") > text.count(")") and text.startswith("("):
            text = text[1:]
        if text.count(")") > text.count("(") and text.endswith(")"):
            text = text[:-1]
        if text == before:
            break
    return text
