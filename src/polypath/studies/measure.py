"""From the samples of a study to its numbers: the measures of ``polypath compare``, seeds included."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from polypath.metrics import keep_explore
from polypath.report.estimates import Stack, curve, differences, intervals, metrics, stack
from polypath.report.flows import keep_by_luck
from polypath.report.model import Curve, Difference, Metric
from polypath.report.runs import Seeds, shared_problems
from polypath.report.values import (
    AnalysisSettings,
    FloatArray,
    Prepared,
    Sizes,
    Values,
    choose_sizes,
)
from polypath.rollouts.files import read_json
from polypath.studies.config import BASE, Evaluation
from polypath.studies.plan import Plan
from polypath.studies.sources import (
    Source,
    load,
    method_temperature_sources,
    row_sources,
    temperature_sources,
)
from polypath.studies.work import EVALUATED

ENTROPY = "token_entropy"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method, or the base, on one split.

    Attributes:
        name: key of the method; ``base`` or ``base, cooled``.
        label: in tables.
        seeds: training seeds behind it; empty for the base.
        temperature: of its samples.
        metrics: key -> number with interval, those of ``polypath compare`` and ``token_entropy``.
        against_base: key -> paired difference to the base.
        against: key -> paired difference to its reference method, if there is one.
        pass_curve: pass@k.
        seconds: of training, mean over seeds; NaN for the base.
        folders: where its samples lie, a folder for each seed.
    """

    name: str
    label: str
    seeds: tuple[int, ...]
    temperature: float
    metrics: Mapping[str, Metric]
    against_base: Mapping[str, Difference] = field(default_factory=dict)
    against: Mapping[str, Difference] = field(default_factory=dict)
    pass_curve: Curve
    seconds: float
    folders: tuple[Path, ...]

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
        rows: base first, then the cooled base if there is one, then the methods.
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


def measure(
    plan: Plan, evaluation: Evaluation, best: float | None, *, samples: Mapping[str, Seeds]
) -> SplitResult:
    """Measure every row of a split.

    Args:
        plan: of the study.
        evaluation: of the split.
        best: temperature of the cooled base; None without one.
        samples: from ``sources.load``, by name.
    """
    sources = row_sources(plan, evaluation, best)
    curve_sources = temperature_sources(plan, evaluation)
    settings = AnalysisSettings(ks=evaluation.ks)
    loaded = [samples[source.name] for source in (*sources, *curve_sources)]
    shared = shared_problems(loaded)
    sizes, _ = choose_sizes([seed for seeds in loaded for seed in seeds], settings)
    sizes = replace(sizes, keep_k=evaluation.keep_k)
    base_N, twice_N = _solved(samples[BASE], shared, sizes, settings)
    rows: list[Row] = []
    stacks: dict[str, Stack] = {}

    def measured(source: Source, seeds: Seeds) -> tuple[Row, Stack]:
        base_folder = sources[0].folders[0]
        return _measure(source, seeds, shared, sizes, settings, base_N, base_folder)

    for source in (*sources, *curve_sources):
        row, stacks[source.name] = measured(source, samples[source.name])
        rows.append(row)

    def compared(row: Row, mine: Stack) -> Row:
        against = plan.study.reference_of(row.name)
        return replace(
            row,
            against_base=_against(stacks[BASE], mine, settings, BASE, row),
            against=_against(stacks[against], mine, settings, against, row) if against else {},
        )

    finished = tuple(compared(row, stacks[row.name]) for row in rows[: len(sources)])
    by_name = {row.name: row for row in finished}
    over_temperatures: dict[str, tuple[Row, ...]] = {}
    for row in [row for row in finished if row.trained and evaluation == plan.study.main]:
        # One by one: together they would be by far the most samples of a study.
        others = [
            compared(*measured(source, load([source])[source.name]))
            for source in method_temperature_sources(plan, row.name)
        ]
        if others:
            every = sorted([row, *others], key=lambda one: one.temperature)
            over_temperatures[row.name] = tuple(every)
    return SplitResult(
        evaluation=evaluation,
        num_problems=len(shared),
        rows=finished,
        cooled=tuple(rows[len(sources) :]),
        not_judged=sum(
            int((seed.num_samples_N - seed.num_verified_N).sum())
            for source in sources
            for seed in samples[source.name]
        ),
        keep_by_luck=keep_by_luck(base_N, twice_N),
        explore_by_luck=explore_by_luck(base_N, twice_N),
        pairs={
            (one, other): _against(stacks[other], stacks[one], settings, other, by_name[one])
            for one, other in plan.study.pairs
        },
        method_temperatures=over_temperatures,
    )


def explore_by_luck(pass_k_N: FloatArray, pass_2k_N: FloatArray) -> float:
    r"""Return Explore of a model against fresh samples of itself.

    The first k fail and the next k do not with chance :math:`(1-p)^k - (1-p)^{2k} = pass@2k -
    pass@k`; the first k fail with chance :math:`1 - pass@k`.
    """
    known_N = ~np.isnan(pass_2k_N)
    total = (1 - pass_k_N[known_N]).sum()
    return float((pass_2k_N[known_N] - pass_k_N[known_N]).sum() / total) if total > 0 else math.nan


def _solved(
    base: Seeds, shared: Sequence[str], sizes: Sizes, settings: AnalysisSettings
) -> tuple[FloatArray, FloatArray]:
    prepared = Prepared(base[0].subset(shared), sizes, settings)
    both_N_2 = prepared.pass_at([sizes.keep_k, 2 * sizes.keep_k])
    return both_N_2[:, 0], both_N_2[:, 1]


def _measure(
    source: Source,
    seeds: Seeds,
    shared: Sequence[str],
    sizes: Sizes,
    settings: AnalysisSettings,
    base_N: FloatArray,
    base_folder: Path,
) -> tuple[Row, Stack]:
    prepared = [Prepared(seed.subset(shared), sizes, settings) for seed in seeds]
    values = []
    for one, folder in zip(prepared, source.folders, strict=True):
        mine = [*_measures(one), entropy_values(folder, shared)]
        if folder != base_folder:  # samples cannot say how often fresh ones are right
            mine += _keep_and_explore(one, base_N, sizes.keep_k)
        values.append(mine)
    measures = stack(values, len(shared))
    pass_S_N_K = np.stack([one.pass_at(sizes.curve_ks) for one in prepared])
    row = Row(
        name=source.name,
        label=source.label,
        seeds=source.seeds,
        temperature=source.temperature,
        metrics={metric.key: metric for metric in metrics(measures, settings)},
        pass_curve=curve(sizes.curve_ks, intervals(pass_S_N_K, None, settings)),
        seconds=source.seconds,
        folders=source.folders,
    )
    return row, measures


def _against(
    base: Stack, run: Stack, settings: AnalysisSettings, name: str, row: Row
) -> dict[str, Difference]:
    if base is run:
        return {}
    return {d.key: d for d in differences(base, run, settings, name, row.name)}


def _measures(run: Prepared) -> Iterator[Values]:
    """Yield pass@k, greedy accuracy and distinct solutions, as ``report.measures`` has them.

    Not all that it has: those over all pairs or orders of samples would take longer than the
    sampling of a small model, and ``report.html`` shows them.
    """
    ks = run.sizes.ks
    for k, value_N in zip(ks, run.pass_at(ks).T, strict=True):
        yield _value(f"pass@{k}", value_N, k=k, family="pass@k")
    if run.samples.greedy_correct is not None:
        right = [math.nan if c is None else float(c) for c in run.samples.greedy_correct]
        yield _value("greedy", np.array(right))
    more = [k for k in ks if k > 1]
    if more:
        for k, value_N in zip(more, run.distinct_at(more).T, strict=True):
            yield _value(f"distinct@{k}", value_N, k=k, family="distinct@k", group="solutions")


def _value(
    key: str,
    top_N: FloatArray,
    *,
    bottom_N: FloatArray | None = None,
    k: int = 0,
    family: str = "",
    group: str = "correctness",
) -> Values:
    return Values(
        key=key,
        label=key,
        group=group,
        over="all",
        higher_is="better" if group == "correctness" else "more diverse",
        top_N=top_N,
        bottom_N=bottom_N,
        k=k,
        family=family,
    )


def entropy_values(folder: Path, shared: Sequence[str]) -> Values:
    """Return the entropy per token of the samples of a run folder, from what ``work`` measured."""
    surprisal = read_json(folder / EVALUATED, "what an evaluation wrote").get("surprisal", {})
    pairs = np.array([surprisal.get(p, (math.nan, math.nan)) for p in shared], dtype=np.float64)
    return _value(ENTROPY, pairs[:, 0], bottom_N=pairs[:, 1], group="solutions")


def _keep_and_explore(run: Prepared, base_N: FloatArray, k: int) -> list[Values]:
    """Return the measures that ``report.flows.keep_and_explore`` takes the shares of."""
    run_N = run.pass_at([k])[:, 0]
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
        values.append(_value(f"{name}@{k}", top_N, bottom_N=bottom_N, k=k))
    return values
