"""Results: the numbers of one run, and what changed between runs on the same problems.

All numbers carry an interval by bootstrap over problems; see ``polypath.metrics.bootstrap`` for what
such an interval covers and where it does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from polypath.metrics.keep_explore import FOUND, KEPT, LOST, UNSOLVED
from polypath.rollouts.samples import Samples

FloatArray = npt.NDArray[np.float64]

UNJUDGED = "unjudged"
STATUSES = (KEPT, LOST, FOUND, UNSOLVED, UNJUDGED)  # of a problem, in the order of tables
EXPECTED_LOST = "lost by luck"  # a key in JSON; expected under resampling of the base
ROSE, FELL, NOISE = "rose", "fell", "within noise"
GROUPS = ("correctness", "solutions", "text diversity")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What is measured; the fields that values per problem, metrics and differences share.

    Attributes:
        key: name in JSON and CSV, unique within a run: ``pass@16``, ``self_bleu (correct)``.
        label: name in tables.
        group: ``correctness``, ``solutions`` or ``text diversity``.
        over: which samples it looks at, ``all`` or ``correct``.
        higher_is: ``better``, ``more diverse`` or ``less diverse``.
        k: samples of a problem it looks at; 0 where it looks at all of them.
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
        estimate: NaN when undefined.
        low: lower end of the interval; NaN with the estimate.
        high: upper end.
        num_problems: problems it rests on.
        note: why it is undefined, or what was left out; else empty.
    """

    estimate: float
    low: float
    high: float
    num_problems: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A number for each of several k, with its band; arrays of shape ``(K,)``."""

    ks: tuple[int, ...]
    estimate: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, kw_only=True)
class RunAnalysis:
    """All metrics of one run, or of several seeds of one method.

    Attributes:
        name: label of the run.
        samples: what was measured; the samples of all seeds together, seed after seed.
        num_seeds: runs pooled into this one, 1 for a single file.
        metrics: in the order of tables.
        ks: the k's of the tables.
        pass_curve: pass@k over a finer ladder of k, for figures.
        distinct_curve: distinct correct solutions in k samples; None where no sample has an answer.
        num_samples: samples read.
        num_judged: of these, with a verdict; the others are left out of everything that needs one.
        left_out: reason -> rows left out while reading.
        notes: what a reader of the numbers must know, such as why k stops where it does.
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
    notes: tuple[str, ...] = ()

    def metric(self, key: str) -> Metric | None:
        """Return the metric of this key, None where the run has none."""
        return next((metric for metric in self.metrics if metric.key == key), None)


@dataclass(frozen=True, kw_only=True)
class Difference(Measure):
    """How one metric of a run differs from the base run's, paired by problem.

    Attributes:
        family: what several k of one metric are called together, such as ``pass@k``; else empty.
        run: name of the run.
        base: name of the base run.
        run_value: mean over the problems that both runs have a value for.
        base_value: mean over the same problems.
        estimate: run minus base.
        low: lower end of the interval.
        high: upper end.
        p_value: two-sided, for "no difference".
        p_holm: the same after Holm's correction over the k's of this metric and run.
        smallest_detectable: minimum detectable effect: the smallest true difference that this many
            problems detect with 80 % power.
        verdict: ``rose`` or ``fell`` when ``p_holm`` is below 1 - level, else ``within noise``.
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
    """Which problems and which solutions one run kept, lost and found, against the base run.

    Attributes:
        run: name of the run.
        status_N: of each shared problem, by whether any of its samples is correct: ``kept``,
            ``lost``, ``found``, ``unsolved``, or ``unjudged`` where a run has no verdict.
        problems: status -> number of problems.
        modes: ``kept``, ``lost`` and ``found`` -> number of distinct correct solutions, among all
            samples at hand: the run with more samples seems to find more.
        expected_modes: the same expected in ``k`` samples of each, with ``lost by luck``: how many
            the base is expected to lose under resampling. Empty without solutions.
        keep: share of problems the base solves with k samples that the run solves, too.
        explore: share of problems the base does not solve with k samples that the run solves.
        keep_by_luck: Keep of the base run expected under resampling: against fresh samples of
            itself. Compare ``keep`` with it.
        k: samples of ``keep`` and ``explore``.
        difference_curve: pass@k of the run minus the base run's, paired by problem.
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


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A line through one point per run: a diversity against Potential@k.

    Attributes:
        key: of the diversity on the x axis.
        label: of the same.
        potential_key: of the y axis.
        names: of the runs, the base first.
        x: diversity of each run.
        y: Potential@k of each run.
        slope: of the least-squares line.
        intercept: of the same.
        r_squared: share of the variance of y that the line explains, in [0, 1]; NaN when all x or
            all y are equal. With three runs, R² is high by chance more often than not.
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
    """Runs against a base run, on the problems that all of them have.

    Attributes:
        base: the base run, on the shared problems.
        runs: the other runs, on the same problems in the same order.
        differences: per run in the order of ``runs``, metrics in table order.
        flows: one per run, in the order of ``runs``.
        fits: with three or more runs (the base counts), diversity against Potential@k; else empty.
        num_shared_problems: N of all arrays and samples here.
        not_shared: run name -> its problems that not all runs have, left out here.
        level: confidence level of all intervals.
        seed: of the resampling.
        notes: what a reader must know about the comparison as a whole.
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
