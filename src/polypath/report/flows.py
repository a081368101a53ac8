"""What a run kept, lost and found against a base run, and diversity against Potential@k."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from polypath.metrics import keep_explore, mode_changes, problem_changes
from polypath.report.estimates import intervals
from polypath.report.model import (
    BY_LUCK,
    FOUND,
    KEPT,
    LOST,
    UNJUDGED,
    UNSOLVED,
    Fit,
    Metric,
    RunAnalysis,
)
from polypath.report.runs import Seeds
from polypath.report.values import AnalysisSettings, FloatArray
from polypath.rollouts.samples import Samples

MIN_RUNS_OF_FIT = 3


def statuses(base: Samples, run: Samples) -> tuple[str, ...]:
    """Return what became of each problem: solved means by any of its judged samples."""
    changes = problem_changes(
        base.num_verified_N, base.num_correct_N, run.num_verified_N, run.num_correct_N
    )
    return tuple(change or UNJUDGED for change in changes)


def count_statuses(status_N: Sequence[str]) -> dict[str, int]:
    """Count the problems of each status; ``unjudged`` is there only if there are any."""
    counts = Counter(status_N)
    known = {status: counts[status] for status in (KEPT, LOST, FOUND, UNSOLVED)}
    return known | ({UNJUDGED: counts[UNJUDGED]} if counts[UNJUDGED] else {})


def modes(base: Samples, run: Samples) -> dict[str, int]:
    """Count the distinct correct solutions of all problems: in both runs, in one, in the other.

    A solution that is rare in both runs may be seen in one of them by luck; with equal runs as many
    are lost as are found.
    """
    counts = {KEPT: 0, LOST: 0, FOUND: 0}
    for before, after in zip(_correct_answers(base), _correct_answers(run), strict=True):
        counts[KEPT] += len(before & after)
        counts[LOST] += len(before - after)
        counts[FOUND] += len(after - before)
    return counts


def _correct_answers(samples: Samples) -> list[set[str]]:
    return [
        {
            answer
            for answer, right in zip(answers, rights, strict=True)
            if right and answer is not None
        }
        for answers, rights in zip(samples.answers, samples.correct, strict=True)
    ]


def expected_modes(base: Seeds, run: Seeds, k: int) -> dict[str, float]:
    """Return the solutions kept, lost and found in k samples of each, and lost by luck alone.

    Summed over the problems with k samples in both runs, and averaged over seeds. Empty if there
    are none, or no solutions.
    """
    pairs = [(mine, theirs) for theirs in base for mine in run]
    parts = np.zeros((len(pairs), 4))
    for i, (mine, theirs) in enumerate(pairs):
        found = mode_changes(theirs.answers, theirs.correct, mine.answers, mine.correct, k=k)
        known_N = ~np.isnan(found.kept_N)
        columns = (found.kept_N, found.lost_N, found.found_N, found.lost_by_luck_N)
        parts[i] = [column_N[known_N].sum() for column_N in columns]
    means = parts.mean(axis=0).tolist()
    if not any(means[:3]):
        return {}
    return dict(zip((KEPT, LOST, FOUND, BY_LUCK), means, strict=True))


def keep_and_explore(
    base_pass_N: FloatArray, run_pass_S_N: FloatArray, k: int, settings: AnalysisSettings
) -> tuple[Metric, Metric]:
    """Return Keep and Explore at k with their intervals, from the pass@k of the base and each seed."""
    known_N = ~(np.isnan(base_pass_N) | np.isnan(run_pass_S_N).any(axis=0))
    seeds = [keep_explore(base_pass_N[known_N], run_N) for run_N in run_pass_S_N[:, known_N]]
    keep = np.stack([seed.kept_N for seed in seeds]), seeds[0].base_N
    explore = np.stack([seed.gained_N for seed in seeds]), 1 - seeds[0].base_N
    return (
        _share(f"keep@{k}", f"Keep at k = {k}", *keep, k, settings),
        _share(f"explore@{k}", f"Explore at k = {k}", *explore, k, settings),
    )


def _share(
    key: str,
    label: str,
    top_S_N: FloatArray,
    bottom_N: FloatArray,
    k: int,
    settings: AnalysisSettings,
) -> Metric:
    estimate = low = high = math.nan
    if bottom_N.size:
        bottom_S_N = np.broadcast_to(bottom_N, top_S_N.shape)
        found = intervals(top_S_N[..., None], bottom_S_N[..., None], settings)
        estimate, low, high = (float(x[0]) for x in (found.estimate, found.low, found.high))
    return Metric(
        key=key,
        label=label,
        group="correctness",
        over="all",
        higher_is="better",
        k=k,
        estimate=estimate,
        low=low,
        high=high,
        num_problems=int(bottom_N.size),
        note="" if math.isfinite(estimate) else "no problem to take the share of",
    )


def keep_by_luck(pass_k_N: FloatArray, pass_2k_N: FloatArray) -> float:
    r"""Return Keep of a run against fresh samples of the same model.

    Both draws of k solve a problem with chance :math:`(1-(1-p)^k)^2 = 2\,pass@k - pass@2k`, which
    2k samples estimate without bias; squaring the estimate of pass@k would be biased upwards.
    """
    known_N = ~np.isnan(pass_2k_N)
    total = pass_k_N[known_N].sum()
    if total == 0:
        return math.nan
    return float((2 * pass_k_N[known_N] - pass_2k_N[known_N]).sum() / total)


def fit_lines(runs: Sequence[RunAnalysis]) -> tuple[Fit, ...]:
    """Fit Potential@k on every diversity that all runs have; nothing with fewer than three runs.

    Potential@k is the paper's where all runs have greedy samples, else that of sampling.
    """
    if len(runs) < MIN_RUNS_OF_FIT:
        return ()
    potentials = [m for m in runs[0].metrics if m.key.startswith("potential@")]
    usable = [m for m in potentials if _of_all(runs, m.key)]
    if not usable:
        return ()
    potential = usable[-1]  # the greedy form comes last
    diversities = [m for m in runs[0].metrics if m.group != "correctness" and _of_all(runs, m.key)]
    return tuple(_fit(runs, diversity, potential) for diversity in diversities)


def _of_all(runs: Sequence[RunAnalysis], key: str) -> list[float]:
    """Return the values of all runs, or nothing when one of them has none."""
    found = [run.metric(key) for run in runs]
    values = [metric.estimate for metric in found if metric is not None]
    return values if len(values) == len(runs) and all(map(math.isfinite, values)) else []


def _fit(runs: Sequence[RunAnalysis], diversity: Metric, potential: Metric) -> Fit:
    x, y = np.array(_of_all(runs, diversity.key)), np.array(_of_all(runs, potential.key))
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / (dx @ dx)) if (dx @ dx) > 0 else math.nan
    r_squared = (
        float((dx @ dy) ** 2 / ((dx @ dx) * (dy @ dy))) if (dx @ dx) * (dy @ dy) else math.nan
    )
    return Fit(
        key=diversity.key,
        label=diversity.label,
        potential_key=potential.key,
        names=tuple(run.name for run in runs),
        x=tuple(x.tolist()),
        y=tuple(y.tolist()),
        slope=slope,
        intercept=float(y.mean() - slope * x.mean()),
        r_squared=r_squared,
    )
