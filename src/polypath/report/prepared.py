"""A run ready to be measured (its seeds, each prepared), and the result: a value for each problem."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError, DataError
from polypath.metrics import (
    NO_SAMPLE,
    distinct_solutions_at_k,
    encode_solutions,
    pass_at_k_from_counts,
)
from polypath.report.model import FloatArray, Measure
from polypath.report.settings import AnalysisSettings, IntArray, Sizes
from polypath.rollouts.left_out import LeftOut
from polypath.rollouts.samples import Samples

BoolArray = npt.NDArray[np.bool_]
Seeds = tuple[Samples, ...]
Run = Samples | Sequence[Samples]

DRAWS = 16  # most random subsets, if there is no formula for fewer samples than there are

NO_VERDICT = (
    "no sample has a verdict (give a task to verify with, or a file with correct or reward)"
)
NO_ANSWER = "no sample has an answer (give a task to verify with, or a file with answer)"


def as_seeds(run: Run) -> Seeds:
    """Return the seeds of a run; a single file is one seed.

    Raises:
        ConfigError: no seed is given.
    """
    seeds = (run,) if isinstance(run, Samples) else tuple(run)
    if not seeds:
        raise ConfigError("A run must hold the samples of at least one seed, got none.")
    return seeds


def name_of(seeds: Seeds) -> str:
    """Return the name that the seeds share, or all their names."""
    return "+".join(dict.fromkeys(seed.name for seed in seeds))


def shared_problems(runs: Sequence[Seeds]) -> tuple[str, ...]:
    """Return the problems that every seed of every run has, in the order of the first.

    Raises:
        DataError: there are none.
    """
    seeds = list(chain.from_iterable(runs))
    ids = set(seeds[0].problem_ids)
    common = ids.intersection(*(seed.problem_ids for seed in seeds[1:]))
    if not common:
        other = next((seed for seed in seeds if ids.isdisjoint(seed.problem_ids)), seeds[-1])
        raise DataError(
            f"{seeds[0].name} and {other.name} share no problem: they have ids such as "
            f"{seeds[0].problem_ids[0]!r} and {other.problem_ids[0]!r}. Sample both on the same "
            "problems, or name the key of the problem's id."
        )
    return tuple(problem for problem in seeds[0].problem_ids if problem in common)


def pool(seeds: Seeds) -> Samples:
    """Join seeds that hold the same problems in the same order into one, seed after seed.

    Greedy samples are dropped, because a problem has one for each seed. The training log is the first seed's.

    Args:
        seeds: one or more.

    Returns:
        For each problem the completions of all seeds.
    """
    if len(seeds) == 1:
        return seeds[0]
    left_out = LeftOut()
    for seed in seeds:
        left_out.join(seed.left_out, seed.left_out_at)

    def joined(field: str) -> Any:
        rows = zip(*(getattr(seed, field) for seed in seeds), strict=True)
        return tuple(tuple(chain.from_iterable(row)) for row in rows)

    return replace(
        seeds[0],
        name=name_of(seeds),
        completions=joined("completions"),
        correct=joined("correct"),
        answers=joined("answers"),
        greedy_correct=None,
        left_out=dict(left_out),
        left_out_at=left_out.places,
    )


@dataclass(frozen=True, kw_only=True)
class ProblemValues(Measure):
    """One measure of one run, problem by problem.

    The measure is the sum of ``top_N`` divided by the sum of ``bottom_N``, over the problems where neither
    is NaN. Without ``bottom_N`` it is the mean of ``top_N``.

    Attributes:
        top_N: numerators, or values of a mean; NaN where undefined.
        bottom_N: denominators; ``None`` for a mean.
        family: name shared by measures that are corrected together because they are tested at several k; else
            empty.
        note: why it is undefined, or how many problems were left out; else empty.
    """

    top_N: FloatArray
    bottom_N: FloatArray | None = None
    family: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Prepared:
    """One seed of a run, ready to be measured: which samples are correct, and which solution each is.

    Attributes:
        samples: samples of the seed.
        sizes: number of samples that each kind of measure uses.
        settings: settings of intervals and draws.
    """

    samples: Samples
    sizes: Sizes
    settings: AnalysisSettings

    @cached_property
    def correct_N_S(self) -> BoolArray:
        """Which samples are correct; problems with fewer samples are padded with False."""
        return np.asarray(self._verdicts_N_S == 1)

    @cached_property
    def ids_N_S(self) -> IntArray:
        """Solution ids of all samples, from 0 in each problem; negative without an answer or sample."""
        return encode_solutions(self.samples.answers)

    @cached_property
    def verified_ids_N_S(self) -> IntArray:
        """Solution ids of the verified samples; the others are not counted at all."""
        return np.where(self._verdicts_N_S >= 0, self.ids_N_S, NO_SAMPLE)

    @cached_property
    def correct_ids_N_S(self) -> IntArray:
        """Solution ids of the correct samples only."""
        return np.where(self.correct_N_S, self.ids_N_S, NO_SAMPLE)

    @cached_property
    def _verdicts_N_S(self) -> IntArray:
        """1 for a correct sample, 0 for a wrong one, -1 without a verdict or sample."""
        verdicts_N_S = np.full(self.ids_N_S.shape, -1)
        for n, row in enumerate(self.samples.correct):
            verdicts_N_S[n, : len(row)] = [-1 if verdict is None else verdict for verdict in row]
        return verdicts_N_S

    @cached_property
    def greedy_N(self) -> FloatArray | None:
        """1 if the greedy sample is correct, else 0, NaN without a verdict; None if there are none."""
        greedy = self.samples.greedy_correct
        return None if greedy is None else np.array(greedy, dtype=np.float64)

    def pass_at(self, ks: Sequence[int]) -> FloatArray:
        """Return pass@k of each problem, ``(N, K)``; NaN if fewer than k samples are verified.

        Args:
            ks: K numbers of samples, each at least 1.
        """
        return pass_at_k_from_counts(self.samples.num_verified_N, self.samples.num_correct_N, ks)

    def distinct_at(self, ks: Sequence[int]) -> FloatArray:
        """Return the distinct correct solutions in k verified samples, ``(N, K)``.

        Args:
            ks: K numbers of samples, each at least 1.
        """
        return distinct_solutions_at_k(self.verified_ids_N_S, self.correct_N_S, ks)


def without_verdict(run: Prepared) -> str:
    """Return why measures of correctness are undefined; empty if they are defined."""
    return "" if run.samples.num_verified_N.any() else NO_VERDICT


def without_answer(run: Prepared) -> str:
    """Return why measures of answers are undefined; empty if they are defined."""
    return "" if (run.ids_N_S >= 0).any() else NO_ANSWER


def few(value_N: FloatArray, of: str) -> str:
    """Return how many problems have no value because they have too few of something; empty if none.

    Args:
        value_N: values by problem; NaN if there is none.
        of: number and name of what is needed, such as ``4 correct texts``.

    Returns:
        The note, such as ``left out 2 of 50 problems with fewer than 4 correct texts``.
    """
    missing = int(np.isnan(value_N).sum())
    if not missing:
        return ""
    one = of.startswith("1 ")
    which = f"without any {of[2:].removesuffix('s')}" if one else f"with fewer than {of}"
    return f"left out {missing:,} of {len(value_N):,} problems {which}"
