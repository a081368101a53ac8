"""What the jobs of a study took."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polypath.studies.job_functions import COST
from polypath.studies.jobs import Job
from polypath.studies.plan import StudyPlan


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of some jobs, added up.

    Attributes:
        jobs: number of them.
        timed: of these, with a known wall time.
        wall: seconds of wall time by kind of job: ``train``, ``evaluate``, ``presample``.
        cpu_known: jobs with a known CPU time: all that this version made.
        cpu: seconds of CPU time of the processes of these jobs, without those of other processes
            that verify samples for them.
    """

    jobs: int
    timed: int
    wall: Mapping[str, float]
    cpu_known: int
    cpu: float

    @property
    def total_wall(self) -> float:
        """Seconds of all kinds."""
        return sum(self.wall.values())


def costs(plan: StudyPlan, timings: Mapping[str, float]) -> dict[str, Any]:
    """Add up what the jobs of a study took: of each method's runs, without training, and of all.

    Args:
        plan: of the study.
        timings: name of a job -> seconds of wall time, of the call that finished it.
    """
    seeds, methods = plan.study.seeds, plan.study.methods
    runs = {name: [job for seed in seeds for job in plan.run_jobs(name, seed)] for name in methods}
    return {
        "methods": {name: cost_of(jobs, timings) for name, jobs in runs.items()},
        "base": cost_of(plan.base_jobs(), timings),
        "total": cost_of(plan.jobs(), timings),
    }


def cost_of(jobs: Iterable[Job], timings: Mapping[str, float]) -> Cost:
    """Add up what these jobs took, each once; ``timings`` as in ``costs``."""
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
    except (OSError, ValueError):  # made by an older version, or killed before the last line
        return None
    return float(found) if isinstance(found, int | float) else None


def cost_sentence(cost: Cost, command: str) -> str:
    """Say what the study took, and how it is made again."""
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
