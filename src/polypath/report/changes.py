"""Problems, correct solutions and shares that a run kept, lost and found, compared with a base run."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np

from polypath.metrics import keep_explore, mode_changes, problem_changes
from polypath.metrics.keep_explore import FOUND, KEPT, LOST
from polypath.report.measures import EXPLAINED
from polypath.report.model import EXPECTED_LOST, STATUSES, UNJUDGED, FloatArray
from polypath.report.prepared import ProblemValues, Seeds
from polypath.rollouts.samples import Samples


def statuses(base: Samples, run: Samples) -> tuple[str, ...]:
    """Return the status of each problem: it is solved if any of its verified samples is right.

    Args:
        base: samples of the base run.
        run: samples of the other run, on the same problems in the same order.

    Returns:
        One of ``STATUSES`` for each of the N problems.
    """
    changes = problem_changes(
        base.num_verified_N, base.num_correct_N, run.num_verified_N, run.num_correct_N
    )
    return tuple(change or UNJUDGED for change in changes)


def count_statuses(status_N: Sequence[str]) -> dict[str, int]:
    """Count the problems of each status. ``unjudged`` is included only if there are any."""
    counts = Counter(status_N)
    return {status: counts[status] for status in STATUSES if counts[status] or status != UNJUDGED}


def solutions_by_problem(samples: Samples) -> list[set[str]]:
    """Return the distinct correct solutions of each problem, among all its samples."""
    return [
        {a for a, right in zip(answers, rights, strict=True) if right and a is not None}
        for answers, rights in zip(samples.answers, samples.correct, strict=True)
    ]


def modes(base: Samples, run: Samples) -> dict[str, int]:
    """Count the distinct correct solutions of all problems: in both runs, in the base only, in the run only.

    A solution that is rare in both runs may occur in one of them by chance. With equal runs, as many are
    lost as are found.

    Args:
        base: samples of the base run.
        run: samples of the other run, on the same problems in the same order.

    Returns:
        ``kept``, ``lost`` and ``found`` -> number of solutions.
    """
    pairs = list(zip(solutions_by_problem(base), solutions_by_problem(run), strict=True))
    return {
        KEPT: sum(len(before & after) for before, after in pairs),
        LOST: sum(len(before - after) for before, after in pairs),
        FOUND: sum(len(after - before) for before, after in pairs),
    }


def expected_modes(base: Seeds, run: Seeds, k: int) -> dict[str, float]:
    """Return the solutions kept, lost and found in k samples of each, and the losses expected by luck.

    They are summed over the problems with k samples in both runs, and averaged over seeds. The result is
    empty if there are no such problems, or no solutions.

    Args:
        base: seeds of the base run.
        run: seeds of the other run, on the same problems in the same order.
        k: samples per problem, at least 1.

    Returns:
        ``kept``, ``lost``, ``found`` and ``lost by luck`` -> expected number of solutions.
    """
    parts = []
    for theirs, mine in product(base, run):
        found = mode_changes(theirs.answers, theirs.correct, mine.answers, mine.correct, k=k)
        known_N = ~np.isnan(found.kept_N)
        columns = (found.kept_N, found.lost_N, found.found_N, found.lost_by_luck_N)
        parts.append([column_N[known_N].sum() for column_N in columns])
    means = np.mean(parts, axis=0).tolist()
    if not any(means[:3]):
        return {}
    return dict(zip((KEPT, LOST, FOUND, EXPECTED_LOST), means, strict=True))


def keep_and_explore(base_N: FloatArray, run_N: FloatArray, k: int) -> list[ProblemValues]:
    """Return Keep and Explore from pass@k of the base and of one seed, on the same problems.

    Args:
        base_N: pass@k of the base, in [0, 1]; NaN if it has fewer than k samples.
        run_N: pass@k of the run on the same problems.
        k: number of samples in which a problem counts as solved, at least 1.

    Returns:
        Keep, then Explore; NaN on problems where either run has no value.
    """
    known_N = ~(np.isnan(base_N) | np.isnan(run_N))
    found = keep_explore(np.where(known_N, base_N, 0.0), np.where(known_N, run_N, 0.0))
    return [
        ProblemValues(
            key=f"{name}@{k}",
            label=EXPLAINED[f"{name}@k"].label.format(k=k),
            group="correctness",
            higher_is="better",
            k=k,
            top_N=np.where(known_N, top_N, np.nan),
            bottom_N=np.where(known_N, bottom_N, np.nan),
        )
        for name, top_N, bottom_N in (
            ("keep", found.kept_N, found.base_N),
            ("explore", found.gained_N, 1 - found.base_N),
        )
    ]


def expected_keep(pass_k_N: FloatArray, pass_2k_N: FloatArray) -> float:
    r"""Return Keep expected under resampling: a model compared with fresh samples of itself.

    Both draws of k solve a problem with chance :math:`(1-(1-p)^k)^2 = 2\,pass@k - pass@2k`. 2k samples
    estimate this without bias; squaring the estimate of pass@k would be biased upwards.

    Args:
        pass_k_N: pass@k of the model, in [0, 1]; NaN where unknown.
        pass_2k_N: its pass@2k.

    Returns:
        A share; NaN if no problem has both values or none is ever solved.
    """
    return _ratio(2 * pass_k_N - pass_2k_N, pass_k_N)


def expected_explore(pass_k_N: FloatArray, pass_2k_N: FloatArray) -> float:
    r"""Return Explore expected under resampling: a model compared with fresh samples of itself.

    The first k fail and the next k do not with chance :math:`(1-p)^k - (1-p)^{2k} = pass@2k -
    pass@k`; the first k fail with chance :math:`1 - pass@k`.

    Args:
        pass_k_N: pass@k of the model, in [0, 1]; NaN where unknown.
        pass_2k_N: its pass@2k.

    Returns:
        A share; NaN if no problem has both values or all are always solved.
    """
    return _ratio(pass_2k_N - pass_k_N, 1 - pass_k_N)


def _ratio(top_N: FloatArray, bottom_N: FloatArray) -> float:
    """Return the ratio of sums over the problems that have enough samples for both."""
    known_N = ~np.isnan(top_N)
    total = bottom_N[known_N].sum()
    return float(top_N[known_N].sum() / total) if total > 0 else math.nan
