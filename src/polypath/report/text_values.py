"""Measures of the texts of a run, which take longest: cut into parts that processes can share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from polypath.metrics import TextGroups, extract_equations
from polypath.report.model import FloatArray
from polypath.report.prepared import DRAWS, BoolArray, Prepared

TEXT_MEASURES = (
    *("div_equ", "ngrams_pooled", "ngrams_per_text"),
    *("self_bleu_diversity", "vendi", "distance"),
)
OVERS = ("all", "correct")

# Of a part: about 100 MB while it is measured.
_CHARACTERS_AT_ONCE = 500_000
_PAIRS_AT_ONCE = 4_000_000
_CHARACTERS_OF_A_TEXT = 250  # a text takes as long as these, besides its own

TextKey = tuple[str, str]  # measure, and "all" or "correct"
TextValues = dict[TextKey, FloatArray]


@dataclass(frozen=True, kw_only=True)
class TextPart:
    """The texts of some problems of a run, one after the other.

    Attributes:
        texts_N: of each problem.
        correct_N: which of them are correct.
        size_of: number of texts that each kind of measure is taken at.
        seed: of the draws.
        keys: what is to be measured.
    """

    texts_N: tuple[tuple[str, ...], ...]
    correct_N: tuple[BoolArray, ...]
    size_of: dict[str, int]
    seed: int
    keys: tuple[TextKey, ...]

    @property
    def work(self) -> int:
        """How long it takes, in characters of long texts."""
        return sum(len(text) + _CHARACTERS_OF_A_TEXT for texts in self.texts_N for text in texts)


def wanted_texts(wanted: Callable[[str], bool]) -> tuple[TextKey, ...]:
    """Return the measures of texts that are wanted.

    Args:
        wanted: takes the key of a measure, such as ``vendi (all)``.
    """
    return tuple((k, o) for o in OVERS for k in TEXT_MEASURES if wanted(f"{k} ({o})"))


def text_parts(run: Prepared, keys: tuple[TextKey, ...]) -> Iterator[TextPart]:
    """Cut the texts of a run into parts that fit in memory; the cuts depend on the texts alone.

    Args:
        run: one seed.
        keys: what is to be measured; without any there are no parts.
    """
    if not keys:
        return
    first = characters = pairs = 0
    completions = run.samples.completions
    for last, texts in enumerate(completions, 1):
        characters, pairs = characters + sum(map(len, texts)), pairs + len(texts) ** 2
        full = characters >= _CHARACTERS_AT_ONCE or pairs >= _PAIRS_AT_ONCE
        if not full and last < len(completions):
            continue
        rows = zip(completions[first:last], run.correct_N_S[first:last], strict=True)
        yield TextPart(
            texts_N=completions[first:last],
            correct_N=tuple(right_S[: len(texts)] for texts, right_S in rows),
            size_of={"all": run.sizes.text, "correct": run.sizes.correct},
            seed=run.settings.seed,
            keys=keys,
        )
        first, characters, pairs = last, 0, 0


def measure_texts(part: TextPart) -> TextValues:
    """Measure the texts of some problems.

    Measures that depend on the number of texts are computed at an equal one, exactly or as a mean over draws.
    Similarity is the Jaccard index of the sets of 1- to 4-grams.

    Args:
        part: of ``text_parts``.

    Returns:
        A value for each problem of every measure; NaN where it has too few texts.
    """
    asked = {key for key, _ in part.keys}
    grams = TextGroups(part.texts_N) if asked - {"div_equ"} else None
    equations = None
    if "div_equ" in asked:  # an equation is a token
        equations = TextGroups(part.texts_N, max_n=1, tokenize=extract_equations)
    right_S = np.concatenate(part.correct_N)
    values: TextValues = {}
    for over, chosen_S in (("all", np.ones_like(right_S)), ("correct", right_S)):
        wanted, size = {key for key, of in part.keys if of == over}, part.size_of[over]
        if equations is not None and "div_equ" in wanted:
            values["div_equ", over] = equations.distinct_pooled(chosen_S, size, orders=(1,))
        if grams is not None:
            for key in wanted - {"div_equ"}:
                values[key, over] = _OF_NGRAMS[key](grams, chosen_S, size, part.seed)
    return values


def joined(keys: Iterable[TextKey], parts: Sequence[TextValues]) -> TextValues:
    """Put the values of the parts of a run one after the other.

    Args:
        keys: those of the parts.
        parts: what ``measure_texts`` gave for each, in order.
    """
    return {key: np.concatenate([part[key] for part in parts]) for key in keys}


def _self_bleu_diversity(
    grams: TextGroups, chosen_S: BoolArray, size: int, seed: int
) -> FloatArray:
    return 1 - grams.self_bleu(grams.draws(chosen_S, size, draws=DRAWS, seed=seed))


def _vendi(grams: TextGroups, chosen_S: BoolArray, size: int, seed: int) -> FloatArray:
    return grams.vendi(grams.draws(chosen_S, size, draws=DRAWS, seed=seed))


_OF_NGRAMS: dict[str, Callable[[TextGroups, BoolArray, int, int], FloatArray]] = {
    "ngrams_pooled": lambda grams, chosen_S, size, _: grams.distinct_pooled(chosen_S, size),
    "ngrams_per_text": lambda grams, chosen_S, *_: grams.distinct_per_text(chosen_S),
    "self_bleu_diversity": _self_bleu_diversity,
    "vendi": _vendi,
    "distance": lambda grams, chosen_S, *_: grams.distance(chosen_S),
}
