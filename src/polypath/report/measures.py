"""Which measures there are, in the order of tables. To add one, write its values and list it here."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from polypath.metrics import (
    NO_SAMPLE,
    answer_entropy,
    distinct_solutions_at_k,
    majority_at_k,
    pass_at_k_from_counts,
    pass_hat_k,
    potential_at_k,
    potential_from_counts,
    subsets,
)
from polypath.metrics.correctness import MAX_MAJORITY_SAMPLES
from polypath.report.texts import text_diversity
from polypath.report.values import (
    DRAWS,
    NO_ANSWER,
    FloatArray,
    IntArray,
    Prepared,
    Values,
    few,
    unjudged,
)


def correctness(run: Prepared) -> Iterator[Values]:
    """Measures of being right: at least one of k, all of k, the majority of k; greedy; Potential@k."""
    ks = run.sizes.ks
    n_N, c_N = run.samples.num_verified_N, run.samples.num_correct_N
    note = unjudged(run)
    yield from _ladder("pass@{k}", "pass@{k}", ks, run.pass_at(ks), note)
    more = tuple(k for k in ks if k > 1)  # at 1, all three are the same
    if more:
        all_right_N_K = np.where(n_N[:, None] > 0, pass_hat_k(n_N, c_N, more), np.nan)
        yield from _ladder("pass^{k}", "pass^{k} (all right)", more, all_right_N_K, note)
        yield from _majority(run, more, note)
    yield from _greedy(run)
    yield from _potential(run, note)


def _majority(run: Prepared, ks: tuple[int, ...], note: str) -> Iterator[Values]:
    if not (run.ids_N_S >= 0).any():
        note = NO_ANSWER
    most = int(run.samples.num_verified_N.max())
    if most > MAX_MAJORITY_SAMPLES:
        note = f"not computed for more than {MAX_MAJORITY_SAMPLES} samples of a problem, got {most}"
    value_N_K = np.full((len(run.ids_N_S), len(ks)), np.nan)
    if not note:
        value_N_K = majority_at_k(run.judged_ids_N_S, run.correct_N_S, ks)
    yield from _ladder("majority@{k}", "majority@{k}", ks, value_N_K, note)


def _ladder(
    key: str,
    label: str,
    ks: tuple[int, ...],
    value_N_K: FloatArray,
    note: str,
    group: str = "correctness",
    higher_is: str = "better",
) -> Iterator[Values]:
    """Yield one measure at several k, which are tested together."""
    for k, value_N in zip(ks, value_N_K.T, strict=True):
        yield Values(
            key=key.format(k=k),
            label=label.format(k=k),
            group=group,
            over="all",
            higher_is=higher_is,
            k=k,
            family=key.format(k="k"),
            top_N=np.full_like(value_N, np.nan) if note else value_N,
            note=note or few(value_N, f"{k} judged samples"),
        )


def _greedy(run: Prepared) -> Iterator[Values]:
    greedy = run.samples.greedy_correct
    if greedy is not None:
        yield Values(
            key="greedy",
            label="greedy pass@1",
            group="correctness",
            over="all",
            higher_is="better",
            top_N=np.array([math.nan if right is None else float(right) for right in greedy]),
        )


def _potential(run: Prepared, note: str) -> Iterator[Values]:
    n_N, c_N = run.samples.num_verified_N, run.samples.num_correct_N
    k = run.sizes.potential_k
    potential = potential_from_counts(n_N, c_N, [k])[0]
    forms = [(f"potential@{k}", f"Potential@{k}", potential)]
    greedy = run.samples.greedy_correct
    if greedy is not None:
        pass_1_N = np.array([math.nan if right is None else float(right) for right in greedy])
        pass_k_N = pass_at_k_from_counts(n_N, c_N, [k])[:, 0]
        paper = potential_at_k(pass_k_N, pass_1_N, k)
        forms.append((f"potential@{k} (greedy)", f"Potential@{k} beyond greedy", paper))
    for key, label, found in forms:
        yield Values(
            key=key,
            label=label,
            group="correctness",
            over="all",
            higher_is="better",
            k=k,
            top_N=found.numerator_N,
            bottom_N=found.denominator_N,
            note=note or found.reason or "",
        )


def solutions(run: Prepared) -> Iterator[Values]:
    """Measures of how many different answers there are."""
    no_answer = "" if (run.ids_N_S >= 0).any() else NO_ANSWER
    note = no_answer or unjudged(run)
    more = tuple(k for k in run.sizes.ks if k > 1)  # one sample has no diversity
    if more:
        yield from _ladder(
            "distinct@{k}",
            "distinct correct in {k}",
            more,
            run.distinct_at(more),
            note,
            group="solutions",
            higher_is="more diverse",
        )
    yield from _repeats(run, "all", run.ids_N_S, run.sizes.text, no_answer)
    yield from _repeats(run, "correct", run.correct_ids_N_S, run.sizes.correct, note)


def _repeats(run: Prepared, over: str, ids_N_S: IntArray, size: int, note: str) -> Iterator[Values]:
    # Samples without an answer repeat nothing and are no solution: they are no draws here.
    ids = np.where(ids_N_S >= 0, ids_N_S, NO_SAMPLE)
    expected_N = distinct_solutions_at_k(ids, ids >= 0, [size])[:, 0]
    of = f"{size} {'correct ' if over == 'correct' else ''}answers"
    yield Values(
        key=f"duplicates ({over})",
        label=f"repeats among {of}",
        group="solutions",
        over=over,
        higher_is="less diverse",
        k=size,
        top_N=1 - expected_N / size,
        note=note or few(expected_N, of),
    )
    entropy_N = np.array([_entropy(row[row >= 0], size, run.settings.seed) for row in ids])
    yield Values(
        key=f"entropy ({over})",
        label=f"entropy of {of}",
        group="solutions",
        over=over,
        higher_is="more diverse",
        k=size,
        top_N=entropy_N,
        note=note or few(entropy_N, of),
    )


def _entropy(ids_S: IntArray, size: int, seed: int) -> float:
    chosen_D_K = subsets(len(ids_S), size, draws=DRAWS, seed=seed)
    return float(answer_entropy(ids_S[chosen_D_K]).mean()) if len(chosen_D_K) else math.nan


MEASURES: dict[str, Callable[[Prepared], Iterator[Values]]] = {
    "correctness": correctness,
    "solutions": solutions,
    "text diversity": text_diversity,
}
