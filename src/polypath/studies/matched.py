"""The methods against the reference stopped early, at equal pass@1."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from polypath.metrics import MatchedDifference, holm, matched_difference
from polypath.metrics.matched import ABOVE, BELOW
from polypath.report.estimates import verdict
from polypath.report.model import Difference
from polypath.studies.over_training import Trail
from polypath.studies.split_samples import RowFolders, SplitSamples

NOTES = {
    "": "",
    ABOVE: "not at equal pass@1: the reference never reaches the method's; held to its best step",
    BELOW: "not at equal pass@1: the base's is above the method's; held to the base",
}


@dataclass(frozen=True, kw_only=True)
class MatchedRow:
    """One method, or the base at its best temperature, against the reference stopped at its pass@1.

    Attributes:
        name: key of the method.
        label: in tables.
        against: key of the reference.
        pass_at_1: of the method.
        step: at which the reference is stopped.
        step_low: lower end of its interval.
        step_high: upper end.
        outside: empty, ``above`` or ``below``: see ``metrics.MatchedDifference``.
        outside_share: share of the resamples that are.
        pass_gap: pass@1 that the method has more than the stopped reference; 0 unless outside.
        differences: ``pass@k`` and ``distinct@k`` -> difference to the stopped reference.
    """

    name: str
    label: str
    against: str
    pass_at_1: float
    step: float
    step_low: float
    step_high: float
    outside: str
    outside_share: float
    pass_gap: float
    differences: Mapping[str, Difference]


def match(
    samples: SplitSamples,
    wanted: Iterable[tuple[str, str]],
    trails: Mapping[str, Trail],
) -> tuple[MatchedRow, ...]:
    """Compare rows of the main split with references at equal pass@1.

    Args:
        samples: of the main split.
        wanted: names of a row and its reference.
        trails: of the methods; without that of a reference there is nothing to match with.

    Returns:
        Empty if the study does not ask for it, no reference has checkpoints, or pass@1 is all that
        is measured.
    """
    if not samples.plan.study.matched or max(samples.evaluation.ks) == 1:
        return ()
    rows = {row.name: row for row in samples.rows}
    return tuple(
        _match_row(samples, rows[name], trails[reference])
        for name, reference in wanted
        if reference in trails
    )


def _match_row(samples: SplitSamples, row: RowFolders, reference: Trail) -> MatchedRow:
    settings = samples.settings
    seeds = [samples.values(folder).at_k for folder in row.folders]
    values = {key: np.stack([seed[key] for seed in seeds]) for key in seeds[0]}
    by_key = {
        key: matched_difference(
            values["pass@1"],
            value_R_N,
            reference.values["pass@1"],
            reference.values[key],
            steps_C=reference.steps,
            level=settings.level,
            num_resamples=settings.num_resamples,
            seed=settings.seed,
        )
        for key, value_R_N in values.items()
    }
    first = by_key.pop("pass@1")
    differences: dict[str, Difference] = {}
    for family in ("pass@k", "distinct@k"):
        members = {k: d for k, d in by_key.items() if k.startswith(family.removesuffix("k"))}
        differences |= _differences(row, reference, family, members)
    return MatchedRow(
        name=row.name,
        label=row.label,
        against=reference.name,
        pass_at_1=first.method_value,
        step=first.step,
        step_low=first.step_low,
        step_high=first.step_high,
        outside=first.outside,
        outside_share=first.outside_share,
        pass_gap=first.pass_gap,
        differences=differences,
    )


def _differences(
    row: RowFolders, reference: Trail, family: str, members: Mapping[str, MatchedDifference]
) -> dict[str, Difference]:
    """Return the differences at several k of one measure, their p-values corrected for that."""
    corrected = holm([d.p_value for d in members.values()])
    found = {}
    for (key, d), p_holm in zip(members.items(), corrected.tolist(), strict=True):
        found[key] = Difference(
            key=key,
            label=key,
            group="correctness" if family == "pass@k" else "solutions",
            over="all",
            higher_is="better" if family == "pass@k" else "more diverse",
            k=int(key.split("@")[1]),
            family=family,
            run=row.name,
            base=reference.name,
            run_value=d.method_value,
            base_value=d.reference_value,
            estimate=d.estimate,
            low=d.low,
            high=d.high,
            p_value=d.p_value,
            p_holm=p_holm,
            smallest_detectable=d.smallest_detectable,
            verdict=verdict(d.estimate, p_holm, d.level),
            num_problems=d.num_problems,
            note=NOTES[d.outside],
        )
    return found
