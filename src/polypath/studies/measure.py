"""From the samples of a study to its numbers: the measures of ``polypath compare``, seeds included."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from polypath.metrics import keep_explore
from polypath.report.estimates import Stack, curve, differences, intervals, metrics, stack
from polypath.report.flows import keep_by_luck
from polypath.report.model import Curve, Difference, Metric
from polypath.report.values import AnalysisSettings, FloatArray, Values
from polypath.studies.config import BASE, Evaluation
from polypath.studies.folder_values import value_of
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
        keep_by_luck: keep share of the base against fresh samples of itself.
        explore_by_luck: explore share of the same.
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
    plan = samples.plan
    stacks: dict[str, Stack] = {}

    def compared(row: Row, mine: Stack) -> Row:
        against = plan.study.reference_of(row.name)
        return replace(
            row,
            against_base=_against(stacks[BASE], mine, samples.settings, BASE, row),
            against=_against(stacks[against], mine, samples.settings, against, row)
            if against
            else {},
        )

    rows = []
    for source in samples.rows:
        row, stacks[source.name] = _measure(source, samples)
        rows.append(row)
    rows = [compared(row, stacks[row.name]) for row in rows]
    at_temperatures: dict[str, tuple[Row, ...]] = {}
    if samples.evaluation == plan.study.main:
        for row in rows[-len(plan.study.methods) :]:
            sources = over_temperatures(plan, row.name)
            if others := [compared(*_measure(source, samples)) for source in sources]:
                every = sorted([row, *others], key=lambda one: one.temperature)
                at_temperatures[row.name] = tuple(every)
    by_name = {row.name: row for row in rows}
    base_N, twice_N = samples.values(samples.rows[0].folders[0]).keep_N_2.T
    return SplitResult(
        evaluation=samples.evaluation,
        num_problems=len(samples.shared),
        rows=tuple(rows),
        cooled=tuple(_measure(source, samples)[0] for source in samples.curve),
        not_judged=samples.not_judged(),
        keep_by_luck=keep_by_luck(base_N, twice_N),
        explore_by_luck=explore_by_luck(base_N, twice_N),
        pairs={
            (one, other): _against(
                stacks[other], stacks[one], samples.settings, other, by_name[one]
            )
            for one, other in plan.study.pairs
        },
        method_temperatures=at_temperatures,
    )


def explore_by_luck(pass_k_N: FloatArray, pass_2k_N: FloatArray) -> float:
    r"""Return Explore of a model against fresh samples of itself.

    The first k fail and the next k do not with chance :math:`(1-p)^k - (1-p)^{2k} = pass@2k -
    pass@k`; the first k fail with chance :math:`1 - pass@k`.
    """
    known_N = ~np.isnan(pass_2k_N)
    total = (1 - pass_k_N[known_N]).sum()
    return float((pass_2k_N[known_N] - pass_k_N[known_N]).sum() / total) if total > 0 else math.nan


def _measure(source: RowFolders, samples: SplitSamples) -> tuple[Row, Stack]:
    sizes, settings = samples.sizes, samples.settings
    base = samples.values(samples.rows[0].folders[0])
    found = [samples.values(folder) for folder in source.folders]
    values = []
    for one in found:
        mine = list(one.values)
        if sizes.keep_k and one is not base:  # samples cannot say how often fresh ones are right
            mine += _keep_and_explore(one.keep_N_2[:, 0], base.keep_N_2[:, 0], sizes.keep_k)
        values.append(mine)
    measures = stack(values, len(samples.shared))
    pass_S_N_K = np.stack([one.curve_N_K for one in found])
    row = Row(
        **vars(source),
        metrics={metric.key: metric for metric in metrics(measures, settings)},
        pass_curve=curve(sizes.curve_ks, intervals(pass_S_N_K, None, settings)),
    )
    return row, measures


def _against(
    base: Stack, run: Stack, settings: AnalysisSettings, name: str, row: Row
) -> dict[str, Difference]:
    if base is run:
        return {}
    return {d.key: d for d in differences(base, run, settings, name, row.name)}


def _keep_and_explore(run_N: FloatArray, base_N: FloatArray, k: int) -> list[Values]:
    """Return the measures that ``report.flows.keep_and_explore`` takes the shares of."""
    known_N = ~(np.isnan(base_N) | np.isnan(run_N))
    found = keep_explore(base_N[known_N], run_N[known_N])
    tops_bottoms = {
        "keep": (found.kept_N, found.base_N),
        "explore": (found.gained_N, 1 - found.base_N),
    }
    values = []
    for name, parts in tops_bottoms.items():
        top_N, bottom_N = np.full((2, len(base_N)), np.nan)
        top_N[known_N], bottom_N[known_N] = parts
        values.append(value_of(f"{name}@{k}", top_N, bottom_N=bottom_N, k=k))
    return values
