r"""Answers to multiple-choice questions: the letters, and the text of the choice.

A letter alone may be a variable. It is read as a choice if it is marked as one, in the gold or in the
answer: ``(B)``, ``B. 42``, ``\text{B}``, ``Option B``.
"""

import re
from typing import NamedTuple

from polypath.verify.math_number import WRAPPED, tidy, unwrap_text

_BESIDE = re.compile(WRAPPED.pattern + r"(?=[\\\w(])")
_ONE = re.compile(
    r"(?P<name>(?:the\s+)?(?:answer|choice|letter|option)\s*:?\s*)?"
    r"(?:\((?P<round>[A-J])\)|(?P<dot>[A-J])(?:\s*\)|[.:])(?=\s|$)|(?P<bare>[A-J]))"
    r"(?:[.:]?\s+(?P<text>(?![+*/^=<>]|-\s).+)|[.:])?",
    re.IGNORECASE | re.DOTALL,
)
_REASON = re.compile(r"(?:as|because|since)\b", re.IGNORECASE)
_PART = re.compile(r"\([A-J]\)|(?<!\w)[a-j]\)", re.IGNORECASE)  # the next part of "(a) 5, (b) 7"
_LETTER = r"(?:\([A-Ja-j]\)|[A-J]\b\.?)"
_SEVERAL = re.compile(rf"{_LETTER}(?:(?:\s*(?:,|;|&|\band\b))+\s*{_LETTER})+")
_SAID = re.compile(r"\(([A-J])\)|\b(?i:choice|option)\s+([A-J])\b")
_DENIED = re.compile(r"\b(?:not|eliminate|incorrect|wrong)\b|n[’']t\b", re.IGNORECASE)


class Choice(NamedTuple):
    """What was chosen."""

    letters: str  # as written, one after the other
    text: str  # the text beside the letter; empty if there is none
    marked: bool  # whether it cannot be anything but a choice


def read_choice(text: str, *, prose: bool = False) -> Choice | None:
    """Read ``C``, ``(C)``, ``(C) 42``, ``B and D``; ``None`` for anything else.

    Args:
        text: an answer.
        prose: whether to search a sentence as well, if its last line names only one choice.
    """
    shown = WRAPPED.sub(r"\1", _BESIDE.sub(r"\1 ", tidy(text))).replace("*", "").strip()
    wrapped = unwrap_text(text) is not None
    if _SEVERAL.fullmatch(shown):
        letters = "".join(re.findall(r"\b[A-Ja-j]\b", shown))
        return Choice(letters, "", wrapped or "(" in shown)
    if one := _ONE.fullmatch(shown):
        chosen, beside = one["round"] or one["dot"] or one["bare"], one["text"] or ""
        reason = bool(_REASON.match(beside))
        marked = not one["bare"] or bool(one["name"]) or wrapped
        if not ((one["bare"] and beside and not reason) or _PART.search(beside)):
            return Choice(chosen, "" if reason else beside, marked or reason)
    last = shown.rpartition("\n")[2]
    said = {found[1] or found[2] for found in _SAID.finditer(last)} if prose else set()
    return Choice(said.pop(), "", True) if len(said) == 1 and not _DENIED.search(last) else None


def same_choice(gold: Choice | None, answer: Choice | None) -> bool | None:
    """Compare two choices by their letters; ``None`` if something else has to decide.

    That is the case if the letters may be variables, or if one letter stands before two texts: "(a) 5"
    may be a part of a question, and "I. Newton" a name.
    """
    if gold is None or answer is None or not (gold.marked or answer.marked):
        return None
    if gold.letters in ("e", "i") and not gold.marked:
        return None  # numbers
    same = set(gold.letters.casefold()) == set(answer.letters.casefold())
    return None if same and gold.text and answer.text else same
