r"""Find the answer in what a model wrote, without parsing any mathematics.

Thinking does not count. In a text with ``</think>`` only the parts outside the thinking are searched, the
last one first. The thinking itself is searched only if there is no answer outside. Thinking that does not
end was cut off, and contains no answer. The rules are below; the first match decides:

1. The last closed ``\boxed{...}`` or ``\fbox{...}`` (outermost, braces matched), with a sign that belongs
   to it: ``x = -\boxed{3}``, but not ``x - \boxed{3}`` nor a dash before an item. Boxes directly after
   one another, with only glue such as ``,`` or ``and`` between them, are one answer. An unclosed box
   (a completion cut off) is no box. The last ``<answer>...</answer>`` decides as a box does if no box
   stands in it or after it; sentences in it are searched by the next rules.
2. The rest of the last line that announces an answer: ``#### 42``, ``The answer is 42.``,
   ``Final answer: 42``, ``The correct option is B``.
3. The last ``TAIL_CHARACTERS`` of the text; ``math_prose`` says which of it can be trusted.
"""

import re
from typing import Literal, NamedTuple

MOST_CHARACTERS = 65_536  # only the end of a completion is searched, because the answer is there
TAIL_CHARACTERS = 2_000

# Invisible signs that would make equal answers differ: zero width, direction, soft hyphen.
_INVISIBLE: dict[int, None] = dict.fromkeys(
    [0x00AD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)
_LOOKALIKE: dict[int, int | str] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},  # full-width forms
    0x2212: "-",  # minus sign
    0x00A0: " ",
    0x2009: " ",
    0x202F: " ",
    0x3000: " ",
}
_CHARACTERS: dict[int, int | str | None] = {**_LOOKALIKE, **_INVISIBLE}

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_GLUE = re.compile(r"(?:[\s,;.$&]|\\[,;!]|\\quad|\\qquad|and|or|\\text\{\s*(?:and|or)\s*\})*")
# A sign that starts the formula with the box, or one that touches the box, after a word or a full stop.
_SIGN = re.compile(
    r"(?:(?P<opened>[=≈({\[&]|(?<!\\)\$\$?|\\[(\[]"
    r"|\\(?:approx|cong|equiv|implies|Rightarrow|simeq|therefore|to))\s*"
    r"|(?P<said>(?:^|\n|[:;,.!?*]|(?<![\\A-Za-z])[A-Za-z]{2,}\s)\s*))"
    r"(?P<sign>[-+]|\\pm|\\mp)(?P<gap>\s*)(?:\\?\$|[{(]|\\left\()*$"
)
_SIGN_CHARACTERS = 40  # number of characters before a box that are searched for its sign
_THINK = re.compile(r"[<◁]think(?:ing)?[>▷]|<\|begin_of_thought\|>", re.IGNORECASE)
_THOUGHT = re.compile(r"[<◁]/think(?:ing)?[>▷]|<\|end_of_thought\|>", re.IGNORECASE)
_TAG = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)
_MARK = re.compile(
    r"####[ \t]*(?P<hash>[^\n]+)"
    r"|(?i:\banswer\b|\b(?:correct|right|final)\s(?:choice|option|result|value)\b)"
    r"[^\n.:=]{0,60}?(?i:\bis\b|:)[ \t:*]*(?P<line>[^\n]+)"
)
VALUE = re.compile(r"\d|\\[a-zA-Z]|\$")  # what may be mathematics
_TEXT = re.compile(r"\\(?:text|textbf|textrm|mathrm|mbox)\s*\{[^{}]*\}")
_WORD = re.compile(
    r"(?<![\\A-Za-z])(?!(?:and|cos|cot|csc|exp|ln|log|max|min|mod|or|pi|sec|sin|sqrt|tan)(?![A-Za-z]))"
    r"[A-Za-z]{2,}"
)
_HOPE = re.compile(r"[.,]?\s*I hope (?:it|this) is correct.*", re.IGNORECASE)


class Found(NamedTuple):
    """An answer's text, and how it was marked."""

    text: str
    mark: Literal["box", "line", "tail"]


def clean_characters(text: str) -> str:
    """Drop invisible characters, and write full-width forms and typographic minus as ASCII."""
    return text if text.isascii() else text.translate(_CHARACTERS)


def has_words(text: str) -> bool:
    r"""Return whether a text has words besides names of functions and the content of ``\text{}``."""
    return bool(_WORD.search(_TEXT.sub("", text)))


def boxes(text: str) -> list[tuple[int, int, int]]:
    """Return (start, content start, content end) of every closed outermost box, in order."""
    found: list[tuple[int, int, int]] = []
    starts = {match.end() - 1: match.start() for match in _BOX.finditer(text)}
    if not starts:
        return found
    opened: list[tuple[int, bool]] = []  # position of the brace, whether it opens a box
    closed: list[tuple[int, int, int]] = []
    for match in _BRACE.finditer(text):
        sign, place = match[0], match.start()
        if sign == "{":
            opened.append((place, place in starts))
        elif sign == "}" and opened:
            brace, is_box = opened.pop()
            if is_box:
                closed.append((starts[brace], brace + 1, place))
    end = len(text)
    for box in sorted(closed, reverse=True, key=lambda box: box[2]):  # outer before inner
        if box[2] < end:
            found.append(box)
            end = box[0]
    return found[::-1]


def _signed(text: str, begin: int, start: int, content: str) -> tuple[str, int]:
    """Return the content of the box at start with the sign before it, and where the two begin."""
    found = _SIGN.search(text, max(begin, start - _SIGN_CHARACTERS), start)
    if found is None or (found["said"] is not None and found["gap"]):
        return content, start
    opened = found["opened"] or ""
    if "$" in opened and text.count(opened, 0, found.start("opened")) % 2:
        return content, start  # the formula before ends here
    if found["sign"] == "+":
        return content, found.start("sign")
    summed = re.search(r"(?<=.)[-+]|\\[pm]m", content)
    sign = found["sign"].replace("m", "m ")
    return sign + (f"({content})" if summed else content), found.start("sign")


def _last_box(text: str) -> tuple[str, int] | None:
    """Return the content of the last boxes, and where the first of them begins."""
    every = boxes(text)
    contents: list[str] = []
    following = len(text)
    for place in reversed(range(len(every))):
        start, begin, end = every[place]
        if contents and not _GLUE.fullmatch(text, end + 1, following):
            break
        content = _BOX.sub("{", text[begin:end]).strip()
        before = every[place - 1][2] + 1 if place else 0
        content, following = _signed(text, before, start, content)
        if content not in contents:
            contents.append(content)
    return (",".join(reversed(contents)), following) if every else None


def _last_mark(text: str) -> str | None:
    marks = list(_MARK.finditer(text))
    return marks[-1]["hash"] or marks[-1]["line"] if marks else None


def _last_line(text: str) -> str | None:
    line = _last_mark(text)
    if line is None:
        return None
    line = _last_mark(line) or line  # "Final answer: the final answer is 5"
    return re.sub(r"[\s*.]+$", "", _HOPE.sub("", line)).lstrip("* ") or None


def _search(text: str) -> Found | None:
    """Apply the numbered rules of this module to text without thinking."""
    box = _last_box(text)
    tag = next(reversed(list(_TAG.finditer(text))), None)
    if tag is not None and (box is None or box[1] < tag.start()) and tag[1].strip():
        inside = tag[1].strip()
        sentence = has_words(inside) and VALUE.search(inside)
        return _search(inside) if sentence else Found(inside, "box")
    if box is not None:
        return Found(box[0], "box")
    if (line := _last_line(text)) is not None:
        return Found(line, "line")
    tail = text[-TAIL_CHARACTERS:].strip()
    return Found(tail, "tail") if tail else None


def find_answer(completion: str) -> Found | None:
    """Apply the rules of this module; ``None`` if there is nothing but white space or thinking."""
    text = clean_characters(completion[-MOST_CHARACTERS:])
    *parts, last = _THOUGHT.split(text)
    said = [last, *(part for part in reversed(parts) if _THINK.search(part))]
    tail = None
    for part in said:
        found = _search(_THINK.split(part, maxsplit=1)[0])
        if found is not None and (found.mark != "tail" or VALUE.search(found.text)):
            return found
        tail = tail or found
    thought = _search("\n".join(parts)) if parts else None
    return thought if thought is not None and thought.mark != "tail" else tail or thought
