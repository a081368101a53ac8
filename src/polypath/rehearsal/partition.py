"""The set that each problem belongs to (near-perfect, exploration, hopeless, dropped), and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from polypath.errors import ConfigError, DataError
from polypath.rehearsal.settings import PresampleSettings


class ProblemSet(StrEnum):
    """The sets that a problem can belong to. Only near-perfect problems have rehearsal rows."""

    NEAR_PERFECT = "near_perfect"
    EXPLORATION = "exploration"
    HOPELESS = "hopeless"
    DROPPED = "dropped"


class Sampled(NamedTuple):
    """The fields of one sample that the partition needs."""

    sample_id: int
    correct: bool
    answer: str | None
    finish_reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """The set of one problem.

    Attributes:
        problem_id: id of the problem.
        problem_set: set that it belongs to.
        correct: number of the first ``sampled`` samples that were right.
        sampled: the settings' ``k``.
        chosen: numbers of the samples to rehearse; empty unless near-perfect.
    """

    problem_id: str
    problem_set: ProblemSet
    correct: int
    sampled: int
    chosen: tuple[int, ...] = ()


def count_correct(
    problem_ids: Sequence[str],
    samples: Mapping[str, Sequence[Sampled]],
    settings: PresampleSettings,
) -> dict[str, int]:
    """Count each problem's correct samples among its first ``settings.k``.

    Raises:
        DataError: one of these samples is missing.
    """
    counts = {}
    for problem_id in problem_ids:
        first = [s for s in samples.get(problem_id, ()) if s.sample_id < settings.k]
        if len(first) != settings.k:
            raise DataError(
                f"Problem {problem_id!r} has {len(first)} of its first {settings.k} samples."
            )
        counts[problem_id] = sum(s.correct for s in first)
    return counts


def near_perfect_candidates(counts: Mapping[str, int], settings: PresampleSettings) -> list[str]:
    """Return the problems that reach the threshold, before confirmation.

    Raises:
        ConfigError: there are none, so nothing could be rehearsed.
    """
    chosen = [problem_id for problem_id, c in counts.items() if c >= settings.threshold]
    if not chosen:
        reached = histogram(counts.values(), settings.k)
        shares = ", ".join(f"{c} of {settings.k}: {n}" for c, n in enumerate(reached) if n)
        best = max(counts.values(), default=0)
        fix = (
            f"threshold={best} would give {reached[best]} problem(s)"
            if best > 0
            else "no threshold would give any; use a stronger model or easier problems"
        )
        raise ConfigError(
            f"No problem reached threshold={settings.threshold}, so there is nothing to rehearse. "
            f"Problems by correct samples: {shares or 'none'}; {fix}."
        )
    return chosen


def partition(
    problem_ids: Sequence[str],
    samples: Mapping[str, Sequence[Sampled]],
    settings: PresampleSettings,
) -> list[Assignment]:
    """Assign every problem to a set.

    Samples 0..k-1 decide which problems are candidates, and samples k..k+confirm-1 confirm them. Further
    samples of a store are ignored, so the result depends on the settings only.

    Raises:
        ConfigError: no problem reaches the threshold, or none of those has a usable answer.
        DataError: a sample that the settings require is missing.
    """
    counts = count_correct(problem_ids, samples, settings)
    candidates = set(near_perfect_candidates(counts, settings))
    placed = [
        _place_candidate(pid, counts[pid], samples[pid], settings)
        if pid in candidates
        else _place_other(pid, counts[pid], settings)
        for pid in problem_ids
    ]
    if not any(assignment.chosen for assignment in placed):
        raise ConfigError(
            f"{len(candidates)} problem(s) reached threshold={settings.threshold}, but none has a "
            f"usable answer (confirm={settings.confirm}, truncated={settings.truncated!r}). Use "
            "more problems, a larger confirm or max_new_tokens, or truncated='allow'."
        )
    return placed


def histogram(counts: Iterable[int], k: int) -> list[int]:
    """Return how many problems have 0, 1, ..., k correct samples."""
    bins = [0] * (k + 1)
    for count in counts:
        bins[count] += 1
    return bins


def _place_candidate(
    problem_id: str, correct: int, samples: Sequence[Sampled], settings: PresampleSettings
) -> Assignment:
    ordered = sorted(samples)
    first = [s for s in ordered if s.sample_id < settings.k and _usable(s, settings)]
    last = settings.k + settings.confirm
    extra = [s for s in ordered if settings.k <= s.sample_id < last]
    if len(extra) != settings.confirm:
        raise DataError(
            f"Problem {problem_id!r} has {len(extra)} of its {settings.confirm} extra samples."
        )
    extra = [s for s in extra if _usable(s, settings)]
    # Without confirmation a candidate may have no usable answer, if all its answers were cut off.
    confirmed = bool(extra) if settings.confirm else bool(first)
    if confirmed:
        chosen = _choose([*extra, *first], settings)
        problem_set = ProblemSet.NEAR_PERFECT
    else:
        chosen = ()
        explore = settings.failed_confirm == "explore"
        problem_set = ProblemSet.EXPLORATION if explore else ProblemSet.DROPPED
    return Assignment(
        problem_id=problem_id,
        problem_set=problem_set,
        correct=correct,
        sampled=settings.k,
        chosen=chosen,
    )


def _place_other(problem_id: str, correct: int, settings: PresampleSettings) -> Assignment:
    problem_set = ProblemSet.EXPLORATION
    if correct == 0 and settings.hopeless != "keep":
        drop = settings.hopeless == "drop"
        problem_set = ProblemSet.DROPPED if drop else ProblemSet.HOPELESS
    return Assignment(
        problem_id=problem_id, problem_set=problem_set, correct=correct, sampled=settings.k
    )


def _usable(sample: Sampled, settings: PresampleSettings) -> bool:
    return sample.correct and (sample.finish_reason == "stop" or settings.truncated == "allow")


def _choose(usable: Sequence[Sampled], settings: PresampleSettings) -> tuple[int, ...]:
    """Take the first sample of each answer in the given order, then repeats, unless they are dropped."""
    drop = settings.repeated_answers == "drop"
    seen: set[str | None] = set()
    fresh: list[int] = []
    repeated: list[int] = []
    for sample in usable:
        # Two samples without a canonical answer cannot be told apart. It is unknown whether the second
        # repeats the first, so "keep" treats both as new, and "drop" stores one.
        known = sample.answer in seen and (drop or sample.answer is not None)
        (repeated if known else fresh).append(sample.sample_id)
        seen.add(sample.answer)
    chosen = fresh if drop else [*fresh, *repeated]
    return tuple(chosen[: settings.answers_per_problem])
