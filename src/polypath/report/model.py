"""Results: the numbers of one run, and what changed between runs on the same problems.

All numbers carry an interval by bootstrap over problems; see ``polypath.metrics.bootstrap`` for what
such an interval covers and where it does not. The names of fields are the keys in JSON and CSV.
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
    """What is measured; the fields that values per problem, metrics and differences share."""

    key: str  # unique within a run: ``pass@16``, ``self_bleu (correct)``
    label: str  # name in tables
    group: str  # one of GROUPS
    over: str = "all"  # which samples it looks at, ``all`` or ``correct``
    higher_is: str  # ``better``, ``more diverse`` or ``less diverse``
    k: int = 0  # samples of a problem it looks at; 0 where it looks at all of them

    @property
    def about(self) -> dict[str, Any]:
        """Return these fields, to make another object about the same measure."""
        return {f.name: getattr(self, f.name) for f in fields(Measure)}


@dataclass(frozen=True, kw_only=True)
class Metric(Measure):
    """One number of one run, with its interval."""

    estimate: float  # NaN when undefined
    low: float  # lower end of the interval; NaN with the estimate
    high: float
    num_problems: int  # that it rests on
    note: str = ""  # why it is undefined, or what was left out; else empty


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A number for each of several k, with its band; arrays of shape ``(K,)``."""

    ks: tuple[int, ...]
    estimate: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, kw_only=True)
class RunAnalysis:
    """All metrics of one run, or of several seeds of one method."""

    name: str
    samples: Samples  # what was measured; those of all seeds together, seed after seed
    num_seeds: int = 1  # runs pooled into this one
    metrics: tuple[Metric, ...]  # in the order of tables
    ks: tuple[int, ...]  # of the tables
    pass_curve: Curve  # pass@k over a finer ladder of k, for figures
    distinct_curve: Curve | None = (
        None  # distinct correct solutions; None if no sample has an answer
    )
    num_samples: int = 0  # samples read
    num_judged: int = 0  # of these, with a verdict; all that needs one leaves out the others
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason -> rows not read
    left_out_at: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # and the first of them
    notes: tuple[str, ...] = ()  # what a reader must know, such as why k stops where it does

    def metric(self, key: str) -> Metric | None:
        """Return the metric of this key, None where the run has none."""
        return next((metric for metric in self.metrics if metric.key == key), None)


@dataclass(frozen=True, kw_only=True)
class Difference(Measure):
    """How one metric of a run differs from the base run's, paired by problem."""

    family: str = ""  # several k of one metric together, such as ``pass@k``; else empty
    run: str
    base: str
    run_value: float  # mean over the problems that both runs have a value for
    base_value: float  # mean over the same problems
    estimate: float  # run minus base
    low: float  # lower end of the interval
    high: float
    p_value: float  # two-sided, for "no difference"
    p_holm: float  # after Holm's correction over the k's of this metric and run
    # Minimum detectable effect: the smallest true difference found with 80 % power.
    smallest_detectable: float
    verdict: str  # ROSE or FELL when p_holm is below 1 - level, else NOISE
    num_problems: int  # compared
    note: str = ""  # why it is undefined; else empty


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Which problems and which solutions one run kept, lost and found, against the base run."""

    run: str
    # Of each shared problem, by whether any of its samples is correct: one of STATUSES.
    status_N: tuple[str, ...]
    problems: Mapping[str, int]  # status -> number of problems
    # ``kept``, ``lost``, ``found`` -> number of distinct correct solutions, among all samples at
    # hand: the run with more samples seems to find more.
    modes: Mapping[str, int]
    # The same expected in ``k`` samples of each, with EXPECTED_LOST. Empty without solutions.
    expected_modes: Mapping[str, float] = field(default_factory=dict)
    keep: Metric  # share of the problems the base solves with k samples that the run solves, too
    explore: Metric  # share of those it does not solve that the run solves
    keep_by_luck: float  # Keep expected of the base against fresh samples of itself
    k: int  # samples of ``keep`` and ``explore``
    difference_curve: Curve  # pass@k of the run minus the base run's, paired by problem


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A line through one point per run: a diversity against Potential@k."""

    key: str  # of the diversity on the x axis
    label: str
    potential_key: str  # of the y axis
    names: tuple[str, ...]  # of the runs, the base first
    x: tuple[float, ...]
    y: tuple[float, ...]
    slope: float  # of the least-squares line; NaN with the intercept when all x are equal
    intercept: float
    # Share of the variance of y that the line explains; NaN when all x or all y are equal. With
    # three runs, it is high by chance more often than not.
    r_squared: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs against a base run, on the problems that all of them have, in the same order."""

    base: RunAnalysis
    runs: tuple[RunAnalysis, ...]
    differences: tuple[Difference, ...]  # per run in the order of ``runs``, metrics in table order
    flows: tuple[Flow, ...]  # in the order of ``runs``
    fits: tuple[Fit, ...] = ()  # of diversity against Potential@k, with three or more runs
    num_shared_problems: int
    not_shared: Mapping[str, int]  # run name -> its problems that not all runs have, left out
    level: float = 0.95  # confidence level of all intervals
    seed: int = 0  # of the resampling
    notes: tuple[str, ...] = ()  # what a reader must know about the comparison as a whole

    @property
    def everyone(self) -> tuple[RunAnalysis, ...]:
        """Return the base and the other runs."""
        return (self.base, *self.runs)

    def differences_of(self, run: str) -> tuple[Difference, ...]:
        """Return the differences of one run."""
        return tuple(d for d in self.differences if d.run == run)
