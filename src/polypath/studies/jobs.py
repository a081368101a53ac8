"""Run jobs that depend on each other in a few worker processes, with progress, and resumable.

A job is done when its result file exists, and it writes that file last and at once. So the same call
resumes a run that was interrupted or killed; finished jobs are skipped.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
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
        kind: jobs of one kind take about as long; the time left is estimated by it.
    """

    name: str
    function: Callable[..., None]
    arguments: Mapping[str, Any]
    result: Path
    after: tuple[str, ...] = ()
    total: int = 0
    done: Callable[[], int] | None = None
    kind: str = ""


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

    After a failure, jobs that do not need the failed one still run; the failure is raised at the end.

    Args:
        jobs: in the order they should start, dependencies allowing.
        workers: processes, >= 1; each uses one thread.
        log: file that receives everything the workers print.
        timings: JSON file of the seconds each job took; written after every job.
        console: for progress; ``None`` is a new one on standard output.

    Returns:
        What ``timings`` holds: seconds of each job, in this call or an earlier one.

    Raises:
        JobFailed: a job raised, or its process died, which stops the others as well. Jobs that were
            done stay done.
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
            scheduler = _Scheduler(
                pool=pool,
                workers=workers,
                jobs=jobs,
                waiting=waiting,
                seconds=seconds,
                progress=progress,
                console=console,
            )
            for _ in scheduler.run(log):
                write_json(timings, seconds)
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return seconds


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A job at work: its bar, and when it was started."""

    job: Job
    task: TaskID
    started: float


class _Scheduler:
    """Keeps ``workers`` jobs running until none is left; adds what each took to ``seconds``."""

    def __init__(
        self,
        *,
        pool: ProcessPoolExecutor,
        workers: int,
        jobs: Sequence[Job],
        waiting: list[Job],
        seconds: dict[str, float],
        progress: Progress,
        console: Console,
    ) -> None:
        self._pool, self._workers = pool, workers
        self._jobs, self._waiting, self._seconds = jobs, waiting, seconds
        self._progress, self._console = progress, console
        self._number = len(waiting)
        self._running: dict[Future[None], _Running] = {}
        self._overall = progress.add_task("all jobs", total=self._number)
        self._failures: list[str] = []
        self._never_run: list[Job] = []  # they need a job that failed

    def run(self, log: Path) -> Iterator[str]:
        """Yield the name of each job as it is done; ``log`` is named in errors.

        Raises:
            JobFailed: in the end, if jobs failed; at once, if a process died.
        """
        while self._waiting or self._running:
            self._start_ready()
            finished, _ = wait(self._running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._show()
            for future in finished:
                running = self._running.pop(future)
                self._progress.remove_task(running.task)
                self._progress.advance(self._overall)
                name, seconds = running.job.name, time.monotonic() - running.started
                if reason := self._why_failed(name, future, log):
                    self._failures.append(f"{name} failed: {reason} (its output is in {log})")
                    self._drop_those_after(running.job)
                    self._tell(f"[red]failed[/] {name}: {escape(reason)}")
                else:
                    self._seconds[name] = seconds
                    self._tell(f"[green]done[/] {name} ({seconds:.0f} s)")
                    yield name
        if self._failures:
            others = len(self._never_run)
            dropped = f" {others} jobs that need them were not run." if others else ""
            raise JobFailed(
                f"{'; '.join(self._failures)}.{dropped} Run the same command again to try them again."
            )

    def _show(self) -> None:
        for running in self._running.values():
            if running.job.done is not None:
                self._progress.update(running.task, completed=running.job.done())
        self._progress.update(self._overall, description=f"all jobs{self._left()}")

    def _tell(self, what: str) -> None:
        left = len(self._waiting) + len(self._running)
        number = self._number - left - len(self._never_run)
        self._console.print(f"{what} [dim]{number} of {self._number}{self._left()}[/]")

    def _left(self) -> str:
        seconds = time_left(
            self._jobs,
            self._waiting,
            {r.job.name: time.monotonic() - r.started for r in self._running.values()},
            self._seconds,
            self._workers,
        )
        if seconds is None:
            return ""
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else ", < 2 min left"

    def _start_ready(self) -> None:
        unfinished = {job.name for job in self._waiting}
        unfinished |= {running.job.name for running in self._running.values()}
        for job in list(self._waiting):
            if len(self._running) >= self._workers:
                return
            if unfinished.isdisjoint(job.after):
                self._waiting.remove(job)
                task = self._progress.add_task(job.name, total=job.total or None)
                future = self._pool.submit(job.function, **job.arguments)
                self._running[future] = _Running(job=job, task=task, started=time.monotonic())

    def _why_failed(self, name: str, future: "Future[None]", log: Path) -> str:
        """Return why a job failed, in one line; empty if it did not.

        Raises:
            JobFailed: its process died, and the pool with it.
        """
        try:
            future.result()
        except BrokenProcessPool as error:
            raise JobFailed(
                f"{name} died without a word (killed, or out of memory). Its output is in {log}. "
                "Run the same command again to resume."
            ) from error
        except Exception as error:
            return " ".join(str(error).split()) or type(error).__name__
        return ""

    def _drop_those_after(self, failed: Job) -> None:
        gone = {failed.name}
        while late := [job for job in self._waiting if gone.intersection(job.after)]:
            for job in late:
                self._waiting.remove(job)
                self._never_run.append(job)
                gone.add(job.name)


def time_left(
    jobs: Sequence[Job],
    waiting: Sequence[Job],
    running: Mapping[str, float],
    seconds: Mapping[str, float],
    workers: int,
) -> float | None:
    """Estimate the seconds until all jobs are done, by what jobs of the same kind took.

    Args:
        jobs: all of them, done ones too.
        waiting: not begun yet.
        running: name -> seconds since it was started.
        seconds: name -> what it took, of finished jobs.
        workers: that share the rest.

    Returns:
        None while nothing is known of some job's kind. A job at work whose progress is known counts by
        its own pace, and tells of its kind until one has finished.
    """
    of_kind: dict[str, list[float]] = {}
    for job in jobs:
        if job.kind and job.name in seconds:
            of_kind.setdefault(job.kind, []).append(seconds[job.name])
    known = {kind: sum(times) / len(times) for kind, times in of_kind.items()}
    rest: list[float] = []
    for job in (job for job in jobs if job.name in running):
        units = job.done() if job.done is not None and job.total else 0
        if units > 0:
            whole = running[job.name] * job.total / min(units, job.total)
            if job.kind:
                known.setdefault(job.kind, whole)
        elif job.kind in known:
            whole = known[job.kind]
        else:
            return None
        rest.append(max(0.0, whole - running[job.name]))
    if any(job.kind not in known for job in waiting):
        return None
    total = sum(rest) + sum(known[job.kind] for job in waiting)
    return max([total / workers, *rest])


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
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.environ["ACCELERATE_USE_CPU"] = "true"
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, by a job that needs it
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _leave_with(parent: int) -> None:
    """Exit when the parent was killed: a worker left behind would train on, unseen."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
