"""Which measures there are, in the order of tables. To add one, write its values and list it here."""

import math
from collections.abc import Callable, Iterator, Sequence

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
from polypath.report.model import GROUPS, FloatArray
from polypath.report.prepared import DRAWS, NO_ANSWER, Prepared, ProblemValues, few, without_verdict
from polypath.report.settings import IntArray
from polypath.report.text_measures import text_diversity

Wanted = Callable[[str], bool]


def everything(key: str) -> bool:
    """Want every measure."""
    del key
    return True


def measure(
    run: Prepared, wanted: Wanted = everything, groups: Sequence[str] = GROUPS
) -> list[ProblemValues]:
    """Measure one seed of a run.

    Args:
        run: its samples, prepared.
        wanted: says by its key whether a measure is wanted; no other is computed.
        groups: of ``GROUPS``; only their measures.

    Returns:
        A value for each problem of every measure, in the order of tables.
    """
    return [values for group in groups for values in MEASURES[group](run, wanted)]


def _correctness(run: Prepared, wanted: Wanted) -> Iterator[ProblemValues]:
    """Measures of being right: at least one of k, all of k, the majority of k; greedy; Potential@k."""
    n_N, c_N = run.samples.num_verified_N, run.samples.num_correct_N
    note = without_verdict(run)
    more = [k for k in run.sizes.ks if k > 1]  # at 1, all three are the same

    def all_right(ks: Sequence[int]) -> FloatArray:
        return np.where(n_N[:, None] > 0, pass_hat_k(n_N, c_N, ks), np.nan)

    yield from _at_each_k(run, wanted, "pass@{k}", "pass@{k}", run.sizes.ks, run.pass_at, note)
    yield from _at_each_k(run, wanted, "pass^{k}", "pass^{k} (all right)", more, all_right, note)
    yield from _majority(run, wanted, more, note)
    if run.greedy_N is not None and wanted("greedy"):
        yield ProblemValues(
            key="greedy",
            label="greedy pass@1",
            group="correctness",
            higher_is="better",
            top_N=run.greedy_N,
        )
    yield from _potential(run, wanted, note)


def _majority(
    run: Prepared, wanted: Wanted, ks: Sequence[int], note: str
) -> Iterator[ProblemValues]:
    if not (run.ids_N_S >= 0).any():
        note = NO_ANSWER
    most = int(run.samples.num_verified_N.max())
    if most > MAX_MAJORITY_SAMPLES:
        note = f"not computed for more than {MAX_MAJORITY_SAMPLES} samples of a problem, got {most}"

    def majority(ks: Sequence[int]) -> FloatArray:
        return majority_at_k(run.verified_ids_N_S, run.correct_N_S, ks)

    yield from _at_each_k(run, wanted, "majority@{k}", "majority@{k}", ks, majority, note)


def _at_each_k(
    run: Prepared,
    wanted: Wanted,
    key: str,
    label: str,
    ks: Sequence[int],
    values_at: Callable[[Sequence[int]], FloatArray],
    note: str,
    group: str = "correctness",
    higher_is: str = "better",
) -> Iterator[ProblemValues]:
    """Yield one measure at several k, which are tested together; undefined where there is a note."""
    ks = [k for k in ks if wanted(key.format(k=k))]
    if not ks:
        return
    value_N_K = np.full((run.samples.num_problems, len(ks)), np.nan) if note else values_at(ks)
    for k, value_N in zip(ks, value_N_K.T, strict=True):
        yield ProblemValues(
            key=key.format(k=k),
            label=label.format(k=k),
            group=group,
            higher_is=higher_is,
            k=k,
            family=key.format(k="k"),
            top_N=value_N,
            note=note or few(value_N, f"{k} verified samples"),
        )


def _potential(run: Prepared, wanted: Wanted, note: str) -> Iterator[ProblemValues]:
    n_N, c_N = run.samples.num_verified_N, run.samples.num_correct_N
    for k in run.sizes.potential_ks:
        forms = []
        if wanted(f"potential@{k}"):
            found = potential_from_counts(n_N, c_N, [k])[0]
            forms.append((f"potential@{k}", f"Potential@{k}", found))
        if run.greedy_N is not None and wanted(f"potential@{k} (greedy)"):
            pass_k_N = pass_at_k_from_counts(n_N, c_N, [k])[:, 0]
            found = potential_at_k(pass_k_N, run.greedy_N, k)
            forms.append((f"potential@{k} (greedy)", f"Potential@{k} beyond greedy", found))
        for key, label, found in forms:
            yield ProblemValues(
                key=key,
                label=label,
                group="correctness",
                higher_is="better",
                k=k,
                top_N=found.numerator_N,
                bottom_N=found.denominator_N,
                note=note or found.reason or "",
            )


def _solutions(run: Prepared, wanted: Wanted) -> Iterator[ProblemValues]:
    """Measures of how many different answers there are."""
    no_answer = "" if (run.ids_N_S >= 0).any() else NO_ANSWER
    note = no_answer or without_verdict(run)
    yield from _at_each_k(
        run,
        wanted,
        "distinct@{k}",
        "distinct correct in {k}",
        [k for k in run.sizes.ks if k > 1],  # one sample has no diversity
        run.distinct_at,
        note,
        group="solutions",
        higher_is="more diverse",
    )
    yield from _repeats(run, wanted, "all", run.sizes.text, no_answer)
    yield from _repeats(run, wanted, "correct", run.sizes.correct, note)


def _repeats(
    run: Prepared, wanted: Wanted, over: str, size: int, note: str
) -> Iterator[ProblemValues]:
    ids_N_S = run.ids_N_S if over == "all" else run.correct_ids_N_S
    # Samples without an answer repeat nothing and are no solution: they are no draws here.
    ids_N_S = np.where(ids_N_S >= 0, ids_N_S, NO_SAMPLE)
    of = f"{size} {'correct ' if over == 'correct' else ''}answers"

    def repeats() -> FloatArray:
        return 1 - distinct_solutions_at_k(ids_N_S, ids_N_S >= 0, [size])[:, 0] / size

    def entropy() -> FloatArray:
        return np.array([_entropy(row[row >= 0], size, run.settings.seed) for row in ids_N_S])

    for key, label, higher_is, values in (
        ("duplicates", "repeats among", "less diverse", repeats),
        ("entropy", "entropy of", "more diverse", entropy),
    ):
        if wanted(f"{key} ({over})"):
            value_N = values()
            yield ProblemValues(
                key=f"{key} ({over})",
                label=f"{label} {of}",
                group="solutions",
                over=over,
                higher_is=higher_is,
                k=size,
                top_N=value_N,
                note=note or few(value_N, of),
            )


def _entropy(ids_S: IntArray, size: int, seed: int) -> float:
    chosen_D_K = subsets(len(ids_S), size, draws=DRAWS, seed=seed)
    return float(answer_entropy(ids_S[chosen_D_K]).mean()) if len(chosen_D_K) else math.nan


MEASURES: dict[str, Callable[[Prepared, Wanted], Iterator[ProblemValues]]] = {
    "correctness": _correctness,
    "solutions": _solutions,
    "text diversity": text_diversity,
}
