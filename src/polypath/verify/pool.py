"""Verify in processes that can be killed, so that no completion hangs or ends a training run.

Mathematics libraries limit their time with ``SIGALRM``, which works in a main thread only. In a reward
function that runs in a thread or a Ray actor they hang, or turn every reward into 0. Here the verifier
runs in its own processes, started fresh (no fork of a threaded parent, no import of the user's
``__main__``), and every item has its own deadline.
"""

import json
import os
import threading
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.verify.base import Status, Verdict
from polypath.verify.crew import Crew

GIB = 2**30
MOST_WORKERS = 8


def default_workers() -> int:
    """Workers of one pool: this rank's share of the usable CPUs, between 1 and 8."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ranks = os.environ.get("LOCAL_WORLD_SIZE", "1")
    share = (usable or 1) // max(1, int(ranks) if ranks.isdecimal() else 1)
    return max(1, min(MOST_WORKERS, share))


class WorkerPool:
    """Verifies completions in worker processes.

    Processes start when first needed. They end with ``close``, with the pool, or with this process,
    however it ends. A fork of this process gets its own workers. Any number of threads may verify at
    once.

    Args:
        verifier: ``"module:factory"``. In a worker, ``factory(**options)`` returns a callable
            ``(completion, gold) -> Verdict``. It must leave ``SIGALRM`` and ``SIGPROF`` alone.
        options: keyword arguments of the factory; anything JSON can hold.
        workers: most processes, >= 1; ``None`` for ``default_workers()``.
        deadline: seconds of processor time one item may take, > 0. It is counted per item, never per
            batch, so a verdict does not depend on the machine's other load. An item over the deadline,
            or one that takes ten times as long by the clock, is ``Status.TIMEOUT``.
        memory_bytes: memory an item may use beyond that of the loaded verifier (Linux); an item that
            asks for more is ``Status.ERROR``.

    Attributes:
        counts: verdicts so far, by status.

    Raises:
        ConfigError: if a setting is out of range, or ``options`` cannot be sent.
    """

    def __init__(
        self,
        verifier: str,
        *,
        options: Mapping[str, Any] | None = None,
        workers: int | None = None,
        deadline: float = 5.0,
        memory_bytes: int = 2 * GIB,
    ) -> None:
        workers = default_workers() if workers is None else workers
        self._settings = _check_settings(verifier, options or {}, workers, deadline, memory_bytes)
        self.workers = workers
        self._start_crew(closed=False)
        _POOLS.add(self)

    @property
    def counts(self) -> Counter[Status]:
        """A copy of the number of verdicts so far, by status."""
        return self._crew.copy_counts()

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the running workers."""
        return [worker.pid for worker in self._crew.workers_up()]

    def verify(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify each completion against its own gold; the order is kept.

        Whatever a completion does to its worker, the others are not affected. Over the deadline is
        ``TIMEOUT``; an exception, too much memory or a crash is ``ERROR``.

        Raises:
            ShapeError: if the lengths differ.
            DataError: if something is not text.
            PolypathError: if the verifier cannot be built, or the pool is closed.
        """
        _check_texts(completions, golds)
        return self._crew.verify(completions, golds)

    def close(self) -> None:
        """End the workers. Waiting calls raise, and so do later ones."""
        self._crew.stop(join=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_crew(self, *, closed: bool) -> None:
        self._crew = Crew(self._settings, self.workers, closed=closed)
        self._finalizer = weakref.finalize(self, Crew.stop, self._crew)

    def _after_fork(self) -> None:
        """In a forked child: leave the parent's workers to the parent and start without any."""
        self._finalizer.detach()
        for worker in self._crew.workers_up():
            worker.disown()
        self._start_crew(closed=self._crew.closed)


def _check_texts(completions: Sequence[str], golds: Sequence[str]) -> None:
    if len(completions) != len(golds):
        raise ShapeError(
            f"completions and golds must have the same length, got {len(completions)} and "
            f"{len(golds)}. Give each completion its own gold."
        )
    for name, texts in (("completions", completions), ("golds", golds)):
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(
                    f"{name}[{index}] must be text, got {type(text).__name__}. "
                    "Decode tokens and take the content of messages first."
                )


def _check_settings(
    verifier: str, options: Mapping[str, Any], workers: int, deadline: float, memory_bytes: int
) -> dict[str, Any]:
    module, colon, name = verifier.partition(":")
    if not (module and colon and name.isidentifier()):
        raise ConfigError(
            f"verifier must be 'module:factory', got {verifier!r}. "
            "Example: 'polypath.verify.math:math_verifier'."
        )
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}.")
    if not 0 < deadline < float("inf"):
        raise ConfigError(f"deadline must be a number of seconds above 0, got {deadline}.")
    if memory_bytes < 1:
        raise ConfigError(f"memory_bytes must be at least 1, got {memory_bytes}.")
    try:
        sent = json.loads(json.dumps(dict(options)))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"options of the verifier {verifier!r} must be JSON values, got {options!r}: {error}."
        ) from None
    return {
        "verifier": verifier,
        "options": sent,
        "deadline": float(deadline),
        "memory_bytes": int(memory_bytes),
    }


_POOLS: "weakref.WeakSet[WorkerPool]" = weakref.WeakSet()
_SHARED: dict[str, WorkerPool] = {}
_SHARED_LOCK = threading.Lock()


def shared_pool(
    verifier: str,
    options: Mapping[str, Any] | None = None,
    *,
    workers: int | None = None,
    deadline: float = 5.0,
    memory_bytes: int = 2 * GIB,
) -> WorkerPool:
    """Return this process's pool for these arguments, the same one each time.

    It closes when the process ends; there is no need to close it earlier. Arguments and errors as in
    ``WorkerPool``.
    """
    wanted = WorkerPool(
        verifier, options=options, workers=workers, deadline=deadline, memory_bytes=memory_bytes
    )
    key = json.dumps([wanted._settings, wanted.workers], sort_keys=True)
    with _SHARED_LOCK:
        if key not in _SHARED or _SHARED[key]._crew.closed:
            _SHARED[key] = wanted
        return _SHARED[key]


def _after_fork_in_child() -> None:
    global _SHARED_LOCK
    _SHARED_LOCK = threading.Lock()  # another thread of the parent may have held it
    for pool in list(_POOLS):
        pool._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
