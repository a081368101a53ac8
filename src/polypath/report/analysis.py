"""Measure runs, and compare them on the problems that they share."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from polypath.errors import ConfigError, unknown_name
from polypath.metrics.bootstrap import spread
from polypath.report.changes import (
    count_statuses,
    expected_keep,
    expected_modes,
    keep_and_explore,
    modes,
    statuses,
)
from polypath.report.estimates import Stack, crossing_of, curve, differences, metrics, stack
from polypath.report.measures import measure
from polypath.report.model import (
    GROUPS,
    Comparison,
    Curve,
    Fit,
    FloatArray,
    Flow,
    Metric,
    RunAnalysis,
)
from polypath.report.prepared import (
    Prepared,
    ProblemValues,
    Run,
    Seeds,
    as_seeds,
    name_of,
    pool,
    shared_problems,
)
from polypath.report.settings import AnalysisSettings, Sizes, choose_sizes
from polypath.report.text_values import wanted_texts
from polypath.report.text_work import Progress, values_of_texts

FEWEST_RUNS = 3  # of a fit
_NONE = np.empty(0)
NO_CURVE = Curve(ks=(), estimate=_NONE, low=_NONE, high=_NONE, band_low=_NONE, band_high=_NONE)


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """A run with its seeds, and the values per problem of each seed that its numbers come from.

    Attributes:
        analysis: its numbers, over all seeds.
        prepared: R seeds.
        values: the measures of each seed, with a value for each problem.
    """

    analysis: RunAnalysis
    prepared: tuple[Prepared, ...]
    values: tuple[Sequence[ProblemValues], ...]

    @property
    def measures(self) -> Stack:
        """The values of all seeds as arrays."""
        return stack(self.values, self.analysis.samples.num_problems)

    def pass_at(self, ks: Sequence[int]) -> FloatArray:
        """Return pass@k of each seed and problem, ``(R, N, K)``.

        Args:
            ks: numbers of samples, each at least 1.
        """
        return np.stack([seed.pass_at(ks) for seed in self.prepared])


def analyse(
    run: Run,
    *,
    settings: AnalysisSettings | None = None,
    groups: Iterable[str] = GROUPS,
    sizes: Sizes | None = None,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> RunAnalysis:
    """Measure one run.

    Args:
        run: its samples, or those of several seeds of one method. Seeds count as one run: the result is the
            mean over seeds, on the problems that all seeds have, with intervals that include the
            differences between seeds.
        settings: by default those of ``AnalysisSettings``.
        groups: members of ``GROUPS``; only their metrics are computed.
        sizes: sizes from ``choose_sizes`` over several runs, so that all are measured alike.
        workers: as in ``compare``.
        progress: as in ``compare``.

    Returns:
        The run's metrics and curves.

    Raises:
        ConfigError: a group is unknown, or fewer than 1 worker.
        DataError: a requested k is more than the samples of any problem, or seeds share no problem.
    """
    settings, groups = settings or AnalysisSettings(), tuple(groups)
    unknown = [group for group in groups if group not in GROUPS]
    if unknown:
        raise unknown_name("group of metrics", unknown[0], GROUPS)
    seeds = as_seeds(run)
    shared = shared_problems([seeds])
    alike = Counter(seed.name for seed in seeds)
    notes = _sharing_notes(
        (
            seed.name if alike[seed.name] == 1 else f"{seed.name} (seed {place} of {len(seeds)})",
            seed.num_problems - len(shared),
        )
        for place, seed in enumerate(seeds, 1)
    )
    seeds = tuple(seed.subset(shared) for seed in seeds)
    if sizes is None:
        sizes, size_notes = choose_sizes(seeds, settings)
        notes += size_notes
    prepared = [Prepared(seed, sizes, settings) for seed in seeds]
    values = _values(prepared, groups, workers, progress)
    analysis = _measured(prepared, values, groups).analysis
    return replace(analysis, notes=notes + analysis.notes)


def compare(
    base: Run,
    runs: Sequence[Run],
    *,
    settings: AnalysisSettings | None = None,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> Comparison:
    """Measure what runs gained and lost against a base run, on the problems that all have.

    Every difference is paired by problem. The number of samples may differ between runs and between
    problems: all runs are measured at the same k and the same number of drawn texts.

    Args:
        base: as ``run`` of ``analyse``.
        runs: one or more, each as ``run`` of ``analyse``.
        settings: as in ``analyse``.
        workers: parallel processes that measure texts. More than 1 are spawned, so a script needs
            ``if __name__ == "__main__":``; the numbers are the same. ``None`` takes as many as there are
            cores, where that pays.
        progress: called with the work on texts that is done, and all there is.

    Returns:
        The runs' numbers, their differences to the base, and what was kept, lost and found.

    Raises:
        ConfigError: no run to compare, two runs with one name, or fewer than 1 worker.
        DataError: the runs share no problem, or as in ``analyse``.
    """
    settings = settings or AnalysisSettings()
    everyone = [as_seeds(run) for run in (base, *runs)]
    if len(everyone) < 2:
        raise ConfigError(
            "There is nothing to compare with the base run. Give at least one more run."
        )
    [(name, times)] = Counter(name_of(seeds) for seeds in everyone).most_common(1)
    if times > 1:
        raise ConfigError(f"Two runs are called {name!r}. Name them apart: NAME=PATH.")
    shared = shared_problems(everyone)
    not_shared = {
        name_of(seeds): len(set().union(*(seed.problem_ids for seed in seeds)) - set(shared))
        for seeds in everyone
    }
    everyone = [tuple(seed.subset(shared) for seed in seeds) for seeds in everyone]
    sizes, notes = choose_sizes([seed for seeds in everyone for seed in seeds], settings)
    first, *others = measure_runs(everyone, sizes, settings, workers=workers, progress=progress)
    found = compare_measured(first, others)
    return replace(found, not_shared=not_shared, notes=notes + _sharing_notes(not_shared.items()))


def measure_runs(
    runs: Sequence[Seeds],
    sizes: Sizes,
    settings: AnalysisSettings,
    *,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> list[MeasuredRun]:
    """Measure all metrics of runs, given by their seeds, on the same problems in the same order.

    Args:
        runs: the seeds of each run.
        sizes: how many samples each measure looks at, the same for all runs.
        settings: settings of intervals and draws.
        workers: as in ``compare``.
        progress: as in ``compare``.

    Returns:
        The runs, in the given order.

    Raises:
        ConfigError: fewer than 1 worker.
    """
    prepared = [[Prepared(seed, sizes, settings) for seed in seeds] for seeds in runs]
    values = iter(_values([*chain(*prepared)], GROUPS, workers, progress))
    return [_measured(seeds, [next(values) for _ in seeds], GROUPS) for seeds in prepared]


def _values(
    seeds: Sequence[Prepared],
    groups: Sequence[str],
    workers: int | None,
    progress: Progress | None,
) -> list[Sequence[ProblemValues]]:
    """Return the values per problem of seeds, the texts of all of them measured together."""
    keys = wanted_texts(lambda _: "text diversity" in groups)
    texts = values_of_texts(seeds, keys, workers=workers, progress=progress)
    return [measure(seed, groups=groups, texts=of) for seed, of in zip(seeds, texts, strict=True)]


def _measured(
    prepared: Sequence[Prepared], values: Sequence[Sequence[ProblemValues]], groups: Sequence[str]
) -> MeasuredRun:
    """Turn the values of a run's seeds into its numbers, with the curves of these groups."""
    sizes, settings = prepared[0].sizes, prepared[0].settings
    seeds = tuple(seed.samples for seed in prepared)
    joined = pool(seeds)

    def curve_of(values_N_K: Iterable[FloatArray], most: float = math.inf) -> Curve:
        return curve(sizes.curve_ks, np.stack(list(values_N_K)), settings, most=most)

    pass_curve, distinct_curve = NO_CURVE, None
    if "correctness" in groups:
        pass_curve = curve_of((seed.pass_at(sizes.curve_ks) for seed in prepared), most=1.0)
    if "solutions" in groups and any((seed.correct_ids_N_S >= 0).any() for seed in prepared):
        distinct_curve = curve_of(seed.distinct_at(sizes.curve_ks) for seed in prepared)
    analysis = RunAnalysis(
        name=name_of(seeds),
        samples=joined,
        num_seeds=len(seeds),
        metrics=metrics(stack(values, joined.num_problems), settings),
        ks=sizes.ks,
        pass_curve=pass_curve,
        distinct_curve=distinct_curve,
        num_samples=int(joined.num_samples_N.sum()),
        num_judged=int(joined.num_verified_N.sum()),
        left_out=joined.left_out,
        left_out_at=joined.left_out_at,
    )
    return MeasuredRun(analysis=analysis, prepared=tuple(prepared), values=tuple(values))


def compare_measured(base: MeasuredRun, runs: Sequence[MeasuredRun]) -> Comparison:
    """Compare runs that are already measured, on the same problems at the same sizes.

    Args:
        base: base from ``measure_runs``.
        runs: one or more, from the same call as the base.

    Returns:
        Differences, flows and fits; ``not_shared`` is 0 for every run.
    """
    settings, first = base.prepared[0].settings, base.analysis
    others = tuple(run.analysis for run in runs)
    before = base.measures
    changes = (
        differences(before, run.measures, settings, first.name, run.analysis.name) for run in runs
    )
    return Comparison(
        base=first,
        runs=others,
        differences=tuple(chain(*changes)),
        flows=tuple(_flow(base, run, settings) for run in runs),
        fits=_fit_lines((first, *others)),
        num_shared_problems=first.samples.num_problems,
        not_shared={run.name: 0 for run in (first, *others)},
        level=settings.level,
        seed=settings.seed,
    )


def combine(parts: Sequence[RunAnalysis]) -> RunAnalysis:
    """Join analyses of one run that were made group by group.

    Args:
        parts: analyses of one run, each with metrics of other groups; at least one.

    Returns:
        The analysis with all metrics, and the curves of the part that has them.
    """
    return replace(
        parts[0],
        metrics=tuple(metric for part in parts for metric in part.metrics),
        pass_curve=next((p.pass_curve for p in parts if p.pass_curve.ks), NO_CURVE),
        distinct_curve=next((p.distinct_curve for p in parts if p.distinct_curve), None),
    )


def _sharing_notes(not_shared: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    return tuple(
        f"left out {count:,} problem{'s' if count != 1 else ''} of {name} that some runs lack"
        for name, count in not_shared
        if count
    )


def _flow(base: MeasuredRun, run: MeasuredRun, settings: AnalysisSettings) -> Flow:
    sizes = base.prepared[0].sizes
    k = sizes.keep_k
    before, after = base.analysis.samples, run.analysis.samples
    status_N = statuses(before, after)
    base_N, twice_N = base.pass_at([k, 2 * k]).mean(axis=0).T
    of_seeds = [keep_and_explore(base_N, run_N, k) for run_N in run.pass_at([k])[..., 0]]
    shares = stack(of_seeds, len(base_N))
    keep, explore = (metrics(shares.only({share.key}), settings)[0] for share in shares.values)
    ks = sizes.curve_ks
    change = curve(ks, run.pass_at(ks), settings, less_R_N_K=base.pass_at(ks))
    return Flow(
        run=run.analysis.name,
        status_N=status_N,
        problems=count_statuses(status_N),
        modes=modes(before, after),
        expected_modes=expected_modes(
            tuple(p.samples for p in base.prepared), tuple(p.samples for p in run.prepared), k
        ),
        keep=keep,
        explore=explore,
        keep_by_luck=expected_keep(base_N, twice_N),
        k=k,
        difference_curve=change,
        crossing=crossing_of(change.ks, change),
    )


def _fit_lines(runs: Sequence[RunAnalysis]) -> tuple[Fit, ...]:
    """Fit Potential@k on every diversity measure that all of three or more runs have.

    Potential@k has the paper's form if all runs have greedy samples, else that of sampling.
    """
    usable = [m for m in runs[0].metrics if np.isfinite(_of_all(runs, m.key)).all()]
    potentials = [m for m in usable if m.key.startswith("potential@")]
    if len(runs) < FEWEST_RUNS or not potentials:
        return ()
    potential = potentials[-1]  # the greedy form comes last
    return tuple(_fit(runs, m, potential) for m in usable if m.group != "correctness")


def _of_all(runs: Sequence[RunAnalysis], key: str) -> FloatArray:
    """Return the values of all runs; NaN for a run without one."""
    found = [run.metric(key) for run in runs]
    return np.array([math.nan if metric is None else metric.estimate for metric in found])


def _fit(runs: Sequence[RunAnalysis], diversity: Metric, potential: Metric) -> Fit:
    x, y = _of_all(runs, diversity.key), _of_all(runs, potential.key)
    dx, dy = x - x.mean(), y - y.mean()
    varied = spread(x) > 0
    slope = float(dx @ dy / (dx @ dx)) if varied else math.nan
    explained = (dx @ dy) ** 2 / ((dx @ dx) * (dy @ dy)) if varied and spread(y) > 0 else math.nan
    return Fit(
        key=diversity.key,
        label=diversity.label,
        potential_key=potential.key,
        names=tuple(run.name for run in runs),
        x=tuple(x.tolist()),
        y=tuple(y.tolist()),
        slope=slope,
        intercept=float(y.mean() - slope * x.mean()),
        r_squared=float(explained),
    )
