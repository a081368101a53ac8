"""Results of runs and comparisons in sentences; terminal, JSON and page use the same ones.

No sentence about a comparison names its runs. The caller puts "RUN against BASE" before it.
"""

import math
from collections.abc import Sequence

from polypath.metrics.keep_explore import FOUND, KEPT, LOST, UNSOLVED
from polypath.report.crossings import crossing_sentence
from polypath.report.model import (
    EXPECTED_LOST,
    FELL,
    NOISE,
    ROSE,
    Comparison,
    Difference,
    Flow,
    RunAnalysis,
)
from polypath.report.numbers import UNVARIED, effect, levels, number, with_ends
from polypath.rollouts.left_out import tell_left_out

LISTED = 4  # if more measures are within noise, they are counted
FAMILIES = {
    "pass^k": "pass^k (all right)",
    "distinct@k": "distinct correct solutions in k samples",
}
_OPPOSITE = {"more diverse": "less diverse", "less diverse": "more diverse"}


def headlines(comparison: Comparison) -> list[str]:
    """Return a plain sentence for each run on what changed, then the limits of these sentences.

    Args:
        comparison: a base with its runs.

    Returns:
        One line per run, and at most one line about runs with a single seed.
    """
    base = comparison.base.name
    told = [(run.name, comparison.differences_of(run.name)) for run in comparison.runs]
    lines = [f"{name} against {base}: {headline(differences)}" for name, differences in told]
    return lines + one_seed(comparison)


def headline(differences: Sequence[Difference]) -> str:
    """Say how pass@1 and distinct correct solutions changed, with both levels of each.

    The sentence uses the smallest k of pass@k and the largest k of distinct solutions.
    """
    told = [_levels(d, name) for name, d in headline_measures(differences).items()]
    return "; ".join(told) + "." if told else "No measure of right solutions was requested."


def headline_measures(differences: Sequence[Difference]) -> dict[str, Difference]:
    """Return the differences that a headline is about, by their names in it."""
    passed = [d for d in differences if d.family == "pass@k"][:1]
    distinct = [d for d in differences if d.family == "distinct@k"][-1:]
    found = {d.label: d for d in passed}
    return found | {f"different right solutions in {d.k}": d for d in distinct}


def one_seed(comparison: Comparison) -> list[str]:
    """Say which runs have one training seed, and what their intervals leave out; empty if none has."""
    single = [run.name for run in comparison.everyone if run.num_seeds == 1]
    limit = "differences between runs of one method are not in the interval"
    if len(single) == len(comparison.everyone):
        return [f"One training run each: {limit}."]
    # Some may be models that nobody trained.
    return [f"{join(single)}: one run each; where trained, {limit}."] if single else []


def closing(comparison: Comparison) -> list[str]:
    """Say where pass@k crosses, and what each run kept, lost and found: no table shows these."""
    base, lines = comparison.base.name, []
    for run, flow in zip(comparison.runs, comparison.flows, strict=True):
        crossed = crossing_sentence(flow.crossing)
        told = " ".join(filter(None, (crossed, problems(flow), solutions(flow), shares(flow))))
        lines += [f"{run.name} against {base}: {told}"] if told else []
    return lines


def changes(differences: Sequence[Difference], flow: Flow) -> list[str]:
    """Say what changed between a run and the base, one sentence for each topic.

    The topics are correctness, diversity, the k at which pass@k crosses, problems kept, lost and found,
    solutions, shares, and the minimum detectable effect. Sentences about measures without a value are left
    out.

    Args:
        differences: differences of the run.
        flow: flow of the same run.

    Returns:
        The sentences in this order.
    """
    known = [d for d in differences if math.isfinite(d.estimate)]
    correct = [d for d in known if d.group == "correctness"]
    diverse = [d for d in known if d.group != "correctness"]
    told = [_correctness(correct), _diversity(diverse)]
    told += [crossing_sentence(flow.crossing), problems(flow), solutions(flow), shares(flow)]
    told += [_detectable(correct)]
    return [sentence for sentence in told if sentence]


def reading(run: RunAnalysis) -> str:
    """Say what a run contains and what was left out of it, without its name.

    Args:
        run: one run.

    Returns:
        A text such as ``50 problems, 800 samples in 2 seeds``.
    """
    seeds = f" in {run.num_seeds} seeds" if run.num_seeds > 1 else ""
    problem_count = _count(run.samples.num_problems, "problem")
    told = f"{problem_count}, {_count(run.num_samples, 'sample')}{seeds}"
    if run.num_judged < run.num_samples:
        told += f" ({run.num_judged:,} verified)"
    total = sum(run.left_out.values())
    if total:
        reasons = tell_left_out(run.left_out, run.left_out_at)
        told += f"; left out {_count(total, 'row')}: {reasons}"
    return told


def problems(flow: Flow) -> str:
    """Say how many problems were lost and found; empty if none is verified."""
    kept, lost, found, unsolved = (
        flow.problems.get(status, 0) for status in (KEPT, LOST, FOUND, UNSOLVED)
    )
    if not kept + lost + found + unsolved:
        return ""
    return (
        f"Of {_count(kept + lost, 'problem')} that the base solves with any sample, {lost:,} are "
        f"lost; of {found + unsolved:,} that it does not solve, {found:,} are found."
    )


def solutions(flow: Flow) -> str:
    """Say how many solutions were kept, lost and found in equal samples of each; empty if there are none."""
    modes = flow.expected_modes
    if not modes:
        return ""
    luck = modes.get(EXPECTED_LOST, math.nan)
    expected = f" ({luck:,.1f} expected under resampling)" if math.isfinite(luck) else ""
    return (
        f"Distinct correct solutions in {flow.k} samples of each: {modes[KEPT]:,.1f} kept, "
        f"{modes[LOST]:,.1f} lost{expected}, {modes[FOUND]:,.1f} found."
    )


def shares(flow: Flow) -> str:
    """Say Keep and Explore with their intervals; empty if neither has a value."""
    told = []
    for metric, expected in ((flow.keep, flow.keep_by_luck), (flow.explore, math.nan)):
        if math.isfinite(metric.estimate):
            told.append(f"{metric.label}: {with_ends(metric.estimate, metric.low, metric.high)}")
            if math.isfinite(expected):
                told[-1] += f" ({number(expected)} expected under resampling)"
    return "; ".join(told) + "." if told else ""


def alike(differences: Sequence[Difference]) -> list[list[Difference]]:
    """Group the k of one measure that have the same verdict: rises, then falls, then noise.

    Args:
        differences: differences of one run, in the order of tables.

    Returns:
        Lists, none of them empty.
    """
    families = dict.fromkeys(d.family or d.key for d in differences)
    found = (
        [d for d in differences if (d.family or d.key) == family and d.verdict == verdict]
        for family in families
        for verdict in (ROSE, FELL, NOISE)
    )
    return [members for members in found if members]


def name_of(members: Sequence[Difference]) -> str:
    """Return the name of a measure, with its k if there are several."""
    family = members[0].family
    if len(members) == 1:
        return members[0].label
    return f"{FAMILIES.get(family, family)} at k = {join([str(d.k) for d in members])}"


def meaning(d: Difference) -> str:
    """Return ``more diverse`` or ``less diverse`` for a measure of diversity, else the verdict itself."""
    if d.verdict == NOISE or d.higher_is not in _OPPOSITE:
        return d.verdict
    return d.higher_is if d.verdict == ROSE else _OPPOSITE[d.higher_is]


def join(parts: Sequence[str]) -> str:
    """Join words with commas, and with "and" before the last."""
    *first, last = parts or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _correctness(differences: Sequence[Difference]) -> str:
    """Always mention pass@k; mention the other measures only if they moved."""
    parts = []
    for members in alike(differences):
        largest = max(members, key=lambda d: abs(d.estimate))
        if largest.verdict != NOISE:
            most = f"most at k = {largest.k}: " if len(members) > 1 else ""
            change = with_ends(largest.estimate, largest.low, largest.high, sign=True)
            parts.append(f"{name_of(members)} {largest.verdict} ({most}{change})")
        elif largest.family == "pass@k":
            parts.append(f"{name_of(members)} is {NOISE}")
    if differences and not parts:
        return "No measure of correctness moved beyond noise."
    return f"{'; '.join(parts)}." if parts else ""


def _diversity(differences: Sequence[Difference]) -> str:
    """Name the measures that moved, grouped by meaning, and count the others if they are many."""
    told: dict[str, list[str]] = {"more diverse": [], "less diverse": [], NOISE: []}
    for members in alike(differences):
        told.setdefault(meaning(members[0]), []).append(name_of(members))
    quiet = told.pop(NOISE)
    parts = [f"{kind} by {join(names)}" for kind, names in told.items() if names]
    if differences and not parts:
        return f"None of {len(quiet)} measures of diversity moved beyond noise."
    if quiet:
        parts.append(f"{NOISE}: {join(quiet) if len(quiet) <= LISTED else f'{len(quiet)} others'}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _levels(d: Difference, name: str) -> str:
    """Say whether a measure rose or fell, and from which level to which."""
    if not math.isfinite(d.estimate):
        return f"{name} cannot be compared: {d.note}"
    before, after = levels(d.base_value, d.run_value, share=d.family == "pass@k")
    if not math.isfinite(d.low):
        return f"{name}: {before} and {after}, without an interval"
    if d.smallest_detectable < UNVARIED and before == after:
        return f"{name} is the same on every problem: nothing varied from {before}"
    if d.verdict == NOISE:
        return f"{name} did not change measurably: {before} and {after}"
    return f"{name} {d.verdict} from {before} to {after}"


def _detectable(differences: Sequence[Difference]) -> str:
    of_pass = [d for d in differences if d.family == "pass@k"]
    known = [d for d in of_pass if d.smallest_detectable >= UNVARIED]
    if not known:
        equal = [d.label for d in of_pass if d.smallest_detectable < UNVARIED]
        every = f"every problem changed by the same in {join(equal)}"
        return (
            f"Minimum detectable effect: not known, because nothing varied; {every}."
            if equal
            else ""
        )
    first_and_last = known[:1] + known[1:][-1:]
    sizes = join([f"{effect(d.smallest_detectable)} in {d.label}" for d in first_and_last])
    problem_count = f"{known[0].num_problems:,} problems"
    return f"Minimum detectable effect with these {problem_count} (80 % power): {sizes}."


def _count(number_of: int, what: str) -> str:
    return f"{number_of:,} {what}{'s' if number_of != 1 else ''}"
