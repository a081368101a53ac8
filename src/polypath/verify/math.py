r"""Verify mathematical answers.

``math_extract`` finds the answer and ``math_prose`` reads it. Equal texts and choices are decided
first. Then ``math_shape`` splits answer and gold into parts, and ``math_equal`` compares them.
math-verify reads the expressions that ``math_latex`` does not. docs/verifiers.md lists where this module
differs from that library, and why.

``verify_math`` has no time limit, and some answers take forever. Training and evaluation run it in a
``WorkerPool("polypath.verify.math:math_verifier")``.
"""

import functools
import re
from collections.abc import Callable

from polypath.errors import ConfigError
from polypath.verify.base import Status, Verdict
from polypath.verify.math_canonical import bounded, canonical
from polypath.verify.math_choice import read_choice, same_choice
from polypath.verify.math_equal import equal
from polypath.verify.math_extract import VALUE, Found, clean_characters, find_answer, has_words
from polypath.verify.math_leaf import library
from polypath.verify.math_number import squeeze, words
from polypath.verify.math_prose import bare, read_answer
from polypath.verify.math_reading import answer_shape, gold_texts, last_expression
from polypath.verify.math_shape import Shape, leaves, read_shape

EXTRACTIONS = ("any", "box")

# Too costly to try: the number alone would fill the memory.
_TOWER = re.compile(
    r"\^\s*\{?[^{}^+]{0,12}\d\s*\^\s*\{?\s*\(?\d|\^\s*\{?\s*\d{5,}|\d{5,}\s*!|!\s*\)?\s*!"
)
_BASE = re.compile(r"([0-9A-F]+)_(?:\{(\d+)\}|(\d+)|\{\\text\{(\w+)\}\})")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?:[ap]\.?m\.?)?")


def _clock(text: str) -> str | None:
    """Return a time of day such as ``6:00pm``. The library would divide 6 by 0."""
    shown = words(text)
    return shown.replace(".", "") if _CLOCK.fullmatch(shown) else None


class _GoldAnswer:
    """A gold answer, prepared once."""

    def __init__(self, text: str) -> None:
        found = find_answer(text)
        self.text = bare(found.text if found and found.mark == "box" else clean_characters(text))
        self.squeezed = squeeze(self.text)
        self.base = _BASE.fullmatch(self.squeezed)
        self.clock = _clock(self.text)
        self.choice = read_choice(self.text)

    @functools.cached_property
    def readings(self) -> list[Shape]:
        """The shapes that it may be read as, if every leaf of them can be read."""
        shapes = map(read_shape, gold_texts(self.text))
        return [shape for shape in shapes if all(leaf.readable for leaf in leaves(shape))]

    @functools.cached_property
    def usable(self) -> bool:
        simple = self.base or self.clock or self.choice or _too_costly(self.text)
        return bool(simple or self.readings)

    @functools.cached_property
    def canonical(self) -> str:
        if self.choice is not None and self.choice.text:
            return _prepare(self.choice.text).canonical
        if self.clock is not None or self.base is not None or _too_costly(self.text):
            return self.clock or bounded(self.squeezed)
        return canonical(self.readings[0]) if self.readings else bounded(self.squeezed)


@functools.lru_cache(maxsize=4096)
def _prepare(gold: str) -> _GoldAnswer:
    return _GoldAnswer(gold)


def _too_costly(text: str) -> bool:
    return bool(_TOWER.search(text))


def _graded(right: bool, answer: str) -> Verdict:
    return Verdict(status=Status.GRADED, reward=float(right), answer=answer)


def _by_text(gold: _GoldAnswer, text: str) -> Verdict | None:
    """Decide cases that need no mathematics: equal texts, clock times, numbers in other bases."""
    squeezed = squeeze(text)
    if squeezed == gold.squeezed:
        return _graded(True, gold.canonical)
    if gold.base is not None and (base := _BASE.fullmatch(squeezed)):
        equal = base[1] == gold.base[1] and base.groups()[1:] == gold.base.groups()[1:]
        return _graded(equal, gold.canonical if equal else bounded(squeezed))
    if gold.clock is not None and (clock := _clock(text)) is not None:
        return _graded(clock == gold.clock, clock)
    return None


def _by_shape(gold: _GoldAnswer, found: Found) -> Verdict:
    text = found.text
    prose = found.mark != "box" and has_words(text) and bool(VALUE.search(text))
    shape = None if prose else answer_shape(text)
    if shape is None and found.mark != "box":
        # The library finds the expression in prose.
        text = last_expression(text if found.mark == "tail" else f"answer: {text}") or ""
        shape = answer_shape(text)
    if _too_costly(text) or _too_costly(gold.text):
        return Verdict(status=Status.TIMEOUT)
    if shape is None:
        return Verdict(status=Status.NO_ANSWER)
    if any(equal(reading, shape) for reading in gold.readings):
        return _graded(True, gold.canonical)
    if found.mark == "tail" and not VALUE.search(found.text):
        return Verdict(status=Status.NO_ANSWER)  # words without an announced answer
    return _graded(False, canonical(shape))


def verify_math(completion: str, gold: str, *, extraction: str = "any") -> Verdict:
    r"""Verify one completion here, in this process, without a time limit.

    Args:
        completion: what the model wrote. Any text is safe, but some take forever: see the module.
        gold: the right answer, LaTeX or plain, with or without ``$`` or ``\boxed{}`` around it.
        extraction: ``"any"`` takes the answer from a box or an answer tag, else from a line that
            announces it, else from the last statement (see ``math_extract`` and ``math_prose``);
            ``"box"`` from a box or a tag only.

    Returns:
        ``BAD_GOLD`` if the gold is empty, or cannot be read and the answer is not the same text;
        ``NO_ANSWER`` if there is no answer, or one that cannot be read; ``TIMEOUT`` for numbers too
        large to write down (towers of powers), without trying; else ``GRADED``. The answer of a
        right completion is the gold's canonical text; that of a wrong one its own: ``n/d`` for
        numbers, sympy's text for expressions, words without case and spacing; a hash if long.

    Raises:
        MissingExtraError: if math-verify is not installed and is needed.
    """
    prepared = _prepare(gold)
    if not prepared.squeezed:
        return Verdict(status=Status.BAD_GOLD)
    found = read_answer(completion)
    if found is not None and (not found.text or (extraction == "box" and found.mark != "box")):
        found = None
    if found is not None and squeeze(found.text) == prepared.squeezed:
        return _graded(True, prepared.canonical)
    if not prepared.usable:
        return Verdict(status=Status.BAD_GOLD)
    if found is None:
        return Verdict(status=Status.NO_ANSWER)
    chosen = read_choice(found.text, prose=found.mark != "box" and prepared.choice is not None)
    if (right := same_choice(prepared.choice, chosen)) is not None:
        letters = chosen.letters.casefold() if chosen else ""
        return _graded(right, prepared.canonical if right else letters)
    if prepared.choice is not None and prepared.choice.text:
        prepared = _prepare(prepared.choice.text)
    if chosen is not None and chosen.text:
        found = found._replace(text=chosen.text)
    return _by_text(prepared, found.text) or _by_shape(prepared, found)


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
