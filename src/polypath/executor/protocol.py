"""Units of work, the workers that do them, and what runs the workers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from polypath.errors import PolypathError


class WorkerLost(PolypathError, RuntimeError):
    """A worker process ended during its work: killed, out of memory, or its machine was lost."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of work, done by one worker from start to end.

    Attributes:
        name: shown to the user; unique within an executor.
        function: module-level; called in a worker, with the worker's state first if it has one.
        arguments: its keyword arguments; they are pickled.
    """

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished unit.

    Attributes:
        unit: the unit.
        value: what its function returned.
        error: what it raised instead.
        log: file with what its worker printed; ``None`` if that is not kept.
    """

    unit: Unit
    value: Any = None
    error: Exception | None = None
    log: Path | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """Settings of every worker of an executor.

    Attributes:
        cpus: threads it computes with and CPUs it reserves on its node, >= 1.
        gpus: GPUs it reserves, >= 0. If above 0, it reserves and uses their share of the node's CPUs
            instead of ``cpus``.
        gpus_if_any: run without a GPU in a cluster that has none, instead of refusing.
        environment: variables to set before anything is imported.
        log: file for what workers print, one per machine; by default Ray's own logs or the terminal.
        folder: units write there, so every worker must see it.
        state: called once in each worker before its first unit; its result is the first argument of
            every unit's function.
    """

    cpus: int = 1
    gpus: int = 0
    gpus_if_any: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    folder: Path | None = None
    state: Callable[[], Any] | None = None


class Executor(Protocol):
    """Runs units in worker processes.

    Attributes:
        workers: most units that run at once; more may be submitted, and wait.
    """

    workers: int

    def submit(self, unit: Unit) -> None:
        """Queue a unit; units start in the order of submission, as soon as a worker is free."""
        ...

    def finished(self, timeout: float) -> list[Finished]:
        """Wait for finished units, and return those not returned before.

        Args:
            timeout: most seconds to wait; after that the list is empty.

        Raises:
            WorkerLost: no worker is left, or none can start.
            PolypathError: a worker's machine does not fit, or its state could not be built.
        """
        ...

    def close(self, *, kill: bool = False) -> None:
        """End all workers; with ``kill`` even during a unit, and waiting units never start."""
        ...


def results(executor: Executor, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
    """Run units and yield each with its value, as they finish.

    ``units`` is read little by little: there may be millions.

    Raises:
        Exception: whatever a unit raised, as soon as it did.
    """
    left, waiting = iter(units), 0
    while True:
        while waiting < 2 * executor.workers and (unit := next(left, None)) is not None:
            executor.submit(unit)
            waiting += 1
        if not waiting:
            return
        for done in executor.finished(timeout=60.0):
            waiting -= 1
            if done.error is not None:
                raise done.error
            yield done.unit, done.value
