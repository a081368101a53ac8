"""From values per problem to numbers with intervals, and to paired differences."""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polypath.metrics import (
    TRUSTED_FROM,
    Crossing,
    Interval,
    PairedDifference,
    bootstrap_ratio,
    effective_problems,
    find_crossing,
    holm,
    paired_difference,
    seed_difference,
    simultaneous_band,
    smallest_detectable,
)
from polypath.report.model import FELL, NOISE, ROSE, Curve, Difference, FloatArray, Metric
from polypath.report.prepared import BoolArray, ProblemValues
from polypath.report.settings import AnalysisSettings

NO_VALUE = "no problem has a value"
TOO_ALIKE = "interval likely too short: few problems, or nearly all with the same value"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """M measures of R training seeds of a run, ``(R, N, M)``; ``bottom_R_N_M`` is 1 for a mean.

    Attributes:
        values: measures of the first seed, which describe the columns.
        top_R_N_M: numerators, or values of a mean; NaN where undefined.
        bottom_R_N_M: denominators; 1 for a mean.
    """

    values: tuple[ProblemValues, ...]
    top_R_N_M: FloatArray
    bottom_R_N_M: FloatArray

    def only(self, keys: Container[str]) -> "Stack":
        """Keep only the measures with these keys.

        Args:
            keys: keys of measures; keys that the stack lacks are ignored.

        Returns:
            A stack with fewer measures, in the same order.
        """
        kept = [m for m, value in enumerate(self.values) if value.key in keys]
        return Stack(
            values=tuple(self.values[m] for m in kept),
            top_R_N_M=self.top_R_N_M[..., kept],
            bottom_R_N_M=self.bottom_R_N_M[..., kept],
        )


def stack(seeds: Sequence[Sequence[ProblemValues]], num_problems: int) -> Stack:
    """Put the values of several seeds into one array, for the measures that all seeds have.

    Args:
        seeds: for each seed the values of its measures, each of shape ``(N,)``.
        num_problems: N.

    Returns:
        The measures in the order of the first seed.
    """
    shared = set.intersection(*({value.key for value in seed} for seed in seeds))
    kept = [[value for value in seed if value.key in shared] for seed in seeds]
    bottom_R_N_M = np.ones((len(seeds), num_problems, len(kept[0])))
    top_R_N_M = np.empty_like(bottom_R_N_M)
    for r, seed in enumerate(kept):
        for m, value in enumerate(seed):
            top_R_N_M[r, :, m] = value.top_N
            if value.bottom_N is not None:
                bottom_R_N_M[r, :, m] = value.bottom_N
    return Stack(values=tuple(kept[0]), top_R_N_M=top_R_N_M, bottom_R_N_M=bottom_R_N_M)


def metrics(measures: Stack, settings: AnalysisSettings) -> tuple[Metric, ...]:
    """Return the measures with their intervals.

    Args:
        measures: measures of all seeds of one run.
        settings: settings of the intervals.

    Returns:
        A metric for each of the M measures.
    """
    if not measures.values:
        return ()
    found = intervals(measures.top_R_N_M, measures.bottom_R_N_M, settings)
    alike_M = too_alike(_contributions(measures.top_R_N_M, measures.bottom_R_N_M).mean(axis=0))
    return tuple(
        Metric(**value.about, **_numbers(found, m, [value.note], alike_M[m]))
        for m, value in enumerate(measures.values)
    )


def intervals(
    top_R_N_M: FloatArray, bottom_R_N_M: FloatArray | None, settings: AnalysisSettings
) -> Interval:
    """Return M ratios of sums, or means if ``bottom_R_N_M`` is None, with their intervals.

    For one seed the interval is a bootstrap over problems. For several seeds the estimate is their mean,
    on the problems that have a value in all of them, with the interval of ``seed_difference`` to zero.

    Args:
        top_R_N_M: numerators, or values of a mean; NaN where undefined.
        bottom_R_N_M: denominators; ``None`` for means.
        settings: level, number of resamples and seed of the bootstrap.

    Returns:
        Estimates and ends of shape ``(M,)``.
    """
    bottom_R_N_M = np.ones_like(top_R_N_M) if bottom_R_N_M is None else bottom_R_N_M
    if len(top_R_N_M) == 1:
        return bootstrap_ratio(top_R_N_M[0], bottom_R_N_M[0], **settings.resampling)
    values = _contributions(top_R_N_M, bottom_R_N_M)
    return _by_seeds(values, np.zeros_like(values[:1]), settings)[0]


def curve(
    ks: Sequence[int],
    value_R_N_K: FloatArray,
    settings: AnalysisSettings,
    *,
    less_R_N_K: FloatArray | None = None,
    most: float = math.inf,
) -> Curve:
    """Return a column per k as a curve, without the k for which no problem has a value.

    Args:
        ks: K numbers of samples.
        value_R_N_K: values by seed, problem and k; NaN where undefined.
        settings: settings of the intervals.
        less_R_N_K: values of another run on the same problems, to be subtracted.
        most: largest possible value; the smallest is 0, unless a run is subtracted.

    Returns:
        The means, their intervals at each k, and the band of the whole curve.
    """
    if less_R_N_K is None:
        found, limits = intervals(value_R_N_K, None, settings), (0.0, most)
    else:
        found, limits = paired(value_R_N_K, less_R_N_K, settings)[0], (-math.inf, math.inf)
    known = np.flatnonzero(np.isfinite(found.estimate)).tolist()
    band = simultaneous_band(value_R_N_K, less_R_N_K, **settings.resampling)
    # Intervals of one run's problems are skewed, and may reach beyond a symmetric band on one side.
    band_low, band_high = np.fmin(band.low, found.low), np.fmax(band.high, found.high)
    return Curve(
        ks=tuple(ks[i] for i in known),
        estimate=found.estimate[known],
        low=found.low[known],
        high=found.high[known],
        band_low=np.clip(band_low, *limits)[known],
        band_high=np.clip(band_high, *limits)[known],
    )


def crossing_of(ks: Sequence[int], difference: Interval | Curve) -> Crossing | None:
    """Return where a difference over k is 0; ``None`` for fewer than two k with a value.

    Args:
        ks: K numbers of samples.
        difference: estimates and their pointwise ends, ``(K,)``.
    """
    known = np.flatnonzero(np.isfinite(difference.estimate))
    if len(known) < 2:
        return None
    ends = (difference.estimate[known], difference.low[known], difference.high[known])
    return find_crossing([ks[i] for i in known.tolist()], *ends)


def differences(
    base: Stack, run: Stack, settings: AnalysisSettings, base_name: str, run_name: str
) -> tuple[Difference, ...]:
    """Return the paired difference of every measure that both runs have.

    p-values are corrected within each family, that is over the several k of one measure.

    Args:
        base: measures of the base run.
        run: measures of the other run, on the same problems, with any number of seeds.
        settings: settings of intervals and tests.
        base_name: name of the base run.
        run_name: name of the other run.

    Returns:
        A difference, run minus base, for each shared measure in the order of tables.
    """
    # Only some runs may have greedy samples, and the measures that use them.
    base = base.only({value.key for value in run.values})
    run = run.only({value.key for value in base.values})
    # Both sides use the problems for which both have a value.
    known_N_M = _known(base.top_R_N_M, base.bottom_R_N_M, run.top_R_N_M, run.bottom_R_N_M)
    base_R_N_M = _contributions(base.top_R_N_M, base.bottom_R_N_M, known_N_M)
    run_R_N_M = _contributions(run.top_R_N_M, run.bottom_R_N_M, known_N_M)
    found, detectable_M = paired(run_R_N_M, base_R_N_M, settings)
    holm_M = _holm_by_family(run.values, found.p_value)
    alike_M = too_alike(run_R_N_M.mean(axis=0) - base_R_N_M.mean(axis=0))
    return tuple(
        Difference(
            **value.about,
            **_numbers(found, m, [base.values[m].note, value.note], alike_M[m]),
            family=value.family,
            run=run_name,
            base=base_name,
            run_value=_mean(run_R_N_M[..., m]),
            base_value=_mean(base_R_N_M[..., m]),
            p_value=float(found.p_value[m]),
            p_holm=float(holm_M[m]),
            smallest_detectable=float(detectable_M[m]),
            verdict=verdict(float(found.estimate[m]), float(holm_M[m]), settings.level),
        )
        for m, value in enumerate(run.values)
    )


def paired(
    run_R_N_M: FloatArray, base_R_N_M: FloatArray, settings: AnalysisSettings
) -> tuple[PairedDifference, FloatArray]:
    """Compare M measures of two runs, paired by problem. Seeds, in any number, are clusters of values.

    Args:
        run_R_N_M: values of the run; NaN where undefined.
        base_R_N_M: values of the base on the same problems; its number of seeds may differ.
        settings: settings of intervals and tests.

    Returns:
        The means of run minus base, and their minimum detectable effects, ``(M,)``.
    """
    if len(run_R_N_M) > 1 or len(base_R_N_M) > 1:
        return _by_seeds(run_R_N_M, base_R_N_M, settings)
    run_N_M, base_N_M = run_R_N_M[0], base_R_N_M[0]
    found = paired_difference(run_N_M, base_N_M, **settings.resampling)
    return found, smallest_detectable(run_N_M, base_N_M, level=settings.level)


def _by_seeds(
    run_R_N_M: FloatArray, base_R_N_M: FloatArray, settings: AnalysisSettings
) -> tuple[PairedDifference, FloatArray]:
    """Return the differences of M measures if a side has several seeds, and the detectable effects."""
    parts = np.full((5, run_R_N_M.shape[-1]), np.nan)
    known_N_M = _known(run_R_N_M, base_R_N_M)
    for m in np.flatnonzero(known_N_M.any(axis=0)):
        at_N = known_N_M[:, m]
        parts[0, m] = run_R_N_M[:, at_N, m].mean() - base_R_N_M[:, at_N, m].mean()
        if at_N.sum() >= 2:
            d = seed_difference(run_R_N_M[..., m], base_R_N_M[..., m], level=settings.level)
            parts[:, m] = d.estimate, d.low, d.high, d.p_value, d.smallest_detectable
    estimate, low, high, p_value, detectable_M = parts
    found = PairedDifference(
        estimate=estimate,
        low=low,
        high=high,
        num_problems=known_N_M.sum(axis=0),
        level=settings.level,
        p_value=p_value,
    )
    return found, detectable_M


def verdict(estimate: float, p_holm: float, level: float) -> str:
    """Say whether a measure rose, fell, or did not change beyond noise.

    Args:
        estimate: run minus base.
        p_holm: corrected p-value in [0, 1]; NaN where unknown.
        level: confidence level, in (0, 1).

    Returns:
        ``ROSE``, ``FELL`` or ``NOISE``.
    """
    if not p_holm < 1 - level:
        return NOISE
    return ROSE if estimate > 0 else FELL


def _known(*arrays_R_N_M: FloatArray) -> BoolArray:
    """Return for which problems and measures every seed has a value in all of the arrays."""
    return np.asarray(~np.isnan(np.concatenate(arrays_R_N_M)).any(axis=0), dtype=np.bool_)


def _contributions(
    top_R_N_M: FloatArray, bottom_R_N_M: FloatArray, known_N_M: BoolArray | None = None
) -> FloatArray:
    r"""Return what each problem contributes to each measure; NaN where a seed has no value.

    For a mean this is the value itself. A ratio of sums r is linearised at its estimate,
    :math:`r + (t_i - r b_i) / \bar b`, whose mean over problems is r. The spread of these values is
    that of the ratio, up to terms that vanish with the number of problems.
    """
    known_N_M = _known(top_R_N_M, bottom_R_N_M) if known_N_M is None else known_N_M
    top = np.where(known_N_M, top_R_N_M, 0.0)
    bottom = np.where(known_N_M, bottom_R_N_M, 0.0)
    total_R_1_M = bottom.sum(axis=1, keepdims=True)
    total_R_1_M = np.where(total_R_1_M != 0, total_R_1_M, np.nan)
    ratio_R_1_M = top.sum(axis=1, keepdims=True) / total_R_1_M
    linear = ratio_R_1_M + (top - ratio_R_1_M * bottom) * known_N_M.sum(axis=0) / total_R_1_M
    # For a mean the result is the value itself; using it directly avoids rounding.
    is_mean_M = (bottom_R_N_M == 1).all(axis=(0, 1))
    return np.where(known_N_M, np.where(is_mean_M, top_R_N_M, linear), np.nan)


def _numbers(found: Interval, m: int, notes: Sequence[str], too_alike: bool) -> dict[str, Any]:
    """Return the numbers of one measure that metrics and differences share."""
    told = [note for note in dict.fromkeys(notes) if note]
    if not math.isfinite(found.estimate[m]):
        told = told or [NO_VALUE]
    elif too_alike:
        told.append(TOO_ALIKE)
    return {
        "estimate": float(found.estimate[m]),
        "low": float(found.low[m]),
        "high": float(found.high[m]),
        "num_problems": int(found.num_problems[m]),
        "note": "; ".join(told),
    }


def _mean(value_R_N: FloatArray) -> float:
    known = value_R_N[~np.isnan(value_R_N)]
    return float(known.mean()) if known.size else math.nan


def too_alike(value_N_M: FloatArray) -> BoolArray:
    """Return for each measure whether too few different problems make its interval unreliable.

    Args:
        value_N_M: values by problem and measure; NaN where undefined.

    Returns:
        Booleans of shape ``(M,)``.
    """
    return np.asarray(effective_problems(value_N_M) < TRUSTED_FROM, dtype=np.bool_)


def _holm_by_family(values: Sequence[ProblemValues], p_M: FloatArray) -> FloatArray:
    """Correct the p-values of measures tested at several k. A measure on its own keeps its p-value."""
    families = np.array([value.family or value.key for value in values])
    result_M = p_M.copy()
    for family in np.unique(families):
        result_M[families == family] = holm(p_M[families == family])
    return result_M
