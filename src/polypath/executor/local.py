"""Worker processes of this machine."""

import multiprocessing
import os
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from polypath.executor.protocol import Finished, Unit, WorkerLost, WorkerSettings
from polypath.executor.worker import run_local, start_local


class LocalExecutor:
    """Runs units in processes on this machine, which end with this process.

    A worker that dies ends all of them: ``finished`` raises ``WorkerLost``.

    Args:
        settings: for every worker. GPUs are not assigned here, so it must ask for none.
        workers: most processes, >= 1.
        start_method: of ``multiprocessing``. Spawned workers inherit nothing. A fork starts at once, but of
            a process that has used threads or a GPU it can hang.
    """

    def __init__(
        self, settings: WorkerSettings, workers: int, *, start_method: str = "spawn"
    ) -> None:
        self.workers = workers
        self._settings = settings
        self._pool = ProcessPoolExecutor(
            max_workers=workers,
            mp_context=multiprocessing.get_context(start_method),
            initializer=start_local,
            initargs=(settings, os.getpid()),
        )
        self._running: dict[Future[Any], Unit] = {}

    def submit(self, unit: Unit) -> None:
        """Queue a unit; see ``Executor``."""
        stateful = self._settings.state is not None
        future = self._pool.submit(run_local, unit.function, unit.arguments, stateful=stateful)
        self._running[future] = unit

    def finished(self, timeout: float) -> list[Finished]:
        """Return finished units; see ``Executor``."""
        over, _ = wait(self._running, timeout=timeout, return_when=FIRST_COMPLETED)
        return [self._result(future) for future in over]

    def close(self, *, kill: bool = False) -> None:
        """End all workers; see ``Executor``."""
        if kill:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _result(self, future: "Future[Any]") -> Finished:
        unit, log = self._running.pop(future), self._settings.log
        try:
            return Finished(unit=unit, value=future.result(), log=log)
        except BrokenProcessPool as error:
            where = "" if log is None else f" Its output is in {log}."
            raise WorkerLost(
                f"{unit.name} died without a word (killed, or out of memory).{where}"
            ) from error
        except Exception as error:
            return Finished(unit=unit, error=error, log=log)
