"""The interface to the other processes that a step needs."""

from typing import Any, Protocol

from torch import Tensor


class Processes(Protocol):
    """The processes that train together. Results of ``gather`` are in the order of ranks."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        ...

    @property
    def world(self) -> int:
        """Number of processes."""
        ...

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of all processes, joined along the first axis. Each must have equally many."""
        ...

    def gather_objects(self, rows: list[Any]) -> list[Any]:
        """Return the picklable rows of all processes as one list."""
        ...

    def sum(self, values: Tensor) -> Tensor:
        """Return the elementwise sum over all processes."""
        ...


class SingleProcess:
    """One process that trains alone."""

    rank = 0
    world = 1

    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows."""
        return rows

    def gather_objects(self, rows: list[Any]) -> list[Any]:
        """Return the rows."""
        return rows

    def sum(self, values: Tensor) -> Tensor:
        """Return the values."""
        return values
