"""What a study cost: the time of its jobs, and a step of each method's training."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polypath.report.numbers import MISSING, number
from polypath.report.table import ReportTable
from polypath.studies.config import Study
from polypath.studies.job_functions import COST
from polypath.studies.jobs import Job
from polypath.studies.plan import StudyPlan


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of some jobs, added up.

    Attributes:
        jobs: number of jobs.
        timed: number of these with a known wall time.
        wall: seconds of wall time by kind of job: ``train``, ``evaluate``, ``presample``.
        cpu_known: number of jobs with a known CPU time; all that this version ran.
        cpu: seconds of CPU time of the processes of these jobs, without those of other processes that
            verify samples for them.
    """

    jobs: int
    timed: int
    wall: Mapping[str, float]
    cpu_known: int
    cpu: float

    @property
    def total_wall(self) -> float:
        """Seconds of all kinds together."""
        return sum(self.wall.values())


def costs(plan: StudyPlan, timings: Mapping[str, float]) -> dict[str, Any]:
    """Add up the costs of a study's jobs: of each method's runs, of the base, and of all.

    Args:
        plan: plan of the study.
        timings: name of a job -> seconds of wall time of the call that finished it.

    Returns:
        ``methods``: key of a method -> cost of its runs; ``base`` and ``total``: a cost each.
    """
    seeds, methods = plan.study.seeds, plan.study.methods
    runs = {name: [job for seed in seeds for job in plan.run_jobs(name, seed)] for name in methods}
    return {
        "methods": {name: cost_of(jobs, timings) for name, jobs in runs.items()},
        "base": cost_of(plan.base_jobs(), timings),
        "total": cost_of(plan.jobs(), timings),
    }


def cost_of(jobs: Iterable[Job], timings: Mapping[str, float]) -> Cost:
    """Add up the time of jobs, counting each once.

    Args:
        jobs: any jobs; repeats are allowed.
        timings: as in ``costs``.

    Returns:
        The sums; ``timed`` is the number of jobs that they cover.
    """
    unique = {job.result: job for job in jobs}.values()
    timed = [job for job in unique if job.name in timings]
    wall: dict[str, float] = {}
    for job in timed:
        kind = job.kind.split()[0]
        wall[kind] = wall.get(kind, 0.0) + timings[job.name]
    cpu = [seconds for job in unique if (seconds := _cpu_seconds(job)) is not None]
    return Cost(jobs=len(unique), timed=len(timed), wall=wall, cpu_known=len(cpu), cpu=sum(cpu))


def _cpu_seconds(job: Job) -> float | None:
    path = job.result if job.kind.startswith("evaluate") else job.result.parent / COST
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8")).get("cpu_seconds")
    except (OSError, ValueError):  # written by an older version, or killed before the last line
        return None
    return float(found) if isinstance(found, int | float) else None


def cost_sentence(cost: Cost, command: str) -> str:
    """Say what the study cost, and which command runs it again."""
    names = {"train": "training", "evaluate": "evaluation", "presample": "pre-sampling"}
    parts = ", ".join(f"{names[kind]} {seconds:,.0f} s" for kind, seconds in cost.wall.items())
    of_all = f" (known of {cost.timed:,})" if cost.timed < cost.jobs else ""
    wall = f"{cost.jobs:,} jobs{of_all}: {cost.total_wall:,.0f} s of wall time, added up"
    wall += f" ({parts})" if parts else ""
    if not cost.cpu_known:
        cpu = "CPU time was not recorded"
    else:
        known = f" (known of {cost.cpu_known:,})" if cost.cpu_known < cost.jobs else ""
        cpu = f"{cost.cpu:,.0f} s of CPU time{known}"
    return f"{wall}; {cpu}. Made again by: `{command}`"


# --- a step of training -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What an optimizer step of a method costs, the mean over its seeds; NaN where it was not recorded.

    Attributes:
        cpu_seconds: CPU time of the training process, without start-up and without processes that verify
            samples for it.
        tokens: tokens of prompts and completions that were sampled and learned from, without those of a
            rehearsal set.
    """

    cpu_seconds: float
    tokens: float


def step_costs(plan: StudyPlan) -> dict[str, StepCost]:
    """Return the cost of a step of each method, up to the last step of a checkpoint of another.

    Args:
        plan: plan of a study whose jobs are done.
    """
    return {
        name: StepCost(
            cpu_seconds=_mean_per_step(logs, "cpu_seconds"),
            tokens=_mean_per_step(logs, "num_tokens"),
        )
        for name in plan.study.methods
        for logs in [[plan.log(name, seed) for seed in plan.study.seeds]]
    }


def _mean_per_step(logs: Sequence[Sequence[Mapping[str, Any]]], key: str) -> float:
    """Return the last value of a sum over steps by its step; the mean over the runs that have it."""
    last = [next((line for line in reversed(log) if key in line), None) for log in logs]
    found = [float(line[key]) / int(line["step"]) for line in last if line is not None]
    return float(np.mean(found)) if found else math.nan


def step_cost_table(study: Study, found: Mapping[str, StepCost]) -> ReportTable:
    """Return the cost of a step of each method, also as a multiple of the reference's.

    Args:
        study: the study; without a reference there are no multiples.
        found: key of a method -> cost of a step.
    """
    reference = found.get(study.against)
    label = study.methods[study.against].label if reference else ""

    def times(value: float, other: float) -> str:
        known = math.isfinite(value) and math.isfinite(other) and other > 0
        return f"{value / other:.2f}" if known else MISSING

    columns = ["method", "CPU s a step", "tokens a step"]
    if reference:
        columns[2:2] = [f"times {label}'s"]
        columns.append(f"times {label}'s tokens")
    rows = []
    for name, cost in found.items():
        cells = [study.methods[name].label, number(cost.cpu_seconds), number(cost.tokens, places=0)]
        if reference:
            cells[2:2] = [times(cost.cpu_seconds, reference.cpu_seconds)]
            cells.append(times(cost.tokens, reference.tokens))
        rows.append(tuple(cells))
    return ReportTable(
        title="cost of training",
        columns=tuple(columns),
        rows=tuple(rows),
        notes=(
            "CPU time of the training process by optimizer step, without start-up; tokens of prompts and "
            "completions, without those of a rehearsal set. Means over seeds. Jobs that share a machine slow "
            "each other's CPU time, too: compare methods of one study only.",
        ),
    )
