"""Run jobs that depend on each other in worker processes, with progress. Runs can be resumed.

A job is done if its result file exists. It writes that file last, in one step. So the same call resumes
a run that was interrupted or killed, and finished jobs are skipped.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
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
from polypath.executor.cluster import RayCluster
from polypath.executor.open import open_executor
from polypath.executor.protocol import Executor, Unit, WorkerLost, WorkerSettings
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
    jobs: Sequence[Job],
    *,
    workers: int,
    log: Path,
    timings: Path,
    console: Console,
    cluster: RayCluster | None = None,
    gpus: int = 0,
) -> dict[str, float]:
    """Run every job whose result is missing, each after the jobs that it depends on.

    After a failure, jobs that do not need the failed one still run. The failure is raised at the end.

    Args:
        jobs: jobs in the order of their start, as far as dependencies allow.
        workers: processes of this machine, >= 1; each uses one thread.
        log: file that receives all output of the workers. On a cluster every node has its own, with the
            node's name after a dash.
        timings: JSON file with the seconds of each job; written after every job.
        console: console for progress.
        cluster: cluster that runs the jobs, on as many workers as it has room for instead of ``workers``.
            Its nodes must share the folders of the results and of ``log``. A job whose worker is lost
            starts again on another.
        gpus: GPUs of each job on a cluster.

    Returns:
        The content of ``timings``: seconds of each job, in this call or an earlier one.

    Raises:
        JobFailed: a job failed, or its process died, which on this machine also stops the others.
            Finished jobs stay finished.
        ConfigError: the cluster cannot be used.
        KeyboardInterrupt: after the workers were stopped.
    """
    waiting = [job for job in jobs if not job.result.exists()]
    if len(waiting) < len(jobs):
        console.print(f"{len(jobs) - len(waiting)} of {len(jobs)} jobs were already done.")
    seconds: dict[str, float] = json.loads(timings.read_text()) if timings.is_file() else {}
    if not waiting:
        return seconds
    log.parent.mkdir(parents=True, exist_ok=True)
    settings = WorkerSettings(
        gpus=gpus,
        environment={} if gpus else {"ACCELERATE_USE_CPU": "true"},
        log=log.absolute(),
        folder=log.parent.absolute(),
    )

    def say(line: str) -> None:
        console.print(Text(line), soft_wrap=True)

    opening = open_executor(cluster, settings, workers=workers, say=say)
    with opening as executor, _progress(console) as progress:
        scheduler = _Scheduler(
            executor=executor, jobs=jobs, waiting=waiting, seconds=seconds, progress=progress
        )
        try:
            scheduler.run(timings)
        except WorkerLost as error:
            raise JobFailed(f"{error} Run the same command again to resume.") from error
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
    """Keeps all workers busy with jobs until none is left, and adds their times to ``seconds``."""

    executor: Executor
    jobs: Sequence[Job]
    waiting: list[Job]
    seconds: dict[str, float]
    progress: Progress
    running: dict[str, _Running] = field(default_factory=dict)

    def run(self, timings: Path) -> None:
        """Run the jobs. Raise ``JobFailed`` at the end if jobs failed, or ``WorkerLost`` at once."""
        total, number, dropped = len(self.waiting), 0, 0
        failures: list[str] = []
        overall = self.progress.add_task("all jobs", total=total)
        while self.waiting or self.running:
            self._start_ready()
            ended = self._ended()
            for job, _, reason, log in ended:
                if reason:
                    failures.append(f"{job.name} failed: {reason} (its output is in {log})")
                    dropped += self._drop_those_after(job.name)
            self._start_ready()  # no worker waits for what follows
            self._show(overall, number + len(ended))
            self.seconds |= {job.name: seconds for job, seconds, reason, _ in ended if not reason}
            if ended:
                write_json(timings, self.seconds)
            for job, seconds, reason, _ in ended:
                number += 1
                if reason:
                    told = Text.assemble(("failed", "red"), f" {job.name}: {reason}")
                else:
                    told = Text.assemble(("done", "green"), f" {job.name} ({seconds:.0f} s)")
                told.append(f" {number} of {total}{self._left()}", "dim")
                self.progress.console.print(told)
        if failures:
            others = f" {dropped} jobs that need them were not run." if dropped else ""
            raise JobFailed(f"{'; '.join(failures)}.{others} Rerun the command to retry them.")

    def _ended(self) -> list[tuple[Job, float, str, Path | None]]:
        """Return jobs that ended: each with its seconds, why it failed (empty if not) and its log."""
        ended = []
        for over in self.executor.finished(POLL_SECONDS):
            running = self.running.pop(over.unit.name)
            reason = "" if over.error is None else one_line(over.error) or type(over.error).__name__
            ended.append((running.job, running.seconds, reason, over.log))
            self.progress.remove_task(running.bar)
        return ended

    def _show(self, overall: TaskID, number: int) -> None:
        """Update the bars; ``number`` jobs have ended."""
        for running in self.running.values():
            if running.job.done is not None:
                self.progress.update(running.bar, completed=running.job.done())
        self.progress.update(overall, completed=number, description=f"all jobs{self._left()}")

    def _left(self) -> str:
        at_work = {running.job.name: running.seconds for running in self.running.values()}
        seconds = time_left(self.jobs, self.waiting, at_work, self.seconds, self.executor.workers)
        if seconds is None:
            return ""
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else ", < 2 min left"

    def _start_ready(self) -> None:
        unfinished = {job.name for job in self.waiting}
        unfinished |= {running.job.name for running in self.running.values()}
        for job in list(self.waiting):
            has_room = len(self.running) < self.executor.workers
            if has_room and unfinished.isdisjoint(job.after):
                self.waiting.remove(job)
                bar = self.progress.add_task(visible(job.name), total=job.total or None)
                self.executor.submit(
                    Unit(name=job.name, function=job.function, arguments=job.arguments)
                )
                self.running[job.name] = _Running(job=job, bar=bar)

    def _drop_those_after(self, failed: str) -> int:
        """Drop the jobs that need a failed one, and return how many."""
        gone = {failed}
        while late := [job for job in self.waiting if gone.intersection(job.after)]:
            gone |= {job.name for job in late}
            self.waiting[:] = [job for job in self.waiting if job not in late]
        return len(gone) - 1


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
