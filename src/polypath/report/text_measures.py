"""Measures of how the texts of a problem differ, over all of them and over the correct ones."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from polypath.metrics import (
    NgramCounts,
    count_ngrams,
    distinct_ngrams_per_text,
    distinct_ngrams_pooled,
    div_equ,
    equal_k_expectation,
    mean_pairwise_distance,
    ngram_jaccard,
    self_bleu,
    vendi_score_at_k,
)
from polypath.report.model import FloatArray
from polypath.report.prepared import DRAWS, Prepared, ProblemValues, few, without_verdict
from polypath.report.settings import IntArray

# key -> label; those with a place for a number of texts depend on it, and are taken at an equal one
LABELS = {
    "div_equ": "Div-Equ of {}",
    "ngrams_pooled": "distinct n-grams of {} together",
    "ngrams_per_text": "distinct n-grams of one text",
    "self_bleu_diversity": "1 - Self-BLEU of {}",
    "vendi": "Vendi score of {}",
    "distance": "distance of two texts",
}


def text_diversity(run: Prepared, wanted: Callable[[str], bool]) -> Iterator[ProblemValues]:
    """Div-Equ, n-gram diversity, 1 - Self-BLEU, Vendi score and mean distance.

    Those that depend on the number of texts are taken at ``sizes.text`` texts (``sizes.correct`` for
    correct ones): exactly, or as a mean over draws. Similarity is the Jaccard index of the sets of
    1- to 4-grams.

    Args:
        run: what to measure.
        wanted: says by its key, such as ``vendi (correct)``, whether a measure is wanted.

    Yields:
        A value for each problem of every wanted measure.
    """
    places_N = {
        "all": [np.arange(size) for size in run.samples.num_samples_N],
        "correct": [np.flatnonzero(right_S) for right_S in run.correct_N_S],
    }
    size_of = {"all": run.sizes.text, "correct": run.sizes.correct}
    values = {
        (key, over): np.full(len(run.samples.problem_ids), np.nan)
        for over in places_N
        for key in LABELS
        if wanted(f"{key} ({over})")
    }
    of_ngrams = [name for name in values if name[0] in _OF_NGRAMS]
    # Problem by problem, so that the n-grams of only one are in memory.
    for n, texts in enumerate(run.samples.completions if of_ngrams else ()):
        whole = _Texts(count_ngrams(texts))
        chosen = {over: whole.take(at_N[n]) for over, at_N in places_N.items() if len(at_N[n])}
        for key, over in of_ngrams:
            if over in chosen:
                found = _OF_NGRAMS[key](chosen[over], size_of[over], run.settings.seed)
                values[key, over][n] = found
    for over in (over for key, over in values if key == _EQUATIONS):
        values[_EQUATIONS, over] = _div_equ(run, places_N[over], size_of[over])
    for (key, over), value_N in values.items():
        yield _as_values(run, key, over, size_of[over], value_N)


def _div_equ(run: Prepared, places_N: Sequence[IntArray], size: int) -> FloatArray:
    """Return the different equations per equation of ``size`` of the texts at these places."""
    chosen_N = [
        [run.equations_N[n][place] for place in places] for n, places in enumerate(places_N)
    ]
    return div_equ(chosen_N, k=size).ratio_N


class _Texts:
    """Texts of one problem; how alike they are is computed once, when first asked for."""

    def __init__(self, counts: NgramCounts, part_of: tuple["_Texts", IntArray] | None = None):
        self.counts = counts
        self._part_of = part_of

    @functools.cached_property
    def similarity_S_S(self) -> FloatArray:
        if self._part_of is None:
            return ngram_jaccard(self.counts)
        whole, places = self._part_of
        return whole.similarity_S_S[np.ix_(places, places)]

    def take(self, places: IntArray) -> "_Texts":
        return _Texts(self.counts.take(places), (self, places))


def _pooled(texts: _Texts, size: int, seed: int) -> float:
    del seed
    return distinct_ngrams_pooled(texts.counts, k=size)


def _per_text(texts: _Texts, size: int, seed: int) -> float:
    del size, seed
    return distinct_ngrams_per_text(texts.counts)


def _bleu(texts: _Texts, size: int, seed: int) -> float:
    return 1 - equal_k_expectation(
        lambda chosen: self_bleu(texts.counts.take(chosen)),
        texts.counts.num_texts,
        size,
        draws=DRAWS,
        seed=seed,
    )


def _vendi(texts: _Texts, size: int, seed: int) -> float:
    return vendi_score_at_k(texts.similarity_S_S, size, draws=DRAWS, seed=seed)


def _distance(texts: _Texts, size: int, seed: int) -> float:
    del size, seed
    return float(mean_pairwise_distance(texts.similarity_S_S[None])[0])


_EQUATIONS = "div_equ"
_OF_NGRAMS: Mapping[str, Callable[[_Texts, int, int], float]] = {
    "ngrams_pooled": _pooled,
    "ngrams_per_text": _per_text,
    "self_bleu_diversity": _bleu,
    "vendi": _vendi,
    "distance": _distance,
}


def _as_values(run: Prepared, key: str, over: str, size: int, value_N: FloatArray) -> ProblemValues:
    texts = "correct texts" if over == "correct" else "texts"
    label = LABELS[key].format(f"{size} {texts}")
    sized = label != LABELS[key]
    if not sized and over == "correct":
        label += ", correct"
    reason = f"{size if sized else 1 + (key == 'distance')} {texts}"
    if key == _EQUATIONS:
        reason += ", or without an equation"
    note = without_verdict(run) if over == "correct" else ""
    return ProblemValues(
        key=f"{key} ({over})",
        label=label,
        group="text diversity",
        over=over,
        higher_is="more diverse",
        k=size if sized else 0,
        top_N=value_N,
        note=note or few(value_N, reason),
    )
