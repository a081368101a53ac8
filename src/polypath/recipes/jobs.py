"""Run jobs that depend on each other in a few worker processes, with progress, and resumable.

A job is done when its result file exists, and it writes that file last and at once. So a run that
was interrupted or killed goes on where it was, whatever was finished before.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from polypath.errors import PolypathError
from polypath.rollouts.files import write_json

POLL_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work.

    Attributes:
        name: unique, shown to the user.
        function: module-level function, called in a worker process.
        arguments: its keyword arguments.
        result: file that exists exactly when the job is done.
        after: names of jobs that must be done first.
        total: units of progress, 0 when unknown.
        done: returns the units done so far; called in the parent while the job runs.
    """

    name: str
    function: Callable[..., None]
    arguments: Mapping[str, Any]
    result: Path
    after: tuple[str, ...] = ()
    total: int = 0
    done: Callable[[], int] | None = field(default=None)


class JobFailed(PolypathError, RuntimeError):
    """A job raised; the message says which, why, and where its output is."""


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int,
    log: Path,
    timings: Path,
    console: Console | None = None,
) -> dict[str, float]:
    """Run every job whose result is missing, each after those it depends on.

    Args:
        jobs: in the order they should start, dependencies allowing.
        workers: processes, >= 1; each uses one thread.
        log: file that receives everything the workers print.
        timings: JSON file of the seconds each job took; written after every job.
        console: for progress; ``None`` is a new one on standard output.

    Returns:
        What ``timings`` holds: seconds of each job, in this call or an earlier one.

    Raises:
        JobFailed: a job raised. Jobs that were done stay done.
        KeyboardInterrupt: after the workers were stopped.
    """
    console = console or Console()
    waiting = [job for job in jobs if not job.result.exists()]
    if len(waiting) < len(jobs):
        console.print(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs were done before.")
    seconds: dict[str, float] = json.loads(timings.read_text()) if timings.is_file() else {}
    if not waiting:
        return seconds
    log.parent.mkdir(parents=True, exist_ok=True)
    pool = ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(str(log), os.getpid()),
    )
    try:
        with _progress(console) as progress:
            scheduler = _Scheduler(pool, workers, waiting, log, progress, console)
            for name, taken in scheduler.run():
                seconds[name] = taken
                write_json(timings, seconds)
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return seconds


class _Scheduler:
    """Keeps ``workers`` jobs running until none is left."""

    def __init__(
        self,
        pool: ProcessPoolExecutor,
        workers: int,
        waiting: list[Job],
        log: Path,
        progress: Progress,
        console: Console,
    ) -> None:
        self._pool, self._workers, self._log = pool, workers, log
        self._progress, self._console = progress, console
        self._waiting = waiting
        self._running: dict[Future[None], tuple[Job, TaskID, float]] = {}
        self._overall = progress.add_task("all jobs", total=len(waiting))

    def run(self) -> Iterator[tuple[str, float]]:
        """Yield name and seconds of each job as it is done."""
        while self._waiting or self._running:
            self._start_ready()
            finished, _ = wait(self._running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for job, task, _ in self._running.values():
                if job.done is not None:
                    self._progress.update(task, completed=job.done())
            for future in finished:
                job, task, started = self._running.pop(future)
                self._raise_if_failed(job, future)
                seconds = time.monotonic() - started
                self._progress.remove_task(task)
                self._progress.advance(self._overall)
                self._console.print(f"[green]done[/] {job.name} ({seconds:.0f} s)")
                yield job.name, seconds

    def _start_ready(self) -> None:
        unfinished = {job.name for job in self._waiting}
        unfinished |= {job.name for job, _, _ in self._running.values()}
        for job in list(self._waiting):
            if len(self._running) >= self._workers:
                return
            if unfinished.isdisjoint(job.after):
                self._waiting.remove(job)
                task = self._progress.add_task(job.name, total=job.total or None)
                future = self._pool.submit(job.function, **job.arguments)
                self._running[future] = (job, task, time.monotonic())

    def _raise_if_failed(self, job: Job, future: "Future[None]") -> None:
        try:
            future.result()
        except BrokenProcessPool as error:
            raise JobFailed(
                f"{job.name} died without a word (killed, or out of memory). Its output is in "
                f"{self._log}. Run the same command again to go on."
            ) from error
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise JobFailed(
                f"{job.name} failed: {reason} (its output is in {self._log})"
            ) from error


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _start_worker(log: str, parent: int) -> None:
    """Set up a worker: output to the log, one thread, gone when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and kills
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.environ["ACCELERATE_USE_CPU"] = "true"
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _leave_with(parent: int) -> None:
    """Exit when the parent was killed: a worker left behind would train on, unseen."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
