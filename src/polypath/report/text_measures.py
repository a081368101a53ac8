"""Measures of how the texts of a problem differ, over all of them and over the correct ones."""

from collections.abc import Callable, Iterator
from functools import cached_property

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
    samples, seed = run.samples, run.settings.seed
    places_N = {
        "all": [np.arange(size) for size in samples.num_samples_N],
        "correct": [np.flatnonzero(right_S) for right_S in run.correct_N_S],
    }
    size_of = {"all": run.sizes.text, "correct": run.sizes.correct}
    values = {
        (key, over): np.full(samples.num_problems, np.nan)
        for over in places_N
        for key in LABELS
        if wanted(f"{key} ({over})")
    }
    of_ngrams = [name for name in values if name[0] in _OF_NGRAMS]
    # Problem by problem, so that the n-grams of only one are in memory.
    for n, texts in enumerate(samples.completions if of_ngrams else ()):
        counts = count_ngrams(texts)
        chosen = {
            over: _Texts(counts.take(at_N[n]), size_of[over], seed)
            for over, at_N in places_N.items()
            if len(at_N[n])
        }
        for key, over in of_ngrams:
            if over in chosen:
                values[key, over][n] = _OF_NGRAMS[key](chosen[over])
    for (key, over), value_N in values.items():
        if key == "div_equ":
            rows = zip(run.equations_N, places_N[over], strict=True)
            equations_N = [[texts[place] for place in places] for texts, places in rows]
            value_N = div_equ(equations_N, k=size_of[over]).ratio_N
        yield _as_values(run, key, over, size_of[over], value_N)


class _Texts:
    """Some texts of one problem, with the measures that are taken at a size or as a whole."""

    def __init__(self, counts: NgramCounts, size: int, seed: int) -> None:
        self.counts, self.size, self.seed = counts, size, seed

    @cached_property
    def similarity_S_S(self) -> FloatArray:
        return ngram_jaccard(self.counts)

    def pooled(self) -> float:
        return distinct_ngrams_pooled(self.counts, k=self.size)

    def per_text(self) -> float:
        return distinct_ngrams_per_text(self.counts)

    def bleu_diversity(self) -> float:
        return 1 - equal_k_expectation(
            lambda chosen: self_bleu(self.counts.take(chosen)),
            self.counts.num_texts,
            self.size,
            draws=DRAWS,
            seed=self.seed,
        )

    def vendi(self) -> float:
        return vendi_score_at_k(self.similarity_S_S, self.size, draws=DRAWS, seed=self.seed)

    def distance(self) -> float:
        return float(mean_pairwise_distance(self.similarity_S_S[None])[0])


_OF_NGRAMS: dict[str, Callable[[_Texts], float]] = {
    "ngrams_pooled": _Texts.pooled,
    "ngrams_per_text": _Texts.per_text,
    "self_bleu_diversity": _Texts.bleu_diversity,
    "vendi": _Texts.vendi,
    "distance": _Texts.distance,
}


def _as_values(run: Prepared, key: str, over: str, size: int, value_N: FloatArray) -> ProblemValues:
    texts = "correct texts" if over == "correct" else "texts"
    label = LABELS[key].format(f"{size} {texts}")
    sized = label != LABELS[key]
    if not sized and over == "correct":
        label += ", correct"
    reason = f"{size if sized else 1 + (key == 'distance')} {texts}"
    if key == "div_equ":
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
