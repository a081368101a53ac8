"""From the samples of a study to its numbers: the measures of ``polypath compare``, seeds included."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from polypath.report.changes import expected_explore, expected_keep, keep_and_explore
from polypath.report.estimates import Stack, curve, differences, intervals, metrics, stack
from polypath.report.model import Curve, Difference, Metric
from polypath.studies.config import BASE, Evaluation
from polypath.studies.split_samples import RowFolders, SplitSamples, over_temperatures


@dataclass(frozen=True, kw_only=True)
class Row(RowFolders):
    """One method, or the base, on one split, with its numbers.

    Attributes:
        metrics: key -> number with interval, those of ``polypath compare`` and ``token_entropy``.
        against_base: key -> paired difference to the base.
        against: key -> paired difference to its reference method, if there is one.
        pass_curve: pass@k.
    """

    metrics: Mapping[str, Metric]
    against_base: Mapping[str, Difference] = field(default_factory=dict)
    against: Mapping[str, Difference] = field(default_factory=dict)
    pass_curve: Curve

    @property
    def trained(self) -> bool:
        """Whether it is a method, not the base."""
        return bool(self.seeds)


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """All rows of a split.

    Attributes:
        evaluation: how it was sampled.
        num_problems: problems that all rows share.
        rows: base first, then the base at its best temperature if there is one, then the methods.
        cooled: the base at every temperature of the study, for the curve; no rows of the table.
        pairs: a method and the one it is also compared with -> key -> paired difference.
        method_temperatures: of the main split, methods that are sampled at several temperatures,
            their own included, from the lowest on.
        not_judged: samples of all rows whose check took too long or failed; they count as nothing.
        keep_by_luck: Keep of the base expected under resampling.
        explore_by_luck: Explore of the same.
    """

    evaluation: Evaluation
    num_problems: int
    rows: tuple[Row, ...]
    cooled: tuple[Row, ...]
    not_judged: int
    keep_by_luck: float
    explore_by_luck: float
    pairs: Mapping[tuple[str, str], Mapping[str, Difference]] = field(default_factory=dict)
    method_temperatures: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)


def measure(samples: SplitSamples) -> SplitResult:
    """Measure every row of a split."""
    plan, settings = samples.plan, samples.settings
    stacks: dict[str, Stack] = {}

    def against(name: str, row: Row, mine: Stack) -> dict[str, Difference]:
        """Return the differences of a row from the one of this name; none without one."""
        if not name or stacks[name] is mine:
            return {}
        return {d.key: d for d in differences(stacks[name], mine, settings, name, row.name)}

    def compared(row: Row, mine: Stack) -> Row:
        reference = plan.study.reference_of(row.name)
        return replace(
            row, against_base=against(BASE, row, mine), against=against(reference, row, mine)
        )

    measured = [_measure(source, samples) for source in samples.rows]
    stacks |= {row.name: mine for row, mine in measured}
    rows = {row.name: compared(row, mine) for row, mine in measured}
    at_temperatures: dict[str, tuple[Row, ...]] = {}
    for name in plan.study.methods if samples.evaluation == plan.study.main else ():
        others = [_measure(source, samples) for source in over_temperatures(plan, name)]
        if others:
            every = [rows[name], *(compared(row, mine) for row, mine in others)]
            at_temperatures[name] = tuple(sorted(every, key=lambda row: row.temperature))
    base_N, twice_N = samples.values(samples.rows[0].folders[0]).keep_N_2.T
    return SplitResult(
        evaluation=samples.evaluation,
        num_problems=len(samples.shared),
        rows=tuple(rows.values()),
        cooled=tuple(_measure(source, samples)[0] for source in samples.curve),
        not_judged=samples.not_judged(),
        keep_by_luck=expected_keep(base_N, twice_N),
        explore_by_luck=expected_explore(base_N, twice_N),
        pairs={
            (one, other): against(other, rows[one], stacks[one]) for one, other in plan.study.pairs
        },
        method_temperatures=at_temperatures,
    )


def _measure(source: RowFolders, samples: SplitSamples) -> tuple[Row, Stack]:
    sizes, settings = samples.sizes, samples.settings
    base = samples.values(samples.rows[0].folders[0])
    found = [samples.values(folder) for folder in source.folders]
    values = []
    for one in found:
        mine = list(one.values)
        if sizes.keep_k and one is not base:  # samples cannot say how often fresh ones are right
            mine += keep_and_explore(base.keep_N_2[:, 0], one.keep_N_2[:, 0], sizes.keep_k)
        values.append(mine)
    measures = stack(values, len(samples.shared))
    pass_R_N_K = np.stack([one.curve_N_K for one in found])
    row = Row(
        **vars(source),
        metrics={metric.key: metric for metric in metrics(measures, settings)},
        pass_curve=curve(sizes.curve_ks, intervals(pass_R_N_K, None, settings)),
    )
    return row, measures
