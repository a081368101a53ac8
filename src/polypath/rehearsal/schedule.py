"""The rehearsal rows that a training step uses: a pure function, so there is no state to save."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from polypath.errors import ConfigError

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True)
class RehearsalSchedule:
    """Walks through the rows in a shuffled order again and again, with a new order in each epoch.

    Step s takes places s*n .. s*n + n - 1 of one endless stream (n = ``rows_per_step``). The stream has
    every row once per epoch and continues over the border of two epochs. Rows of any step can be
    computed at any time, so a resumed run needs only its step number.

    Attributes:
        num_rows: rows of the rehearsal set, at least 1.
        rows_per_step: rows of one optimiser step over all processes and micro-steps, at least 1;
            it may exceed ``num_rows``.
        seed: seed of the order, at least 0.
    """

    num_rows: int
    rows_per_step: int
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("num_rows", 1), ("rows_per_step", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}.")

    def rows(self, step: int) -> list[int]:
        """Return the row numbers of one optimiser step, counted from 0.

        Raises:
            ConfigError: ``step`` is negative.
        """
        if step < 0:
            raise ConfigError(f"step must be at least 0, got {step}.")
        start = step * self.rows_per_step
        stop = start + self.rows_per_step
        taken: list[int] = []
        while start < stop:
            epoch, place = divmod(start, self.num_rows)
            piece = _epoch_order(self.num_rows, self.seed, epoch)[place : place + stop - start]
            taken.extend(piece.tolist())
            start += len(piece)
        return taken

    def part(
        self, step: int, micro_step: int, micro_steps: int, rank: int, world: int
    ) -> list[int]:
        """Return the part of a step's rows that one process uses in one micro-step.

        Over all micro-steps and ranks the parts join to ``rows(step)``, and their sizes differ by at most
        one. The last step of an epoch may have fewer micro-steps than the rows were made for.

        Args:
            step: the optimiser step, from 0.
            micro_step: in 0..micro_steps-1.
            micro_steps: gradient-accumulation steps of the optimiser step.
            rank: in 0..world-1.
            world: number of processes.

        Raises:
            ConfigError: a number is out of range, or there are fewer rows than parts.
        """
        if self.rows_per_step < micro_steps * world:
            raise ConfigError(
                f"rows_per_step={self.rows_per_step} leaves nothing to some of {micro_steps} "
                f"micro-step(s) x {world} process(es); use at least {micro_steps * world}."
            )
        return part_of(self.rows(step), micro_step, micro_steps, rank, world)


def part_of(
    rows: Sequence[Row], micro_step: int, micro_steps: int, rank: int, world: int
) -> list[Row]:
    """Return the part of a step's rows that one process uses in one micro-step.

    Arguments as for ``RehearsalSchedule.part``.

    Raises:
        ConfigError: a number is out of range.
    """
    if not (0 <= micro_step < micro_steps and 0 <= rank < world):
        raise ConfigError(
            f"micro_step must be in 0..{micro_steps - 1} and rank in 0..{world - 1}, "
            f"got {micro_step} and {rank}."
        )
    parts, part = micro_steps * world, micro_step * world + rank
    first, last = (n * len(rows) // parts for n in (part, part + 1))
    return list(rows[first:last])


@lru_cache(maxsize=8)
def _epoch_order(num_rows: int, seed: int, epoch: int) -> np.ndarray:
    order, _ = shuffled(num_rows, seed, epoch)
    order.setflags(write=False)  # shared by all callers of the cache
    return order


def shuffled(count: int, seed: int, number: int) -> tuple[np.ndarray, int]:
    """Return the numbers below ``count`` in random order, and one more random number.

    Numbers are shuffled by sorting random ones: numpy guarantees Philox's raw stream but not
    ``Generator.permutation``, and a resumed run may use another numpy.

    Args:
        count: how many.
        seed: chooses the order, at least 0.
        number: likewise, such as the number of an epoch.

    Returns:
        The order, and an integer in 0 .. 2^64 - 1.
    """
    key = np.random.SeedSequence([seed, number]).generate_state(2, np.uint64)
    raw = np.random.Philox(key=key).random_raw(count + 1)
    return np.argsort(raw[:count], kind="stable"), int(raw[count])
