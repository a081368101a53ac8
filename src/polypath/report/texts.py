"""Measures of how the texts of a problem differ, over all of them and over the correct ones."""

from collections.abc import Iterator

import numpy as np

from polypath.metrics import (
    NgramCounts,
    count_ngrams,
    distinct_ngrams_per_text,
    distinct_ngrams_pooled,
    div_equ,
    equal_k_expectation,
    extract_equations,
    mean_pairwise_distance,
    ngram_jaccard,
    self_bleu,
    vendi_score_at_k,
)
from polypath.report.values import DRAWS, FloatArray, IntArray, Prepared, Values, few, unjudged

# key -> label; those with a place for a number of texts depend on it, and are taken at an equal one
LABELS = {
    "div_equ": "Div-Equ of {}",
    "ngrams_pooled": "distinct n-grams of {} together",
    "ngrams_per_text": "distinct n-grams of one text",
    "self_bleu_diversity": "1 - Self-BLEU of {}",
    "vendi": "Vendi score of {}",
    "distance": "distance of two texts",
}


def text_diversity(run: Prepared) -> Iterator[Values]:
    """Div-Equ, n-gram diversity, 1 - Self-BLEU, Vendi score and mean distance.

    Those that depend on the number of texts are taken at ``sizes.text`` texts (``sizes.correct`` for
    correct ones): exactly, or as a mean over draws. Similarity is the Jaccard index of the sets of
    1- to 4-grams.
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
    }
    # Problem by problem, so that the n-grams of only one are in memory.
    for n, texts in enumerate(run.samples.completions):
        counts = count_ngrams(texts)
        similarity_S_S = ngram_jaccard(counts)
        for over, places in places_N.items():
            found = _of_texts(counts, similarity_S_S, places[n], size_of[over], run.settings.seed)
            for key, value in found.items():
                values[key, over][n] = value
    equations_N = [[extract_equations(text) for text in row] for row in run.samples.completions]
    for over, places in places_N.items():
        chosen_N = [
            [row[place] for place in at] for row, at in zip(equations_N, places, strict=True)
        ]
        values["div_equ", over] = div_equ(chosen_N, k=size_of[over]).ratio_N
    for over, size in size_of.items():
        for key in LABELS:
            yield _as_values(run, key, over, size, values[key, over])


def _of_texts(
    counts: NgramCounts, similarity_S_S: FloatArray, places: IntArray, size: int, seed: int
) -> dict[str, float]:
    """Measure the texts at these places of one problem."""
    if not len(places):
        return {}
    counts = counts.take(places)
    similarity = similarity_S_S[np.ix_(places, places)]
    bleu = equal_k_expectation(
        lambda chosen: self_bleu(counts.take(chosen)), len(places), size, draws=DRAWS, seed=seed
    )
    return {
        "ngrams_pooled": distinct_ngrams_pooled(counts, k=size),
        "ngrams_per_text": distinct_ngrams_per_text(counts),
        "self_bleu_diversity": 1 - bleu,
        "vendi": vendi_score_at_k(similarity, size, draws=DRAWS, seed=seed),
        "distance": float(mean_pairwise_distance(similarity[None])[0]),
    }


def _as_values(run: Prepared, key: str, over: str, size: int, value_N: FloatArray) -> Values:
    texts = "correct texts" if over == "correct" else "texts"
    label = LABELS[key].format(f"{size} {texts}")
    sized = label != LABELS[key]
    if not sized and over == "correct":
        label += ", correct"
    reason = f"{size if sized else 1 + (key == 'distance')} {texts}"
    if key == "div_equ":
        reason += ", or without an equation"
    note = unjudged(run) if over == "correct" else ""
    return Values(
        key=f"{key} ({over})",
        label=label,
        group="text diversity",
        over=over,
        higher_is="more diverse",
        k=size if sized else 0,
        top_N=value_N,
        note=note or few(value_N, reason),
    )
