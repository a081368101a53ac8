"""How runs are measured: the user's choices, and the sample sizes that follow from the runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError, DataError
from polypath.metrics.bootstrap import check_resampling
from polypath.rollouts.samples import Samples

IntArray = npt.NDArray[np.int64]

TEXT_SAMPLES = 16
CORRECT_SAMPLES = 4


@dataclass(frozen=True, kw_only=True)
class AnalysisSettings:
    """How runs are measured.

    Attributes:
        ks: the k of pass@k and similar metrics, each at least 1; ``None`` uses 1, 2, 4, ... up to the fewest
            samples of a problem. Problems with fewer than k samples are left out at that k, and counted.
        level: confidence level of intervals and tests, in (0, 1).
        seed: seed of the bootstrap and of all draws, at least 0.
        num_resamples: number of bootstrap resamples, at least 100.
        text_samples: samples per problem for measures of diversity, at least 2, so that runs and problems
            with different numbers can be compared; ``None`` uses 16, or the fewest samples of a problem.
        correct_samples: the same for correct samples only; ``None`` uses 4. Problems with fewer are left
            out, and counted.

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
        check_resampling(self.level, self.num_resamples)
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}.")
        for name in ("text_samples", "correct_samples"):
            value = getattr(self, name)
            if value is not None and value < 2:
                raise ConfigError(
                    f"{name} must be at least 2, got {value}: one text has no diversity."
                )

    @property
    def resampling(self) -> dict[str, Any]:
        """Return the arguments that every bootstrap takes."""
        return {"level": self.level, "num_resamples": self.num_resamples, "seed": self.seed}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many samples each kind of measure uses, the same for all runs of a comparison.

    Attributes:
        ks: k of pass@k and similar metrics, in tables.
        curve_ks: the same for curves.
        potential_ks: the same for Potential@k.
        keep_k: number of samples in which a problem counts as solved, in the keep and explore shares.
        text: number of texts for measures over all samples.
        correct: number of texts or answers for measures over correct samples.
    """

    ks: tuple[int, ...]
    curve_ks: tuple[int, ...]
    potential_ks: tuple[int, ...]
    keep_k: int
    text: int
    correct: int


def choose_sizes(
    runs: Sequence[Samples], settings: AnalysisSettings
) -> tuple[Sizes, tuple[str, ...]]:
    """Choose sizes at which all seeds of all runs can be measured.

    Args:
        runs: all seeds of all runs; at least one.
        settings: what the user chose.

    Returns:
        The sizes, and a note if the fewest samples of a problem limit k.

    Raises:
        DataError: a requested k is more than the samples of any problem of some run.
    """
    counts = [run.num_verified_N if run.num_verified_N.any() else run.num_samples_N for run in runs]
    fewest = _fewest(counts)
    most_by_run = [int(count_N.max()) for count_N in counts]
    notes: tuple[str, ...] = ()
    if settings.ks is None:
        ks = ladder(fewest)
        if fewest < max(most_by_run):
            notes = (_limit(runs, counts, fewest),)
    else:
        ks = tuple(sorted(set(settings.ks)))
        most = min(most_by_run)
        if ks[-1] > most:
            raise DataError(
                f"{runs[most_by_run.index(most)].name} has at most {most} verified samples of a "
                f"problem, so nothing can be said about k = {ks[-1]}. Use k <= {most}, or sample "
                "more."
            )
    fewest_texts = _fewest([run.num_samples_N for run in runs])
    sizes = Sizes(
        ks=ks,
        curve_ks=ladder(ks[-1], finer=True),
        # An estimate without bias needs one sample more than k.
        potential_ks=(max((k for k in ks if k < fewest), default=ks[-1]),),
        # Twice as many are needed to say what fresh samples of the base would keep.
        keep_k=max((k for k in ks if 2 * k <= fewest), default=ks[0]),
        text=settings.text_samples or max(2, min(TEXT_SAMPLES, fewest_texts)),
        correct=settings.correct_samples or CORRECT_SAMPLES,
    )
    return sizes, notes


def ladder(largest: int, *, finer: bool = False) -> tuple[int, ...]:
    """Return 1, 2, 4, ... and the largest itself; with ``finer`` also 3, 6, 12, ...

    Args:
        largest: at least 1.
        finer: whether to add the numbers between powers of two.

    >>> ladder(10), ladder(10, finer=True)
    ((1, 2, 4, 8, 10), (1, 2, 3, 4, 6, 8, 10))
    """
    steps = [2**i for i in range(largest.bit_length())] + [largest]
    if finer:
        steps += [3 * 2**i for i in range(largest.bit_length())]
    return tuple(sorted({k for k in steps if k <= largest}))


def _fewest(counts: Sequence[IntArray]) -> int:
    """Return the fewest samples of a problem in any run, among the problems that have samples."""
    return min(int(count_N[count_N > 0].min()) for count_N in counts)


def _limit(runs: Sequence[Samples], counts: Sequence[IntArray], fewest: int) -> str:
    short = [np.flatnonzero(count_N == fewest) for count_N in counts]
    run, short_N = next((run, at_N) for run, at_N in zip(runs, short, strict=True) if len(at_N))
    who = f"problem {run.problem_ids[int(short_N[0])]!r} of {run.name} has"
    if len(short_N) > 1:
        who = f"{len(short_N):,} problems of {run.name} have"
    most = max(int(count_N.max()) for count_N in counts)
    return (
        f"k stops at {fewest}, the fewest verified samples: {who} no more, others up to {most}. "
        f"Request a larger k to leave out the problems with fewer."
    )
