"""Units of work, the workers that do them, and what runs the workers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from polypath.errors import PolypathError


class WorkerLost(PolypathError, RuntimeError):
    """A worker process ended while it was at work: killed, out of memory, or its machine was lost."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of work, which one worker does from its beginning to its end.

    Attributes:
        name: shown to the user; units of one executor have different ones.
        function: module-level; called in a worker, after the worker's state where it has one.
        arguments: its keyword arguments; they are pickled.
    """

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A unit that is over.

    Attributes:
        unit: which.
        value: what its function returned.
        error: what it raised instead.
        log: file with what its worker printed; ``None`` if nobody keeps it.
    """

    unit: Unit
    value: Any = None
    error: Exception | None = None
    log: Path | None = None


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What every worker of an executor is.

    Attributes:
        cpus: threads it computes with, >= 1, and CPUs of its node it takes.
        gpus: GPUs it takes, >= 0. With some, it takes and uses their share of the node's CPUs instead of
            ``cpus``.
        gpus_if_any: take no GPU in a cluster that has none, instead of refusing.
        environment: variables to set before anything is imported.
        log: file that receives what workers print, one a machine; by default wherever Ray or the
            terminal has it.
        folder: every worker must see this folder: units write there.
        state: called once in each worker before its first unit; functions get what it returns first.
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
        workers: units that run at once, at most; handing in more is allowed, they wait.
    """

    workers: int

    def submit(self, unit: Unit) -> None:
        """Take a unit, to be begun as soon as a worker is free; in the order of submission."""
        ...

    def finished(self, timeout: float) -> list[Finished]:
        """Return units that are over and were not returned before, as soon as there is one.

        Args:
            timeout: seconds to wait at most; then nothing is returned.

        Raises:
            WorkerLost: no worker is left, or none can begin.
            PolypathError: a worker refused its machine, or its state could not be made.
        """
        ...

    def close(self, *, kill: bool = False) -> None:
        """End all workers; with ``kill`` whatever they do, and what waits is never begun."""
        ...


def results(executor: Executor, units: Iterable[Unit]) -> Iterator[tuple[Unit, Any]]:
    """Run units and yield each with its value, as they finish.

    They are taken from ``units`` little by little: there may be millions.

    Raises:
        Exception: whatever a unit raised, at once.
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
