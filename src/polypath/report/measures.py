"""Which measures there are, in the order of tables. To add one, write its values and list it here."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from polypath.metrics import (
    NO_SAMPLE,
    NgramCounts,
    Potential,
    answer_entropy,
    count_ngrams,
    distinct_ngrams_per_text,
    distinct_ngrams_pooled,
    distinct_solutions_at_k,
    div_equ,
    equal_k_expectation,
    majority_at_k,
    mean_pairwise_distance,
    ngram_jaccard,
    pass_hat_k,
    potential_at_k,
    potential_from_counts,
    self_bleu,
    subsets,
    vendi_score_at_k,
)
from polypath.metrics.majority import MAX_MAJORITY_SAMPLES
from polypath.report.model import GROUPS, FloatArray
from polypath.report.prepared import (
    DRAWS,
    Prepared,
    ProblemValues,
    few,
    without_answer,
    without_verdict,
)
from polypath.report.settings import IntArray

Wanted = Callable[[str], bool]


class Explained(NamedTuple):
    """What a measure is called, and what it means.

    Attributes:
        label: name in tables, with a placeholder where a number belongs.
        meaning: what it says, in one sentence.
    """

    label: str
    meaning: str

    @property
    def name(self) -> str:
        """The label of the measure in general."""
        return self.label.format(k="k", answers="k answers", texts="k texts").replace(" = k", "")


# By ``stem`` of the key: all that is shown of a measure's name and meaning comes from here. Those of
# so many texts depend on the number of texts, and are taken at an equal one.
EXPLAINED = {
    "pass@k": Explained(
        "pass@{k}",
        "Chance that one or more of k samples is right; pass@1 is the share of right ones.",
    ),
    "pass^k": Explained(
        "pass^{k} (all right)", "Chance that all of k samples of a problem are right."
    ),
    "majority@k": Explained("majority@{k}", "Chance that the most frequent of k answers is right."),
    "greedy": Explained(
        "greedy pass@1", "Share of problems whose sample at temperature 0 is right."
    ),
    "potential@k": Explained(
        "Potential@{k}", "Where one sample is wrong, chance that k others hold a right one."
    ),
    "potential@k (greedy)": Explained(
        "Potential@{k} beyond greedy",
        "Of the problems that the greedy sample gets wrong, share that k samples solve.",
    ),
    "distinct@k": Explained(
        "distinct correct in {k}",
        "Different right solutions in k samples of a problem. It rises with accuracy, too.",
    ),
    "duplicates": Explained(
        "repeats among {answers}", "Share of answers to a problem that repeat another."
    ),
    "entropy": Explained(
        "entropy of {answers}", "How evenly answers spread, in nats: 0 for equal ones."
    ),
    "div_equ": Explained(
        "Div-Equ of {texts}", "Different equations as a share of all in the texts."
    ),
    "ngrams_pooled": Explained(
        "distinct n-grams of {texts} together",
        "Different n-grams (n from 1 to 3) as a share of all in the texts of a problem.",
    ),
    "ngrams_per_text": Explained(
        "distinct n-grams of one text",
        "Different n-grams as a share of all in a single text: low where it repeats itself.",
    ),
    "self_bleu_diversity": Explained(
        "1 - Self-BLEU of {texts}",
        "How badly the other texts of a problem predict the words of one: 0 for equal texts.",
    ),
    "vendi": Explained(
        "Vendi score of {texts}",
        "How many different texts there are, by shared n-grams: 1 for equal ones, at most k.",
    ),
    "distance": Explained(
        "distance of two texts",
        "1 minus the share of n-grams that two texts of a problem have in common.",
    ),
    "keep@k": Explained(
        "Keep at k = {k}",
        "Of the problems that the base solves with k samples, share that the run solves, too.",
    ),
    "explore@k": Explained(
        "Explore at k = {k}",
        "Of the problems that the base does not solve with k samples, share the run solves.",
    ),
    "token_entropy": Explained(
        "entropy (nats per token)", "Mean of -ln p over the sampled tokens."
    ),
    "p": Explained("p", "Chance of such a difference if there were none, corrected for several k."),
    "detectable": Explained(
        "detectable", "Smallest true difference that these problems show with 80 % power."
    ),
    # of a training log
    "log/diversity/accuracy": Explained(
        "accuracy of training samples",
        "Share of the completions sampled in training that are right.",
    ),
    "log/reward": Explained("reward", "Mean reward of the completions sampled in training."),
    "log/entropy": Explained("entropy (nats per token)", "How undecided the model is in training."),
    "log/diversity/distinct_correct": Explained(
        "distinct correct solutions in a group",
        "Different right solutions among the completions of a problem in a step.",
    ),
    "log/diversity/duplicate_rate": Explained(
        "duplicate rate in a group",
        "Share of the solutions of a problem in a step that repeat another.",
    ),
    "log/kl": Explained(
        "KL to the initial model", "How far the model has moved, in nats per token."
    ),
    "log/completions/mean_length": Explained(
        "mean length (tokens)", "Mean tokens of a completion in training."
    ),
    "log/loss": Explained("loss", "What the optimizer lowers; it says little of progress in GRPO."),
}
TEXT_MEASURES = (
    *("div_equ", "ngrams_pooled", "ngrams_per_text"),
    *("self_bleu_diversity", "vendi", "distance"),
)


def stem(key: str) -> str:
    """Return the key of a measure in ``EXPLAINED``: without the number and the kind of samples.

    Args:
        key: of a measure, such as ``pass@16``.

    >>> stem("pass@16"), stem("potential@4 (greedy)"), stem("vendi (correct)")
    ('pass@k', 'potential@k (greedy)', 'vendi')
    """
    return re.sub(r"(?<=[@^])\d+", "k", key).removesuffix(" (all)").removesuffix(" (correct)")


def measure(
    run: Prepared, wanted: Wanted = lambda _: True, groups: Sequence[str] = GROUPS
) -> list[ProblemValues]:
    """Measure one seed of a run.

    Args:
        run: its samples, prepared.
        wanted: says by its key whether a measure is wanted; no other that is slow is computed.
        groups: of ``GROUPS``; only their measures.

    Returns:
        A value for each problem of every measure, in the order of tables.
    """
    found = (values for group in groups for values in MEASURES[group](run, wanted))
    return [values for values in found if wanted(values.key)]


def _correctness(run: Prepared, wanted: Wanted) -> Iterator[ProblemValues]:
    """Measures of being right: at least one of k, all of k, the majority of k; greedy; Potential@k."""
    n_N, c_N = run.samples.num_verified_N, run.samples.num_correct_N
    note = without_verdict(run)
    more = [k for k in run.sizes.ks if k > 1]  # at 1, all three are the same
    yield from _at_each_k(run, "pass@k", run.sizes.ks, run.pass_at, note)
    all_right = partial(pass_hat_k, n_N, c_N)
    yield from _at_each_k(run, "pass^k", more, all_right, note)
    majority = partial(majority_at_k, run.verified_ids_N_S, run.correct_N_S)
    most, limit = int(n_N.max()), MAX_MAJORITY_SAMPLES
    too_many = f"not computed for more than {limit} samples of a problem, got {most}"
    why = too_many if most > limit else without_answer(run) or note
    asked = [k for k in more if wanted(f"majority@{k}")]
    yield from _at_each_k(run, "majority@k", asked, majority, why)
    if run.greedy_N is not None:
        yield ProblemValues(
            key="greedy",
            label=EXPLAINED["greedy"].label,
            group="correctness",
            higher_is="better",
            top_N=run.greedy_N,
        )
    for k in run.sizes.potential_ks:
        key = f"potential@{k}"
        yield _potential(key, potential_from_counts(n_N, c_N, [k])[0], note)
        if run.greedy_N is not None:
            beyond_greedy = potential_at_k(run.pass_at([k])[:, 0], run.greedy_N, k)
            yield _potential(f"{key} (greedy)", beyond_greedy, note)


def _potential(key: str, found: Potential, note: str) -> ProblemValues:
    return ProblemValues(
        key=key,
        label=EXPLAINED[stem(key)].label.format(k=found.k),
        group="correctness",
        higher_is="better",
        k=found.k,
        top_N=found.numerator_N,
        bottom_N=found.denominator_N,
        note=note or found.reason or "",
    )


def _solutions(run: Prepared, wanted: Wanted) -> Iterator[ProblemValues]:
    """Measures of how many different answers there are."""
    no_answer = without_answer(run)
    note = no_answer or without_verdict(run)
    more = [k for k in run.sizes.ks if k > 1]  # one sample has no diversity
    about = {"group": "solutions", "higher_is": "more diverse"}
    yield from _at_each_k(run, "distinct@k", more, run.distinct_at, note, **about)
    yield from _repeats(run, wanted, "all", run.sizes.text, no_answer)
    yield from _repeats(run, wanted, "correct", run.sizes.correct, note)


def _at_each_k(
    run: Prepared,
    family: str,
    ks: Sequence[int],
    values_at: Callable[[Sequence[int]], FloatArray],
    note: str,
    *,
    group: str = "correctness",
    higher_is: str = "better",
) -> Iterator[ProblemValues]:
    """Yield one measure at several k, which are tested together; undefined where there is a note."""
    if not ks:
        return
    value_N_K = np.full((run.samples.num_problems, len(ks)), np.nan) if note else values_at(ks)
    for k, value_N in zip(ks, value_N_K.T, strict=True):
        yield ProblemValues(
            key=f"{family.removesuffix('k')}{k}",
            label=EXPLAINED[family].label.format(k=k),
            group=group,
            higher_is=higher_is,
            k=k,
            family=family,
            top_N=value_N,
            note=note or few(value_N, f"{k} verified samples"),
        )


def _repeats(
    run: Prepared, wanted: Wanted, over: str, size: int, note: str
) -> Iterator[ProblemValues]:
    ids_N_S = run.ids_N_S if over == "all" else run.correct_ids_N_S
    # Samples without an answer repeat nothing and are no solution: they are no draws here.
    ids_N_S = np.where(ids_N_S >= 0, ids_N_S, NO_SAMPLE)
    of = f"{size} {'correct ' if over == 'correct' else ''}answers"

    def values(key: str, higher_is: str, value_N: FloatArray) -> ProblemValues:
        return ProblemValues(
            key=f"{key} ({over})",
            label=EXPLAINED[key].label.format(answers=of),
            group="solutions",
            over=over,
            higher_is=higher_is,
            k=size,
            top_N=value_N,
            note=note or few(value_N, of),
        )

    distinct_N = distinct_solutions_at_k(ids_N_S, ids_N_S >= 0, [size])[:, 0]
    yield values("duplicates", "less diverse", 1 - distinct_N / size)
    if wanted(f"entropy ({over})"):
        entropy_N = [_entropy(row[row >= 0], size, run.settings.seed) for row in ids_N_S]
        yield values("entropy", "more diverse", np.array(entropy_N))


def _entropy(ids_S: IntArray, size: int, seed: int) -> float:
    chosen_D_K = subsets(len(ids_S), size, draws=DRAWS, seed=seed)
    return float(answer_entropy(ids_S[chosen_D_K]).mean()) if len(chosen_D_K) else math.nan


def _text_diversity(run: Prepared, wanted: Wanted) -> Iterator[ProblemValues]:
    """Div-Equ, n-gram diversity, 1 - Self-BLEU, Vendi score and mean distance.

    Those that depend on the number of texts are taken at ``sizes.text`` texts (``sizes.correct`` for
    correct ones): exactly, or as a mean over draws. Similarity is the Jaccard index of the sets of
    1- to 4-grams.
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
        for key in TEXT_MEASURES
        if wanted(f"{key} ({over})")
    }
    of_ngrams = [(key, over) for key, over in values if key != "div_equ"]
    # Problem by problem, so that the n-grams of only one are in memory.
    for n, texts in enumerate(samples.completions if of_ngrams else ()):
        counts = count_ngrams(texts)
        chosen = {
            over: _ngram_measures(counts.take(at_N[n]), size_of[over], seed)
            for over, at_N in places_N.items()
            if len(at_N[n])
        }
        for key, over in of_ngrams:
            if over in chosen:
                values[key, over][n] = chosen[over][key]()
    for (key, over), value_N in values.items():
        if key == "div_equ":
            rows = zip(run.equations_N, places_N[over], strict=True)
            equations_N = [[texts[place] for place in places] for texts, places in rows]
            value_N = div_equ(equations_N, k=size_of[over]).ratio_N
        yield _as_values(run, key, over, size_of[over], value_N)


def _ngram_measures(counts: NgramCounts, size: int, seed: int) -> dict[str, Callable[[], float]]:
    """Return what is measured of some texts of one problem; nothing is computed before it is called."""
    similarity_S_S = cache(lambda: ngram_jaccard(counts))
    draws = {"draws": DRAWS, "seed": seed}

    def bleu(chosen_K: IntArray) -> float:
        return self_bleu(counts.take(chosen_K))

    return {
        "ngrams_pooled": lambda: distinct_ngrams_pooled(counts, k=size),
        "ngrams_per_text": lambda: distinct_ngrams_per_text(counts),
        "self_bleu_diversity": lambda: (
            1 - equal_k_expectation(bleu, counts.num_texts, size, **draws)
        ),
        "vendi": lambda: vendi_score_at_k(similarity_S_S(), size, **draws),
        "distance": lambda: float(mean_pairwise_distance(similarity_S_S()[None])[0]),
    }


def _as_values(run: Prepared, key: str, over: str, size: int, value_N: FloatArray) -> ProblemValues:
    texts = "correct texts" if over == "correct" else "texts"
    label = EXPLAINED[key].label.format(texts=f"{size} {texts}")
    sized = label != EXPLAINED[key].label
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


MEASURES: dict[str, Callable[[Prepared, Wanted], Iterator[ProblemValues]]] = {
    "correctness": _correctness,
    "solutions": _solutions,
    "text diversity": _text_diversity,
}
