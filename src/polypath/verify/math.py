r"""Verify mathematical answers, with math-verify behind fast paths and guards of our own.

The answer is found by ``math_extract``, and read by ``math_prose``. Numbers, words and equal texts
are decided without parsing; the rest goes to math-verify, gold first: the library is not symmetric.
Where this module says something else than the library does, and why, is listed in docs/verifiers.md.

``verify_math`` has no time limit: some answers take for ever. Training and evaluation run it in a
``WorkerPool("polypath.verify.math:math_verifier")``.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

from polypath.errors import ConfigError
from polypath.verify.base import Status, Verdict
from polypath.verify.math_algebra import (
    bounded,
    canonical_name,
    library,
    parse_latex,
    parse_prose,
    same,
)
from polypath.verify.math_choice import read_choice, same_choice
from polypath.verify.math_extract import Found, clean_characters, find_answer
from polypath.verify.math_number import (
    NumberAnswer,
    read_number,
    same_number,
    squeeze,
    unwrap_text,
    words,
)
from polypath.verify.math_prose import bare, read_answer

EXTRACTIONS = ("any", "box")

# Too costly to even try: the number alone would fill the memory.
_TOWER = re.compile(
    r"\^\s*\{?[^{}^+]{0,12}\d\s*\^\s*\{?\s*\(?\d|\^\s*\{?\s*\d{5,}|\d{5,}\s*!|!\s*\)?\s*!"
)
_BASE = re.compile(r"([0-9A-F]+)_(?:\{(\d+)\}|(\d+)|\{\\text\{(\w+)\}\})")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?:[ap]\.?m\.?)?")


def _clock(text: str) -> str | None:
    """Return a time of day such as ``6:00pm``; the library would divide 6 by 0."""
    shown = words(text)
    return shown.replace(".", "") if _CLOCK.fullmatch(shown) else None


class _GoldAnswer:
    """A gold answer, prepared once."""

    def __init__(self, text: str) -> None:
        found = find_answer(text)
        self.text = bare(found.text if found and found.mark == "box" else clean_characters(text))
        self.squeezed = squeeze(self.text)
        self.number = read_number(self.text)
        self.words = unwrap_text(self.text)
        self.base = _BASE.fullmatch(self.squeezed)
        self.clock = _clock(self.text)
        self.choice = read_choice(self.text)

    @functools.cached_property
    def parsed(self) -> list[Any]:
        return parse_latex(self.text)

    @functools.cached_property
    def usable(self) -> bool:
        if not self.squeezed:
            return False
        simple = (self.number, self.words, self.base, self.clock, self.choice)
        read = any(form is not None for form in simple)
        return read or _too_costly(self.text) or bool(self.parsed)

    @functools.cached_property
    def canonical(self) -> str:
        if self.choice is not None and self.choice.text:
            return _prepare(self.choice.text).canonical
        if self.number is not None:
            return bounded(self.number.canonical)
        if self.clock is not None or self.words is not None:
            return self.clock or bounded(words(self.text))
        if self.base is not None or _too_costly(self.text):
            return bounded(self.squeezed)
        return canonical_name(self.parsed, self.text)


@functools.lru_cache(maxsize=4096)
def _prepare(gold: str) -> _GoldAnswer:
    return _GoldAnswer(gold)


def _too_costly(text: str) -> bool:
    return bool(_TOWER.search(text))


def _graded(right: bool, answer: str) -> Verdict:
    return Verdict(status=Status.GRADED, reward=float(right), answer=answer)


def _by_text(gold: _GoldAnswer, found: Found) -> Verdict | None:
    """Decide what needs no mathematics: words, choices, clock times, numbers in other bases."""
    text = found.text
    squeezed = squeeze(text)
    if squeezed == gold.squeezed:
        return _graded(True, gold.canonical)
    if gold.words is not None and not any(sign.isdigit() for sign in gold.words):
        equal = words(text) == words(gold.text)
        if equal or found.mark == "box":
            return _graded(equal, gold.canonical if equal else bounded(words(text)))
    if gold.base is not None and (base := _BASE.fullmatch(squeezed)):
        equal = base[1] == gold.base[1] and base.groups()[1:] == gold.base.groups()[1:]
        return _graded(equal, gold.canonical if equal else bounded(squeezed))
    if gold.clock is not None and (clock := _clock(text)) is not None:
        return _graded(clock == gold.clock, clock)
    return None


def _by_number(gold: _GoldAnswer, answer: NumberAnswer | None) -> Verdict | None:
    if gold.number is None or answer is None:
        return None
    equal = same_number(gold.number, answer)
    return _graded(equal, gold.canonical if equal else bounded(answer.canonical))


def _by_algebra(gold: _GoldAnswer, found: Found) -> Verdict:
    if _too_costly(found.text if found.mark != "tail" else "") or _too_costly(gold.text):
        return Verdict(status=Status.TIMEOUT)
    if found.mark == "box":
        parsed = parse_latex(found.text)
    else:
        parsed = parse_prose(found.text if found.mark == "tail" else f"answer: {found.text}")
    if not parsed:
        return Verdict(status=Status.NO_ANSWER)
    right = same(gold.parsed, parsed)
    return _graded(right, gold.canonical if right else canonical_name(parsed, found.text))


def verify_math(completion: str, gold: str, *, extraction: str = "any") -> Verdict:
    r"""Verify one completion here, in this process, without a time limit.

    Args:
        completion: what the model wrote. Any text is safe, but some take for ever: see the module.
        gold: the right answer, LaTeX or plain, with or without ``$`` or ``\boxed{}`` around it.
        extraction: ``"any"`` takes the answer from a box or an answer tag, else from a line that
            announces it, else from the last statement (see ``math_extract`` and ``math_prose``);
            ``"box"`` from a box or a tag only.

    Returns:
        ``BAD_GOLD`` if the gold is empty or cannot be parsed; ``NO_ANSWER`` if there is no answer,
        or one that cannot be parsed; ``TIMEOUT`` for numbers too large to write down (towers of
        powers), without trying; else ``GRADED``. The answer of a right completion is the gold's
        canonical text; that of a wrong one its own: ``n/d`` for numbers, sympy's text for
        expressions, words without case and spacing; a hash if long.

    Raises:
        MissingExtraError: if math-verify is not installed and is needed.
    """
    prepared = _prepare(gold)
    if not prepared.usable:
        return Verdict(status=Status.BAD_GOLD)
    found = read_answer(completion)
    if found is None or not found.text or (extraction == "box" and found.mark != "box"):
        return Verdict(status=Status.NO_ANSWER)
    chosen = read_choice(found.text, prose=found.mark != "box" and prepared.choice is not None)
    if (right := same_choice(prepared.choice, chosen)) is not None:
        letters = chosen.letters.casefold() if chosen else ""
        return _graded(right, prepared.canonical if right else letters)
    if prepared.choice is not None and prepared.choice.text:
        prepared = _prepare(prepared.choice.text)
    if chosen is not None and chosen.text:
        found = found._replace(text=chosen.text)
    verdict = _by_text(prepared, found) or _by_number(prepared, read_number(found.text))
    return verdict or _by_algebra(prepared, found)


def math_verifier(*, extraction: str = "any") -> Callable[[str, str], Verdict]:
    """Build the verifier for a pool: ``WorkerPool("polypath.verify.math:math_verifier")``.

    Args:
        extraction: as in ``verify_math``.

    Raises:
        ConfigError: for an unknown extraction.
        MissingExtraError: if math-verify is not installed.
    """
    if extraction not in EXTRACTIONS:
        raise ConfigError(
            f"extraction must be one of {', '.join(EXTRACTIONS)}, got {extraction!r}."
        )
    library()
    verify_math(r"\boxed{x^2+1}", "x^2")  # build the parser before the first deadline runs
    return functools.partial(verify_math, extraction=extraction)
