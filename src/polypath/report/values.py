"""Every measure of a run, as values per problem: what intervals and paired tests start from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError, DataError
from polypath.metrics import (
    NO_SAMPLE,
    distinct_solutions_at_k,
    encode_solutions,
    pass_at_k_from_counts,
)
from polypath.rollouts.samples import Samples

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

TEXT_SAMPLES = 16
CORRECT_SAMPLES = 4
DRAWS = 16  # random subsets at most, where there is no formula for fewer samples than there are

NO_VERDICT = (
    "no sample has a verdict (give a task to verify with, or a file with correct or reward)"
)
NO_ANSWER = "no sample has an answer (give a task to verify with, or a file with answer)"


@dataclass(frozen=True, kw_only=True)
class AnalysisSettings:
    """How runs are measured.

    Attributes:
        ks: of pass@k and its kin; None takes 1, 2, 4, ... up to the fewest samples of a problem.
            Problems with fewer samples than an asked-for k are left out of it, and counted.
        level: confidence level of intervals and tests, in (0, 1).
        seed: of the resampling and of all draws.
        num_resamples: of the bootstrap, at least 100.
        text_samples: number of samples that measures of diversity are taken at, so that runs and
            problems with different numbers compare: the value expected of so many of a problem's
            samples. None takes 16, or the fewest samples of a problem.
        correct_samples: the same for measures over correct samples only; None takes 4. Problems
            with fewer correct samples are left out of these measures, and counted.

    Raises:
        ConfigError: a value is out of range.
    """

    ks: tuple[int, ...] | None = None
    level: float = 0.95
    seed: int = 0
    num_resamples: int = 10_000
    text_samples: int | None = None
    correct_samples: int | None = None

    def __post_init__(self) -> None:
        if self.ks is not None and (not self.ks or min(self.ks) < 1):
            raise ConfigError(f"k must be one or more integers of at least 1, got {self.ks}.")
        if not 0 < self.level < 1:
            raise ConfigError(
                f"level must be between 0 and 1, got {self.level}. Use 0.95 for 95 %."
            )
        if self.num_resamples < 100:
            raise ConfigError(f"num_resamples must be at least 100, got {self.num_resamples}.")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}.")
        for name in ("text_samples", "correct_samples"):
            value = getattr(self, name)
            if value is not None and value < 2:
                raise ConfigError(
                    f"{name} must be at least 2, got {value}: one text has no diversity."
                )


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many samples each kind of measure looks at, the same for all runs of a comparison."""

    ks: tuple[int, ...]
    curve_ks: tuple[int, ...]
    potential_k: int
    keep_k: int
    text: int
    correct: int


@dataclass(frozen=True, kw_only=True)
class Values:
    """One measure of one run, problem by problem.

    The measure is the sum of ``top_N`` by the sum of ``bottom_N``, over the problems where neither
    is NaN; without ``bottom_N``, the mean of ``top_N``. ``family`` joins what is corrected together
    for being tested at several k. The other fields are those of ``Metric``.
    """

    key: str
    label: str
    group: str
    over: str
    higher_is: str
    top_N: FloatArray
    bottom_N: FloatArray | None = None
    k: int = 0
    family: str = ""
    note: str = ""


class Prepared:
    """A run ready to be measured: counts, solution ids, and the texts drawn from it."""

    def __init__(self, samples: Samples, sizes: Sizes, settings: AnalysisSettings) -> None:
        self.samples = samples
        self.sizes = sizes
        self.settings = settings

    @cached_property
    def judged_N_S(self) -> BoolArray:
        """Which samples have a verdict."""
        return self._grid(lambda verdict: verdict is not None)

    @cached_property
    def correct_N_S(self) -> BoolArray:
        """Which samples are correct."""
        return self._grid(lambda verdict: verdict is True)

    @cached_property
    def ids_N_S(self) -> IntArray:
        """Solution ids of all samples."""
        return encode_solutions(self.samples.answers)

    @cached_property
    def judged_ids_N_S(self) -> IntArray:
        """Solution ids of the judged samples; the others do not exist as far as counting goes."""
        return np.where(self.judged_N_S, self.ids_N_S, NO_SAMPLE)

    @cached_property
    def correct_ids_N_S(self) -> IntArray:
        """Solution ids of the correct samples alone."""
        return np.where(self.correct_N_S, self.ids_N_S, NO_SAMPLE)

    def pass_at(self, ks: Sequence[int]) -> FloatArray:
        """Return pass@k of each problem, ``(N, K)``; NaN where fewer than k samples are judged."""
        n_N = self.samples.num_verified_N
        value_N_K = pass_at_k_from_counts(n_N, self.samples.num_correct_N, ks)
        return np.where(n_N[:, None] > 0, value_N_K, np.nan)

    def distinct_at(self, ks: Sequence[int]) -> FloatArray:
        """Return the distinct correct solutions in k judged samples, ``(N, K)``."""
        return distinct_solutions_at_k(self.judged_ids_N_S, self.correct_N_S, ks)

    def _grid(self, is_so: Callable[[bool | None], bool]) -> BoolArray:
        rows = self.samples.correct
        grid_N_S = np.zeros((len(rows), max((len(row) for row in rows), default=0)), dtype=np.bool_)
        for n, row in enumerate(rows):
            grid_N_S[n, : len(row)] = [is_so(verdict) for verdict in row]
        return grid_N_S


def choose_sizes(
    runs: Sequence[Samples], settings: AnalysisSettings
) -> tuple[Sizes, tuple[str, ...]]:
    """Choose sizes that all runs can be measured at, and say what limits them.

    Raises:
        DataError: an asked-for k is more than any problem of some run has samples.
    """
    counts = [_counts(run) for run in runs]
    fewest = min(int(count_N.min()) for count_N in counts)
    most = min(int(count_N.max()) for count_N in counts)
    notes = []
    if settings.ks is None:
        ks = ladder(fewest)
        if fewest < max(int(count_N.max()) for count_N in counts):
            notes.append(_limit(runs, counts, fewest))
    else:
        ks = tuple(sorted(set(settings.ks)))
        if ks[-1] > most:
            run = runs[int(np.argmin([count_N.max() for count_N in counts]))]
            raise DataError(
                f"{run.name} has at most {most} judged samples of a problem, so nothing can be said "
                f"about k = {ks[-1]}. Ask for k <= {most}, or sample more."
            )
    texts = [run.num_samples_N[run.num_samples_N > 0] for run in runs]
    fewest_texts = min(int(count_N.min()) for count_N in texts)
    text = settings.text_samples or min(TEXT_SAMPLES, fewest_texts)
    correct = settings.correct_samples or CORRECT_SAMPLES
    return (
        Sizes(
            ks=ks,
            curve_ks=ladder(ks[-1], finer=True),
            # One sample beyond k is needed for an estimate without bias.
            potential_k=max((k for k in ks if k < fewest), default=ks[-1]),
            # Twice as many are needed to say what luck alone would keep.
            keep_k=max((k for k in ks if 2 * k <= fewest), default=ks[0]),
            text=max(2, text),
            correct=max(2, correct),
        ),
        tuple(notes),
    )


def ladder(largest: int, *, finer: bool = False) -> tuple[int, ...]:
    """Return 1, 2, 4, ... and the largest itself; finer, also 3, 6, 12, ...

    >>> ladder(10), ladder(10, finer=True)
    ((1, 2, 4, 8, 10), (1, 2, 3, 4, 6, 8, 10))
    """
    steps = [2**i for i in range(largest.bit_length())] + [largest]
    if finer:
        steps += [3 * 2**i for i in range(largest.bit_length())]
    return tuple(sorted({k for k in steps if k <= largest}))


def _counts(run: Samples) -> IntArray:
    """Judged samples of the problems that have any; all samples where none is judged at all."""
    judged_N = run.num_verified_N
    some_N = judged_N if judged_N.any() else run.num_samples_N
    return some_N[some_N > 0]


def _limit(runs: Sequence[Samples], counts: Sequence[IntArray], fewest: int) -> str:
    run = next(run for run, count in zip(runs, counts, strict=True) if count.min() == fewest)
    judged_N = run.num_verified_N if run.num_verified_N.any() else run.num_samples_N
    short_N = np.flatnonzero(judged_N == fewest)
    who = f"problem {run.problem_ids[int(short_N[0])]!r} of {run.name} has"
    if len(short_N) > 1:
        who = f"{len(short_N):,} problems of {run.name} have"
    most = max(int(count.max()) for count in counts)
    return (
        f"k stops at {fewest}, the fewest judged samples: {who} no more, others up to {most}. "
        f"Ask for a larger k to leave out the problems with fewer."
    )


def unjudged(run: Prepared) -> str:
    """Return the reason why nothing can be said of correct samples; empty if it can."""
    return "" if run.samples.num_verified_N.any() else NO_VERDICT


def few(value_N: FloatArray, of: str) -> str:
    """Say how many problems have no value, as they have fewer of something; empty if none."""
    missing = int(np.isnan(value_N).sum())
    if not missing:
        return ""
    which = (
        f"without any {of[2:].removesuffix('s')}"
        if of.startswith("1 ")
        else f"with fewer than {of}"
    )
    return f"left out {missing:,} of {len(value_N):,} problems {which}"
