r"""The shape of an answer: lists, tuples, intervals, unions, matrices, relations, and leaves in them.

Brackets and separators define the shapes. A leaf is one expression, and ``math_leaf`` reads it. The
grammar of the library is slow and unreliable with commas and relations, and exact and fast on single
expressions.

Every spelling of a sign (``\leqslant``, ``\le``, ``<=``) becomes one character first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from polypath.verify.math_leaf import Leaf
from polypath.verify.math_number import read_number

MOST_PARTS = 64  # items of a list, cells of a matrix
MOST_DEPTH = 24  # nested brackets

_END = r"(?![A-Za-z])"
_REWRITES: tuple[tuple[str, str], ...] = (
    (r"\\\\(?:\[[^][]*\])?|\\tabularnewline" + _END, "⏎"),
    (r"\\(?:left|right|[bB]igg?[lrm]?)" + _END + r"\s*\.?", ""),
    (
        r"\\(?:display|text|script)style|\\(?:tiny|small|normalsize|large|Large|LARGE|huge|Huge)"
        + _END
        + r"|\\(?:limits|nolimits|bf|rm|it|mathstrut|hfill|hline|nonumber)"
        + _END,
        " ",
    ),
    (r"(?<=\d)(?:\\[,!;: ]|\{,\}|~)(?=\d{3}(?!\d))", ","),
    (r"\\!|\{\}", ""),
    (r"\\(?:quad|qquad)" + _END + r"|\\[,;:> ]|~|\\hspace\*?\{[^{}]*\}|\s+", " "),
    (r"\\[dtc]frac" + _END, r"\\frac"),
    (r"\$\s*\n\s*\$", "⏎"),
    (r"\\\$|\$", " "),
    (r"\\\{|\\lbrace" + _END, "⦃"),
    (r"\\\}|\\rbrace" + _END, "⦄"),
    (r"\\langle" + _END, "⟨"),
    (r"\\rangle" + _END, "⟩"),
    (r"\\(?:lvert|rvert|vert|mid|lVert|rVert|Vert)" + _END + r"|\\\|", "|"),
    (r"\\not\s*=|\\neq?" + _END + r"|!=", "≠"),
    (r"\\not\s*\\in" + _END + r"|\\notin" + _END, "∉"),
    (r"\\(?:leqslant|leqq|leq|le)" + _END + "|<=", "≤"),
    (r"\\(?:geqslant|geqq|geq|ge)" + _END + "|>=", "≥"),
    (r"\\lt" + _END, "<"),
    (r"\\gt" + _END, ">"),
    (r"\\(?:approx|approxeq|thickapprox|doteq)" + _END, "≈"),
    (r"\\in" + _END, "∈"),
    (r"\\equiv" + _END, "≡"),
    (r"\(?\s*\\(?:pmod|bmod|mod)" + _END + r"\s*\{?\s*(\w+)\s*\}?\s*\)?", r", mod_{\1}"),
    (r"\\(?:big)?cup" + _END + r"(?!_)", "∪"),
    (r"\\(?:big)?cap" + _END + r"(?!_)", "∩"),
    (r"\\(?:setminus|smallsetminus|backslash)" + _END, "∖"),
    (r"\\pm" + _END + r"|\+/-", "±"),
    (r"\\mp" + _END, "∓"),
    (r"\\(?:emptyset|varnothing|oslash|O)" + _END + "|⦃\\s*⦄", "∅"),
    (r"\\infty" + _END + r"|\\?\binfinity\b", "∞"),
    (r"\\(?:mathbb|mathbf|Bbb|mathds)\s*\{?\s*([RZQNC])\s*\}?", r"⟦\1⟧"),
    (r"\\([RZQN])" + _END, r"⟦\1⟧"),
    (r"\\(?:text|mbox|textrm|mathrm)\s*\{[\s,]*(and|or)[\s,]*\}", r" \1 "),
    (r"\\(?:wedge|land)" + _END, " and "),
    (r"\\(?:vee|lor)" + _END, " or "),
    (r"\\(?:therefore|because|Rightarrow|implies|Longrightarrow|iff|Leftrightarrow)" + _END, " "),
    (r"\\colon" + _END, ":"),
    (r"\s*(?:\\(?:text|mathrm|mbox)\s*\{\s*percent\s*\}|\bpercent\b)", r"\\%"),
    (r"\^\{?\s*\\prime\s*\\prime\s*\}?|''", "_{primeprime}"),
    (r"\^\{?\s*\\prime\s*\}?|'", "_{prime}"),
)
_SPELLINGS = [(re.compile(pattern), new) for pattern, new in _REWRITES]

_OPEN, _CLOSE = "([{⦃⟨", ")]}⦄⟩"
_STEP = re.compile(r"\\begin\s*\{|\\end\s*\{|\\.|[(\[{⦃⟨)\]}⦄⟩]", re.DOTALL)
_LIST = re.compile(r"[;⏎]|,?\s*\b(?:and|or)\b|,", re.IGNORECASE)
_COMMA = re.compile(r"[,;]")
_SIGN = re.compile(r":=|[=<>≤≥≠≈≡∈∉]")
_SUCH_THAT = re.compile(r"[|:]")
_THOUSANDS = re.compile(r"[^,;]*[=≈]\s*-?\d{1,3}(?:,\d{3})+(?:\.\d+)?\D*")
_GRID = re.compile(
    r"([\[(|]?)\s*\\begin\{([pbBvV]?matrix|smallmatrix|array|cases)\}\s*(?:\{[lcr| ]*\})?"
    r"(.*)\\end\{\2\}\s*([\])|]?)",
    re.DOTALL,
)
_REVERSED = re.compile(r"\]([^][]+,[^][]+)\[")  # ]a, b[ is (a, b) in French
_EDGES = " ,;:&⏎"


@dataclass(frozen=True)
class Chain:
    """Sides with relations between them: ``1 < x ≤ 3``, ``y = 2x``, ``x ∈ [0, 1]``."""

    sides: tuple["Shape", ...]
    signs: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Items in order; ``brackets`` is ``""`` for a plain list, else as written, ``"(]"``."""

    items: tuple["Shape", ...]
    brackets: str


@dataclass(frozen=True)
class Combined:
    """Sets combined by ``∪``, ``∩`` or ``∖``, one sign for all."""

    parts: tuple["Shape", ...]
    sign: str


@dataclass(frozen=True)
class Grid:
    """Rows of a matrix, or of a definition by cases."""

    rows: tuple[tuple["Shape", ...], ...]


@dataclass(frozen=True)
class Builder:
    """``{item | condition}``."""

    item: "Shape"
    condition: "Shape"


Shape: TypeAlias = Leaf | Chain | Group | Combined | Grid | Builder


def one_spelling(text: str) -> str:
    """Write every sign in one way, as one character, and drop what only changes the looks."""
    for pattern, new in _SPELLINGS:
        text = pattern.sub(new, text)
    return text.strip(_EDGES).removesuffix(".").strip()


def _depths(text: str) -> list[int]:
    """Return how many brackets and environments are open before each character."""
    depths: list[int] = []
    depth = 0
    for step in _STEP.finditer(text):
        depths += [depth] * (step.start() + 1 - len(depths))
        if step[0].startswith("\\begin"):
            depth += 2  # the environment, and the brace of its name
        elif step[0][0] != "\\" and step[0] in _OPEN:
            depth += 1
        elif step[0][0] != "\\":
            depth = max(0, depth - 1)
        # The brace of \end{...} opens as its environment closes.
    return depths + [depth] * (len(text) + 1 - len(depths))


def _split(text: str, separator: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """Split at separators outside all brackets; return the parts and the separators."""
    if not separator.search(text):
        return [text], []
    depths, parts, found, last = _depths(text), [], [], 0
    for match in separator.finditer(text):
        if depths[match.start()] == 0:
            parts.append(text[last : match.start()])
            found.append(match[0].strip())
            last = match.end()
    return [*parts, text[last:]], found


def _enclosed(text: str) -> bool:
    """Whether the first bracket is closed by the last character."""
    if len(text) < 2 or text[0] not in _OPEN or text[-1] not in _CLOSE:
        return False
    depths = _depths(text)
    return depths[-1] == 0 and min(depths[1:-1]) >= 1


def _items(text: str, separator: re.Pattern[str]) -> list[str]:
    parts = [part.strip(_EDGES).removesuffix(".") for part in _split(text, separator)[0]]
    return [part for part in parts if part]


def _signs(text: str) -> list[str]:
    """Return the text once for each reading of its plus-or-minus signs; a set has its own items."""
    if ("±" not in text and "∓" not in text) or (text[0] == "⦃" and _enclosed(text)):
        return [text]
    upper = text.replace("±", "+").replace("∓", "-")
    return [upper, text.replace("±", "-").replace("∓", "+")]


def _grid(text: str) -> Grid | None:
    match = _GRID.fullmatch(text)
    if match is None or match[2] == "vmatrix" or match[1] == "|":
        return None  # bars are a determinant: a number
    rows = [row for row in _split(match[3], re.compile("⏎"))[0] if row.strip()]
    cells = [_split(row, re.compile("&"))[0] for row in rows]
    if sum(map(len, cells)) > MOST_PARTS:
        return None
    return Grid(tuple(tuple(_read(cell.strip(_EDGES)) for cell in row) for row in cells))


def _in_brackets(text: str) -> Shape | None:
    inner, brackets = text[1:-1].strip(_EDGES), text[0] + text[-1]
    if brackets == "⦃⦄":
        parts, _ = _split(inner, _SUCH_THAT)
        if len(parts) == 2:
            return Builder(_read(parts[0]), _read(parts[1]))
    if brackets == "{}":
        return _read(inner)
    items = [reading for item in _items(inner, _LIST) for reading in _signs(item)]
    if len(items) > MOST_PARTS:
        return Leaf(text)
    if len(items) == 1 and brackets in ("()", "[]"):
        only = _read(items[0])
        return Leaf(text) if isinstance(only, Leaf) else only
    return Group(tuple(map(_read, items)), brackets) if items else None


def _read(text: str) -> Shape:
    text = text.strip(" ,;")
    if read_number(text) is not None:
        return Leaf(text)
    if not _THOUSANDS.fullmatch(text):
        items = [reading for item in _items(text, _LIST) for reading in _signs(item)]
        if len(items) > MOST_PARTS:
            return Leaf(
                text
            )  # right only by its text, because comparing lists takes quadratic time
        if len(items) > 1:
            return Group(tuple(map(_read, items)), "")
    sides, signs = _split(text, _SIGN)
    if signs and all(side.strip() for side in sides):
        signs = ["=" if sign == ":=" else sign for sign in signs]
        return Chain(tuple(map(_read, sides)), tuple(signs))
    for sign in "∪∩∖":
        parts = _items(text, re.compile(sign))
        if len(parts) > 1:
            return Combined(tuple(map(_read, parts)), sign)
    if _enclosed(text) and (found := _in_brackets(text)) is not None:
        return found
    if match := _REVERSED.fullmatch(text):
        return Group(tuple(map(_read, _items(match[1], _COMMA))), "()")
    return _grid(text) or Leaf(text)


def read_shape(text: str) -> Shape:
    """Return the shape of an answer. A text that is too deep or empty is one leaf."""
    text = one_spelling(text)
    if not text or max(_depths(text)) > MOST_DEPTH:
        return Leaf(text)
    # A sign at the start or the end is dropped: "= 7", "≈ 3.14", "x =".
    return _read(re.sub(r"^[\s=≈:]+|[\s=≈]+$", "", text))


def leaves(shape: Shape) -> Iterator[Leaf]:
    """Yield every leaf."""
    parts: tuple[Shape, ...]
    match shape:
        case Leaf():
            yield shape
            return
        case Chain(sides=parts) | Group(items=parts) | Combined(parts=parts):
            pass
        case Grid():
            parts = tuple(cell for row in shape.rows for cell in row)
        case Builder():
            parts = (shape.item, shape.condition)
    for part in parts:
        yield from leaves(part)
