"""Several processes as threads of one: what a gather returns is what a launcher's would."""

import threading
from collections.abc import Callable
from typing import Any

import torch


class Ranks:
    """Runs a function once for each rank, at the same time, and returns the results in order."""

    def __init__(self, world: int) -> None:
        self.world = world
        self._barrier = threading.Barrier(world, timeout=60)
        self._slots: list[Any] = [None] * world

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self._slots[rank] = value
        self._barrier.wait()
        everyone = list(self._slots)
        self._barrier.wait()  # nobody writes again before all have read
        return everyone

    def run(self, function: Callable[["Rank"], Any]) -> list[Any]:
        results: list[Any] = [None] * self.world
        errors: list[BaseException] = []

        def work(rank: int) -> None:
            try:
                results[rank] = function(Rank(self, rank))
            except BaseException as error:
                errors.append(error)
                self._barrier.abort()

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(self.world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise next(
                (e for e in errors if not isinstance(e, threading.BrokenBarrierError)), errors[0]
            )
        return results


class Rank:
    """One process: what the core calls ``Processes``."""

    def __init__(self, ranks: Ranks, rank: int) -> None:
        self._ranks, self.rank, self.world = ranks, rank, ranks.world

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.cat(self._ranks.exchange(self.rank, rows))

    def gather_objects(self, rows: list[Any]) -> list[Any]:
        return [row for part in self._ranks.exchange(self.rank, rows) for row in part]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return torch.stack(self._ranks.exchange(self.rank, values)).sum(dim=0)
