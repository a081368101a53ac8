"""Run jobs that depend on each other in a few worker processes, with progress. Runs can be resumed.

A job is done if its result file exists. It writes that file last, in one step. So the same call resumes
a run that was interrupted or killed, and finished jobs are skipped.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
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
from rich.text import Text

from polypath.credentials import one_line
from polypath.errors import PolypathError
from polypath.rollouts.files import write_json
from polypath.terminal import visible

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
        total: units of progress, 0 if unknown.
        done: returns the units done so far; called in the parent while the job runs.
        kind: jobs of one kind take about equally long; the time left is estimated by kind.
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
    """A job failed. The message says which one, why, and where its output is."""


def run_jobs(
    jobs: Sequence[Job], *, workers: int, log: Path, timings: Path, console: Console
) -> dict[str, float]:
    """Run every job whose result is missing, each after the jobs that it depends on.

    After a failure, jobs that do not need the failed one still run. The failure is raised at the end.

    Args:
        jobs: jobs in the order of their start, as far as dependencies allow.
        workers: processes, >= 1; each uses one thread.
        log: file that receives all output of the workers.
        timings: JSON file with the seconds of each job; written after every job.
        console: console for progress.

    Returns:
        The content of ``timings``: seconds of each job, in this call or an earlier one.

    Raises:
        JobFailed: a job failed, or its process died, which also stops the others. Finished jobs stay
            finished.
        KeyboardInterrupt: after the workers were stopped.
    """
    waiting = [job for job in jobs if not job.result.exists()]
    if len(waiting) < len(jobs):
        console.print(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs were already done.")
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
            )
            scheduler.run(log, timings)
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return seconds


@dataclass(frozen=True, kw_only=True)
class _Running:
    """A running job: its progress bar, and when it was started."""

    job: Job
    bar: TaskID
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


@dataclass(kw_only=True)
class _Scheduler:
    """Keeps ``workers`` jobs running until none is left, and adds their times to ``seconds``."""

    pool: ProcessPoolExecutor
    workers: int
    jobs: Sequence[Job]
    waiting: list[Job]
    seconds: dict[str, float]
    progress: Progress
    running: dict[Future[None], _Running] = field(default_factory=dict)

    def run(self, log: Path, timings: Path) -> None:
        """Run the jobs. Raise ``JobFailed`` at the end if jobs failed, and at once if a process died."""
        total, dropped, failures = len(self.waiting), 0, []
        overall = self.progress.add_task("all jobs", total=total)
        while self.waiting or self.running:
            self._start_ready()
            finished, _ = wait(self.running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for running in self.running.values():
                if running.job.done is not None:
                    self.progress.update(running.bar, completed=running.job.done())
            self.progress.update(overall, description=f"all jobs{self._left()}")
            for future in finished:
                running = self.running.pop(future)
                name, seconds = running.job.name, running.seconds
                self.progress.remove_task(running.bar)
                self.progress.advance(overall)
                reason = _why_failed(name, future, log)
                if reason:
                    failures.append(f"{name} failed: {reason} (its output is in {log})")
                    dropped += self._drop_those_after(name)
                    told = Text.assemble(("failed", "red"), f" {name}: {reason}")
                else:
                    self.seconds[name] = seconds
                    write_json(timings, self.seconds)
                    told = Text.assemble(("done", "green"), f" {name} ({seconds:.0f} s)")
                number = total - dropped - len(self.waiting) - len(self.running)
                told.append(f" {number} of {total}{self._left()}", "dim")
                self.progress.console.print(told)
        if failures:
            others = f" {dropped} jobs that need them were not run." if dropped else ""
            raise JobFailed(f"{'; '.join(failures)}.{others} Rerun the command to retry them.")

    def _left(self) -> str:
        at_work = {running.job.name: running.seconds for running in self.running.values()}
        seconds = time_left(self.jobs, self.waiting, at_work, self.seconds, self.workers)
        if seconds is None:
            return ""
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else ", < 2 min left"

    def _start_ready(self) -> None:
        unfinished = {job.name for job in self.waiting}
        unfinished |= {running.job.name for running in self.running.values()}
        for job in list(self.waiting):
            if len(self.running) < self.workers and unfinished.isdisjoint(job.after):
                self.waiting.remove(job)
                bar = self.progress.add_task(visible(job.name), total=job.total or None)
                future = self.pool.submit(job.function, **job.arguments)
                self.running[future] = _Running(job=job, bar=bar)

    def _drop_those_after(self, failed: str) -> int:
        """Drop the jobs that need a failed one, and return how many."""
        gone = {failed}
        while late := [job for job in self.waiting if gone.intersection(job.after)]:
            gone |= {job.name for job in late}
            self.waiting[:] = [job for job in self.waiting if job not in late]
        return len(gone) - 1


def _why_failed(name: str, future: "Future[None]", log: Path) -> str:
    """Return why a job failed, in one line; empty if it did not. If its process died, so did the pool."""
    try:
        future.result()
    except BrokenProcessPool as error:
        raise JobFailed(
            f"{name} died without a message (killed, or out of memory). Its output is in {log}. "
            "Rerun the command to resume."
        ) from error
    except Exception as error:
        return one_line(error) or type(error).__name__
    return ""


def time_left(
    jobs: Sequence[Job],
    waiting: Sequence[Job],
    running: Mapping[str, float],
    seconds: Mapping[str, float],
    workers: int,
) -> float | None:
    """Estimate the seconds until all jobs are done, from the times of jobs of the same kind.

    Args:
        jobs: all jobs, including finished ones.
        waiting: jobs that have not started.
        running: name -> seconds since its start.
        seconds: name -> its time, for finished jobs.
        workers: workers that share the remaining jobs.

    Returns:
        None while nothing is known about some job's kind. A running job with known progress is estimated
        from its own pace, and represents its kind until one has finished.
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
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _start_worker(log: str, parent: int) -> None:
    """Set up a worker: output to the log, one thread, and an exit when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and stops the worker
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.environ["ACCELERATE_USE_CPU"] = "true"
    os.environ["OMP_NUM_THREADS"] = "1"  # read when a job imports torch
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _leave_with(parent: int) -> None:
    """Exit when the parent was killed. Otherwise a worker would train on unnoticed."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
