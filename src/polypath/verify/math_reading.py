r"""How an answer, or a gold answer with words around it, is read.

Published golds contain more than the answer: ``Solution is: $[x=1, y=2]$``, ``The mode is $1/3$.``,
``$x<-7:(-\infty,-7)$``.
"""

import re

from polypath.verify.math_leaf import library
from polypath.verify.math_shape import Shape, leaves, read_shape

_DOLLARS = re.compile(r"(?<!\\)\$\$?(.+?)(?<!\\)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_LEAD = re.compile(
    r"(?:(?:the|a|an|so|thus|hence|therefore|we|get|have|general|final|unique|approximately|about)\s+)*"
    r"(?:solutions?(?:\s+set)?|answers?|results?|values?)\s*(?:is|are|:|=)\s*:?\s*|(?:yes|no)[.,]\s*(?=\$)",
    re.IGNORECASE,
)
_WORD = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,}(?![A-Za-z}])")
_GLUE = re.compile(r"[\s,;.]*(?:and|or)?[\s,;.]*", re.IGNORECASE)
_NUMBER = re.compile(r"-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_MOST_PROSE = 400


def _segments(text: str) -> list[str]:
    return [next(filter(None, match.groups())).strip() for match in _DOLLARS.finditer(text)]


def _outside(text: str) -> str:
    return _DOLLARS.sub(" ", text)


def gold_texts(text: str) -> list[str]:
    """Return the texts that a gold may stand for: itself, and what is left without the words around it."""
    text = text.strip()
    found = [text]
    if lead := _LEAD.match(text):
        found.append(text[lead.end() :])
    if len(text) <= _MOST_PROSE:
        segments, outside = _segments(text), _outside(text)
        if segments and _WORD.search(outside) and not _NUMBER.search(outside):
            pieces = _DOLLARS.sub("\0", text).split("\0")[1:-1]
            if all(_GLUE.fullmatch(piece) for piece in pieces):
                found.append(", ".join(segments))
        elif not segments and len(numbers := _NUMBER.findall(text)) == 1 and _WORD.search(text):
            found.append(numbers[0])
    # "x < -7 : (-oo, -7)" says one thing in two ways.
    left, colon, right = text.partition(":")
    if colon and re.search(r"[<>=]|\\(?:leq|geq|neq)|olution|real", left) and right.strip(" $."):
        found += [left, right]
    return list(dict.fromkeys(part.strip().rstrip(" .") for part in found if part.strip(" .$")))


def answer_shape(text: str) -> Shape | None:
    """Return the shape of an answer; ``None`` if a part of it cannot be read."""
    shape = read_shape(text)
    return shape if text and all(leaf.readable for leaf in leaves(shape)) else None


def last_expression(text: str) -> str | None:
    """Let the library find an expression in prose: after ``answer:``, else the last one."""
    parsed = library().parse(text, fallback_mode="first_match", parsing_timeout=None)
    texts = [part for part in parsed if isinstance(part, str)]
    return texts[-1] if texts else None
