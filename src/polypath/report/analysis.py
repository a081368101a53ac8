"""Measure runs, and compare them on the problems they share."""

import multiprocessing
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import numpy as np

from polypath.errors import ConfigError, unknown_name
from polypath.report.estimates import Stack, curve, differences, intervals, metrics, paired, stack
from polypath.report.flows import (
    count_statuses,
    expected_modes,
    fit_lines,
    keep_and_explore,
    keep_by_luck,
    modes,
    statuses,
)
from polypath.report.measures import MEASURES
from polypath.report.model import (
    FELL,
    FOUND,
    GROUPS,
    KEPT,
    LOST,
    NOISE,
    ROSE,
    UNJUDGED,
    UNSOLVED,
    Comparison,
    Curve,
    Difference,
    Fit,
    Flow,
    Metric,
    RunAnalysis,
)
from polypath.report.runs import Run, Seeds, as_seeds, name_of, pool, shared_problems
from polypath.report.values import (
    AnalysisSettings,
    FloatArray,
    Prepared,
    Sizes,
    Values,
    choose_sizes,
)
from polypath.rollouts.samples import Samples

__all__ = [
    "FELL",
    "FOUND",
    "GROUPS",
    "KEPT",
    "LOST",
    "NOISE",
    "ROSE",
    "UNJUDGED",
    "UNSOLVED",
    "AnalysisSettings",
    "Comparison",
    "Curve",
    "Difference",
    "Fit",
    "Flow",
    "Metric",
    "Run",
    "RunAnalysis",
    "Sizes",
    "analyse",
    "choose_sizes",
    "combine",
    "compare",
]

NO_CURVE = Curve(ks=(), estimate=np.empty(0), low=np.empty(0), high=np.empty(0))


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A run with what its numbers come from."""

    analysis: RunAnalysis
    prepared: tuple[Prepared, ...]
    measures: Stack
    pass_S_N_K: FloatArray


def analyse(
    run: Run,
    *,
    settings: AnalysisSettings | None = None,
    groups: Iterable[str] = GROUPS,
    sizes: Sizes | None = None,
) -> RunAnalysis:
    """Measure one run.

    Args:
        run: its samples; or those of several seeds of one method, which then count as one run: the
            mean over seeds, on the problems that all seeds have, with intervals that take in how
            much seeds differ.
        settings: the defaults of ``AnalysisSettings`` if left out.
        groups: of ``GROUPS``; only their metrics are computed.
        sizes: from ``choose_sizes`` over several runs, so that all are measured alike.

    Raises:
        ConfigError: a group is unknown.
        DataError: an asked-for k is more than any problem has samples, or seeds share no problem.
    """
    settings = settings or AnalysisSettings()
    seeds = as_seeds(run)
    shared = shared_problems([seeds])
    notes = _sharing_notes({seed.name: seed.num_problems - len(shared) for seed in seeds})
    seeds = tuple(seed.subset(shared) for seed in seeds)
    if sizes is None:
        sizes, size_notes = choose_sizes(seeds, settings)
        notes += size_notes
    analysis = _measure(seeds, settings, sizes, tuple(groups)).analysis
    return replace(analysis, notes=notes + analysis.notes)


def compare(
    base: Run,
    runs: Sequence[Run],
    *,
    settings: AnalysisSettings | None = None,
    workers: int = 1,
) -> Comparison:
    """Measure what runs gained and lost against a base run, on the problems that all have.

    Every difference is paired by problem. Numbers of samples may differ between runs and between
    problems: all runs are measured at the same k and the same numbers of drawn texts.

    Args:
        base: as ``run`` of ``analyse``.
        runs: one or more, each as ``run`` of ``analyse``.
        settings: as in ``analyse``.
        workers: processes that measure seeds side by side. More than 1 are spawned, so a script needs
            ``if __name__ == "__main__":``; the numbers are the same.

    Raises:
        ConfigError: no run to compare, two runs of one name, or fewer than 1 worker.
        DataError: the runs share no problem, or as in ``analyse``.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}.")
    settings = settings or AnalysisSettings()
    everyone = [as_seeds(run) for run in (base, *runs)]
    names = [name_of(seeds) for seeds in everyone]
    _check_names(names)
    shared = shared_problems(everyone)
    not_shared = {
        name: len(set().union(*(seed.problem_ids for seed in seeds)) - set(shared))
        for name, seeds in zip(names, everyone, strict=True)
    }
    everyone = [tuple(seed.subset(shared) for seed in seeds) for seeds in everyone]
    sizes, notes = choose_sizes([seed for seeds in everyone for seed in seeds], settings)
    found = iter(_values_of_all(list(chain(*everyone)), settings, sizes, workers))
    first, *others = [
        _measure(seeds, settings, sizes, GROUPS, [next(found) for _ in seeds]) for seeds in everyone
    ]
    return Comparison(
        base=first.analysis,
        runs=tuple(run.analysis for run in others),
        differences=tuple(
            d
            for run in others
            for d in differences(
                first.measures,
                run.measures,
                settings,
                first.analysis.name,
                run.analysis.name,
            )
        ),
        flows=tuple(_flow(first, run, sizes, settings) for run in others),
        fits=fit_lines([run.analysis for run in (first, *others)]),
        num_shared_problems=len(shared),
        not_shared=not_shared,
        level=settings.level,
        seed=settings.seed,
        notes=notes + _sharing_notes(not_shared),
    )


def combine(parts: Sequence[RunAnalysis]) -> RunAnalysis:
    """Join analyses of one run that were made group by group."""
    return replace(
        parts[0],
        metrics=tuple(metric for part in parts for metric in part.metrics),
        pass_curve=next((p.pass_curve for p in parts if p.pass_curve.ks), NO_CURVE),
        distinct_curve=next((p.distinct_curve for p in parts if p.distinct_curve), None),
    )


def _check_names(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise ConfigError("Nothing to compare the base run with; give at least one more run.")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"Two runs are called {twice[0]!r}. Name them apart: NAME=PATH.")


def _sharing_notes(not_shared: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(
        f"left out {count:,} problem{'s' if count != 1 else ''} of {name} that not all have"
        for name, count in not_shared.items()
        if count
    )


def _values_of_all(
    seeds: Sequence[Samples], settings: AnalysisSettings, sizes: Sizes, workers: int
) -> list[list[Values]]:
    """Return what all groups of metrics are made of, seed by seed."""
    measure = partial(_values, settings=settings, sizes=sizes)
    if workers == 1:
        return [measure(seed) for seed in seeds]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as processes:
        return list(processes.map(measure, seeds))


def _values(
    seed: Samples, settings: AnalysisSettings, sizes: Sizes, groups: Iterable[str] = GROUPS
) -> list[Values]:
    prepared = Prepared(seed, sizes, settings)
    return [value for group in groups for value in MEASURES[group](prepared)]


def _measure(
    seeds: Seeds,
    settings: AnalysisSettings,
    sizes: Sizes,
    groups: tuple[str, ...],
    values: Sequence[Sequence[Values]] | None = None,
) -> _Measured:
    unknown = [group for group in groups if group not in MEASURES]
    if unknown:
        raise unknown_name("group of metrics", unknown[0], MEASURES)
    prepared = [Prepared(seed, sizes, settings) for seed in seeds]
    values = values or [_values(seed, settings, sizes, groups) for seed in seeds]
    measures = stack(values, seeds[0].num_problems)
    pass_S_N_K = np.stack([p.pass_at(sizes.curve_ks) for p in prepared])
    pass_curve, distinct_curve = NO_CURVE, None
    if "correctness" in groups:
        pass_curve = curve(sizes.curve_ks, intervals(pass_S_N_K, None, settings))
    if "solutions" in groups and any((p.correct_ids_N_S >= 0).any() for p in prepared):
        distinct_S_N_K = np.stack([p.distinct_at(sizes.curve_ks) for p in prepared])
        distinct_curve = curve(sizes.curve_ks, intervals(distinct_S_N_K, None, settings))
    joined = pool(seeds)
    analysis = RunAnalysis(
        name=name_of(seeds),
        samples=joined,
        num_seeds=len(seeds),
        metrics=metrics(measures, settings),
        ks=sizes.ks,
        pass_curve=pass_curve,
        distinct_curve=distinct_curve,
        num_samples=int(joined.num_samples_N.sum()),
        num_judged=int(joined.num_verified_N.sum()),
        left_out=joined.left_out,
    )
    return _Measured(
        analysis=analysis, prepared=tuple(prepared), measures=measures, pass_S_N_K=pass_S_N_K
    )


def _flow(base: _Measured, run: _Measured, sizes: Sizes, settings: AnalysisSettings) -> Flow:
    status_N = statuses(base.analysis.samples, run.analysis.samples)
    k = sizes.keep_k
    base_N, twice_N = (
        np.stack([p.pass_at([size])[:, 0] for p in base.prepared]).mean(axis=0)
        for size in (k, 2 * k)
    )
    run_S_N = np.stack([p.pass_at([k])[:, 0] for p in run.prepared])
    keep, explore = keep_and_explore(base_N, run_S_N, k, settings)
    change = paired(run.pass_S_N_K, base.pass_S_N_K, settings)
    return Flow(
        run=run.analysis.name,
        status_N=status_N,
        problems=count_statuses(status_N),
        modes=modes(base.analysis.samples, run.analysis.samples),
        expected_modes=expected_modes(
            tuple(p.samples for p in base.prepared), tuple(p.samples for p in run.prepared), k
        ),
        keep=keep,
        explore=explore,
        keep_by_luck=keep_by_luck(base_N, twice_N),
        k=k,
        difference_curve=curve(sizes.curve_ks, change),
    )
