"""All measures, in the order of tables. To add one, write its values and list it here."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from polypath.metrics import (
    NO_SAMPLE,
    Potential,
    answer_entropy,
    distinct_solutions_at_k,
    majority_at_k,
    pass_hat_k,
    potential_at_k,
    potential_from_counts,
    subsets,
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
from polypath.report.text_values import (
    TextValues,
    joined,
    measure_texts,
    text_parts,
    wanted_texts,
)

Wanted = Callable[[str], bool]

_PROBLEMS_AT_ONCE = 4096


class Explained(NamedTuple):
    """Name and meaning of a measure.

    Attributes:
        label: name in tables, with a placeholder for a number.
        meaning: what the measure says, in one sentence.
    """

    label: str
    meaning: str

    @property
    def name(self) -> str:
        """The label of the measure in general."""
        return self.label.format(k="k", answers="k answers", texts="k texts").replace(" = k", "")


# By ``stem`` of the key. Every name and meaning of a measure that is shown comes from here. Measures with
# a number of texts in their name depend on that number, so they are computed at an equal number.
EXPLAINED = {
    "pass@k": Explained(
        "pass@{k}",
        "Chance that one or more of k samples is right; pass@1 is the share of right samples.",
    ),
    "pass^k": Explained(
        "pass^{k} (all right)", "Chance that all of k samples of a problem are right."
    ),
    "majority@k": Explained("majority@{k}", "Chance that the most frequent of k answers is right."),
    "greedy": Explained(
        "greedy pass@1", "Share of problems whose sample at temperature 0 is right."
    ),
    "potential@k": Explained(
        "Potential@{k}",
        "Chance that k other samples hold a right one, given that one sample is wrong.",
    ),
    "potential@k (greedy)": Explained(
        "Potential@{k} beyond greedy",
        "Share that k samples solve of the problems that the greedy sample gets wrong.",
    ),
    "distinct@k": Explained(
        "distinct correct in {k}",
        "Different right solutions in k samples of a problem. It also rises with accuracy.",
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
        "Different n-grams as a share of all in a single text. It is low if the text repeats itself.",
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
        "Share that the run also solves of the problems that the base solves with k samples.",
    ),
    "explore@k": Explained(
        "Explore at k = {k}",
        "Share that the run solves of the problems that the base does not solve with k samples.",
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
        "mean length (tokens)", "Mean number of tokens of a completion in training."
    ),
    "log/loss": Explained(
        "loss", "What the optimizer lowers; it says little about progress in GRPO."
    ),
}


def stem(key: str) -> str:
    """Return the key of a measure in ``EXPLAINED``, without the number and the kind of samples.

    Args:
        key: key of a measure, such as ``pass@16``.

    >>> stem("pass@16"), stem("potential@4 (greedy)"), stem("vendi (correct)")
    ('pass@k', 'potential@k (greedy)', 'vendi')
    """
    return re.sub(r"(?<=[@^])\d+", "k", key).removesuffix(" (all)").removesuffix(" (correct)")


def measure(
    run: Prepared,
    wanted: Wanted = lambda _: True,
    groups: Sequence[str] = GROUPS,
    *,
    texts: TextValues | None = None,
) -> list[ProblemValues]:
    """Measure one seed of a run.

    Args:
        run: its samples, prepared.
        wanted: returns for a key whether that measure is wanted; slow measures are computed only if wanted.
        groups: members of ``GROUPS``; only their measures.
        texts: measures of the run's texts, if they are known; ``None`` computes them.

    Returns:
        A value for each problem of every measure, in the order of tables.
    """
    found: list[ProblemValues] = []
    if "correctness" in groups:
        found += _correctness(run, wanted)
    if "solutions" in groups:
        found += _solutions(run, wanted)
    if "text diversity" in groups:
        if texts is None:
            keys = wanted_texts(wanted)
            texts = joined(keys, [measure_texts(part) for part in text_parts(run, keys)])
        found += _text_diversity(run, texts)
    return [values for values in found if wanted(values.key)]


def _correctness(run: Prepared, wanted: Wanted) -> Iterator[ProblemValues]:
    """Measures of correctness: at least one of k, all of k, the majority of k; greedy; Potential@k."""
    n_N, c_N = run.samples.num_verified_N, run.samples.num_correct_N
    note = without_verdict(run)
    more = [k for k in run.sizes.ks if k > 1]  # at k = 1, all three are the same
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
    """Yield one measure at several k, which are tested together. With a note it is undefined."""
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
    # Samples without an answer repeat nothing and are no solution, so they are no draws here.
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
        entropy_N = _entropy(ids_N_S, size, run.settings.seed)
        yield values("entropy", "more diverse", entropy_N)


def _entropy(ids_N_S: IntArray, size: int, seed: int) -> FloatArray:
    """Return the mean entropy of draws of so many answers of each problem."""
    answered_N_S = ids_N_S >= 0
    n_N = answered_N_S.sum(axis=1)
    first_N_S = np.take_along_axis(ids_N_S, np.argsort(~answered_N_S, axis=1, kind="stable"), 1)
    value_N = np.full(len(ids_N_S), np.nan)
    for n in np.unique(n_N[n_N >= size]).tolist():
        chosen_D_K = subsets(n, size, draws=DRAWS, seed=seed)
        rows = np.flatnonzero(n_N == n)
        for start in range(0, len(rows), _PROBLEMS_AT_ONCE):
            some = rows[start : start + _PROBLEMS_AT_ONCE]
            drawn_M_K = first_N_S[some][:, chosen_D_K].reshape(-1, size)
            entropy_M = answer_entropy(drawn_M_K)
            value_N[some] = entropy_M.reshape(len(some), -1).mean(axis=1)
    return value_N


def _text_diversity(run: Prepared, texts: TextValues) -> Iterator[ProblemValues]:
    """Div-Equ, n-gram diversity, 1 - Self-BLEU, Vendi score and mean distance."""
    size_of = {"all": run.sizes.text, "correct": run.sizes.correct}
    for (key, over), value_N in texts.items():
        yield _as_values(run, key, over, size_of[over], value_N)


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
