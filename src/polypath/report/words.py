"""A comparison in words: what rose, what fell, what is within noise."""

import math
from collections.abc import Sequence

from polypath.report.model import (
    BY_LUCK,
    FELL,
    FOUND,
    KEPT,
    LOST,
    NOISE,
    ROSE,
    Comparison,
    Difference,
    Flow,
)

LISTED = 4  # measures within noise are counted when there are more
FAMILIES = {
    "pass^k": "pass^k (all right)",
    "distinct@k": "distinct correct solutions in k samples",
}


def summary(comparison: Comparison) -> list[str]:
    """Say in a few sentences what the comparison shows.

    One sentence on what was compared; for each run one on correctness, one on diversity, one on the
    problems kept, lost and found, and one on the smallest difference the data could have shown.
    Sentences about measures that no run has are left out.

    A difference is told as a rise or fall only when its p-value, corrected for the several k, is
    below 1 - level.
    """
    names = [comparison.base.name, *(run.name for run in comparison.runs)]
    shared = comparison.num_shared_problems
    lines = [f"{join(names)} on {shared:,} shared problem{'s' if shared != 1 else ''}."]
    for run, flow in zip(comparison.runs, comparison.flows, strict=True):
        differences = [d for d in comparison.differences_of(run.name) if not math.isnan(d.estimate)]
        correctness = [d for d in differences if d.group == "correctness"]
        diversity = [d for d in differences if d.group != "correctness"]
        head = f"{run.name} against {comparison.base.name}: "
        if correctness:
            lines.append(head + _correctness(correctness))
        if diversity:
            lines.append(head + _diversity(diversity))
        if any(count for status, count in flow.problems.items() if status != "unjudged"):
            lines.append(head + _flow(flow))
        detectable = _detectable(correctness)
        if detectable:
            lines.append(head + detectable)
    return lines


def join(parts: Sequence[str], last: str = "and") -> str:
    """Join words with commas and a last "and".

    >>> join(["1", "2", "4"])
    '1, 2 and 4'
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def _correctness(differences: Sequence[Difference]) -> str:
    """pass@k whatever came of it; of the other measures those that moved."""
    parts = []
    for family, members in _families(differences).items():
        for verdict in (ROSE, FELL, NOISE):
            some = [d for d in members if d.verdict == verdict]
            if some and (verdict != NOISE or family == "pass@k"):
                parts.append(_told(family, some, verdict))
    return ("; ".join(parts) or "no measure of correctness moved beyond noise") + "."


def _diversity(differences: Sequence[Difference]) -> str:
    said: dict[str, list[str]] = {"more": [], "less": [], NOISE: []}
    for family, members in _families(differences).items():
        for verdict in (ROSE, FELL, NOISE):
            some = [d for d in members if d.verdict == verdict]
            if some:
                more = (verdict == ROSE) == (some[0].higher_is != "less diverse")
                kind = NOISE if verdict == NOISE else "more" if more else "less"
                said[kind].append(_told(family, some, ""))
    parts = [f"{kind} diverse by {join(said[kind])}" for kind in ("more", "less") if said[kind]]
    quiet = said[NOISE]
    if not parts:
        return f"no measure of diversity moved beyond noise, of {len(quiet)}."
    if quiet:
        parts.append(f"{NOISE}: {join(quiet) if len(quiet) <= LISTED else f'{len(quiet)} others'}")
    return "; ".join(parts) + "."


def _families(differences: Sequence[Difference]) -> dict[str, list[Difference]]:
    """Join one measure at several k under a common name; the others stay alone."""
    families: dict[str, list[Difference]] = {}
    for d in differences:
        families.setdefault(d.family or d.key, []).append(d)
    return families


def _told(family: str, some: Sequence[Difference], verdict: str) -> str:
    """Say of one measure what became of it, and at which k if it has several."""
    first = some[0]
    name = first.label if family == first.key else FAMILIES.get(family, family)
    words = [name]
    if verdict:
        words.append(f"is {verdict}" if verdict == NOISE else verdict)
    if family != first.key:
        words.append("at k = " + join([str(d.k) for d in some]))
    if first.verdict == NOISE:
        return " ".join(words)
    largest = max(some, key=lambda d: abs(d.estimate))
    most = f"most at k = {largest.k}: " if len(some) > 1 else ""
    return f"{' '.join(words)} ({most}{_with_interval(largest)})"


def _flow(flow: Flow) -> str:
    counts = flow.problems
    parts = [
        f"of {counts.get('kept', 0) + counts.get('lost', 0):,} problems the base run solved with "
        f"any sample, {counts.get('lost', 0):,} are lost; of "
        f"{counts.get('found', 0) + counts.get('unsolved', 0):,} it did not solve, "
        f"{counts.get('found', 0):,} are found"
    ]
    if not math.isnan(flow.keep.estimate):
        luck = (
            ""
            if math.isnan(flow.keep_by_luck)
            else f" (the base against itself: {flow.keep_by_luck:.3f})"
        )
        parts.append(f"Keep at k = {flow.k} is {flow.keep.estimate:.3f}{luck}")
    modes = flow.expected_modes
    if modes:
        chance = modes.get(BY_LUCK, math.nan)
        by_luck = "" if math.isnan(chance) else f" ({chance:,.0f} would be by luck alone)"
        parts.append(
            f"of the distinct correct solutions in {flow.k} samples of each, {modes[KEPT]:,.0f} are "
            f"kept, {modes[LOST]:,.0f} lost{by_luck}, {modes[FOUND]:,.0f} found"
        )
    return "; ".join(parts) + "."


def _detectable(differences: Sequence[Difference]) -> str:
    curve = [d for d in differences if d.key.startswith("pass@")]
    known = [d for d in curve if d.smallest_detectable > 0]  # 0: all equal, nothing to learn from
    if not known:
        return ""
    ends = [known[0]] if len(known) == 1 else [known[0], known[-1]]
    sizes = join([f"{d.smallest_detectable:.3f} in {d.label}" for d in ends])
    return f"these {known[0].num_problems:,} problems could have shown a difference of {sizes}."


def _with_interval(d: Difference) -> str:
    interval = "" if math.isnan(d.low) else f", {d.low:+.3f} to {d.high:+.3f}"
    return f"{d.estimate:+.3f}{interval}"
