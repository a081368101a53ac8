"""A run to be measured: the samples of one file, or of several seeds of one method."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from polypath.errors import ConfigError, DataError
from polypath.rollouts.samples import Samples

Seeds = tuple[Samples, ...]
Run = Samples | Sequence[Samples]


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
    common = set(seeds[0].problem_ids).intersection(*(seed.problem_ids for seed in seeds[1:]))
    if not common:
        other = next(
            (seed for seed in seeds[1:] if not set(seed.problem_ids) & set(seeds[0].problem_ids)),
            seeds[-1],
        )
        raise DataError(
            f"{seeds[0].name} and {other.name} share no problem: they have ids such as "
            f"{seeds[0].problem_ids[0]!r} and {other.problem_ids[0]!r}. Sample both on the same "
            "problems, or name the key of the problem's id."
        )
    return tuple(problem for problem in seeds[0].problem_ids if problem in common)


def pool(seeds: Seeds) -> Samples:
    """Join seeds that hold the same problems in the same order into one, seed after seed.

    Greedy samples are dropped, as a problem has one of each seed; the training log is the first's.
    """
    if len(seeds) == 1:
        return seeds[0]
    left_out: Counter[str] = Counter()
    for seed in seeds:
        left_out.update(seed.left_out)

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
    )
