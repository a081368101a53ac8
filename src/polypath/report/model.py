"""Results: the numbers of one run, and the changes between runs on the same problems.

All numbers have an interval by bootstrap over problems; ``polypath.metrics.bootstrap`` says what such an
interval covers and where it fails. The names of fields are the keys in JSON and CSV.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from polypath.metrics import Crossing
from polypath.metrics.keep_explore import FOUND, KEPT, LOST, UNSOLVED
from polypath.rollouts.samples import Samples

FloatArray = npt.NDArray[np.float64]

UNJUDGED = "unjudged"
STATUSES = (KEPT, LOST, FOUND, UNSOLVED, UNJUDGED)  # of a problem, in the order of tables
EXPECTED_LOST = "lost by luck"  # a key in JSON; the number expected if the base is sampled again
ROSE, FELL, NOISE = "rose", "fell", "within noise"
GROUPS = ("correctness", "solutions", "text diversity")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is measured: the fields that values per problem, metrics and differences share.

    Attributes:
        key: unique within a run, such as ``pass@16`` or ``self_bleu (correct)``.
        label: name in tables.
        group: one of ``GROUPS``.
        over: samples that it uses, ``all`` or ``correct``.
        higher_is: ``better``, ``more diverse`` or ``less diverse``.
        k: number of samples of a problem that it uses; 0 for all.
    """

    key: str
    label: str
    group: str
    over: str = "all"
    higher_is: str
    k: int = 0

    @property
    def about(self) -> dict[str, Any]:
        """Return these fields, to make another object about the same measure."""
        return {f.name: getattr(self, f.name) for f in fields(Measure)}


@dataclass(frozen=True, kw_only=True)
class Metric(Measure):
    """One number of one run, with its interval.

    Attributes:
        estimate: NaN where undefined.
        low: lower end of the interval; NaN with the estimate.
        high: upper end.
        num_problems: number of problems that it is computed from.
        note: why it is undefined, or what was left out; else empty.
    """

    estimate: float
    low: float
    high: float
    num_problems: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A number at each of several k, with intervals. Arrays have the shape ``(K,)``.

    Attributes:
        ks: K numbers of samples.
        estimate: shape ``(K,)``.
        low: lower ends of the interval at each k, ``(K,)``.
        high: upper ends, ``(K,)``.
        band_low: lower ends of the band that contains the whole curve, ``(K,)``.
        band_high: its upper ends, ``(K,)``.
    """

    ks: tuple[int, ...]
    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    band_low: FloatArray
    band_high: FloatArray


@dataclass(frozen=True, kw_only=True)
class RunAnalysis:
    """All metrics of one run, or of several seeds of one method.

    Attributes:
        name: name of the run.
        samples: the measured samples; for several seeds, their samples joined.
        num_seeds: number of seeds.
        metrics: metrics in the order of tables.
        ks: numbers of samples in the tables.
        pass_curve: pass@k at more values of k, for figures.
        distinct_curve: distinct correct solutions over k; ``None`` if no correct sample has an answer.
        num_samples: number of samples read.
        num_judged: number of these with a verdict; measures of correctness leave out the others.
        left_out: reason -> number of rows that were left out.
        left_out_at: reason -> places of the first such rows.
        notes: what a reader must know, such as why k stops where it does.
    """

    name: str
    samples: Samples
    num_seeds: int = 1
    metrics: tuple[Metric, ...]
    ks: tuple[int, ...]
    pass_curve: Curve
    distinct_curve: Curve | None = None
    num_samples: int = 0
    num_judged: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    left_out_at: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def metric(self, key: str) -> Metric | None:
        """Return the metric with this key, None if the run has none.

        Args:
            key: such as ``pass@16`` or ``vendi (correct)``.
        """
        return next((metric for metric in self.metrics if metric.key == key), None)


@dataclass(frozen=True, kw_only=True)
class Difference(Measure):
    """The difference of one metric between a run and the base run, paired by problem.

    Attributes:
        family: name shared by the several k of one measure, such as ``pass@k``; else empty.
        run: name of the run.
        base: name of the base run.
        run_value: mean over the problems for which both runs have a value.
        base_value: mean over the same problems.
        estimate: run minus base.
        low: lower end of the interval.
        high: upper end.
        p_value: two-sided p-value of no difference, in [0, 1].
        p_holm: the same after Holm's correction over the k of this measure and run.
        smallest_detectable: minimum detectable effect: smallest true difference detected with 80 % power.
        verdict: ``ROSE`` or ``FELL`` if ``p_holm`` is below 1 - level, else ``NOISE``.
        num_problems: problems compared.
        note: why it is undefined; else empty.
    """

    family: str = ""
    run: str
    base: str
    run_value: float
    base_value: float
    estimate: float
    low: float
    high: float
    p_value: float
    p_holm: float
    smallest_detectable: float
    verdict: str
    num_problems: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Problems and solutions that one run kept, lost and found, compared with the base run.

    Attributes:
        run: name of the run.
        status_N: one of ``STATUSES`` for each shared problem, by whether any of its samples is correct.
        problems: status -> number of problems.
        modes: ``kept``, ``lost``, ``found`` -> number of distinct correct solutions among all samples. A
            run with more samples seems to find more.
        expected_modes: the same, expected in ``k`` samples of each run, with ``lost by luck``; empty without
            solutions.
        keep: share that the run also solves of the problems that the base solves with k samples.
        explore: share that the run solves of the problems that the base does not solve.
        keep_by_luck: Keep expected for the base and fresh samples of itself, in [0, 1].
        k: samples per problem of ``keep`` and ``explore``.
        difference_curve: pass@k of the run minus the base run's, paired by problem.
        crossing: k at which this difference is 0; ``None`` if there are fewer than two k.
    """

    run: str
    status_N: tuple[str, ...]
    problems: Mapping[str, int]
    modes: Mapping[str, int]
    expected_modes: Mapping[str, float] = field(default_factory=dict)
    keep: Metric
    explore: Metric
    keep_by_luck: float
    k: int
    difference_curve: Curve
    crossing: Crossing | None = None


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A line through one point per run: a diversity against Potential@k.

    Attributes:
        key: key of the diversity on the x axis.
        label: name of that diversity.
        potential_key: key of the metric on the y axis.
        names: names of the runs, the base first.
        x: diversity of each run.
        y: Potential@k of each run, in [0, 1].
        slope: slope of the least-squares line; NaN, as the intercept is, if all x are equal.
        intercept: y of the line at x = 0.
        r_squared: share of the variance of y that the line explains, in [0, 1]; NaN if all x or all y are
            equal. With three runs it is high by chance more often than not.
    """

    key: str
    label: str
    potential_key: str
    names: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    slope: float
    intercept: float
    r_squared: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs compared with a base run, on the problems that all of them have, in the same order.

    Attributes:
        base: the base run.
        runs: the runs that are compared with it.
        differences: differences in the order of ``runs``, and for each run in the order of tables.
        flows: flows in the order of ``runs``.
        fits: fits of Potential@k on diversity; empty with fewer than three runs.
        num_shared_problems: problems that every run has.
        not_shared: name of a run -> number of its problems that are left out because some runs lack them.
        level: confidence level of all intervals, in (0, 1).
        seed: seed of the bootstrap.
        notes: what a reader must know about the whole comparison.
    """

    base: RunAnalysis
    runs: tuple[RunAnalysis, ...]
    differences: tuple[Difference, ...]
    flows: tuple[Flow, ...]
    fits: tuple[Fit, ...] = ()
    num_shared_problems: int
    not_shared: Mapping[str, int]
    level: float = 0.95
    seed: int = 0
    notes: tuple[str, ...] = ()

    @property
    def everyone(self) -> tuple[RunAnalysis, ...]:
        """Return the base and the other runs."""
        return (self.base, *self.runs)

    def differences_of(self, run: str) -> tuple[Difference, ...]:
        """Return the differences of one run."""
        return tuple(d for d in self.differences if d.run == run)
