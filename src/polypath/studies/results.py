"""Everything a study found: measured from its samples, and as ``results.json`` holds it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import polypath
from polypath.report.analysis import MeasuredRun
from polypath.report.records import plain
from polypath.studies.arguments import budgets
from polypath.studies.config import COOLED, Study
from polypath.studies.cost import Costs, cost_sentence, costs
from polypath.studies.job_functions import best_temperature
from polypath.studies.measure import Row, SplitResult, measure
from polypath.studies.over_training import (
    MatchedRow,
    Trail,
    TrainingCurve,
    checkpoint_curves,
    logged_curves,
    match,
    read_trails,
)
from polypath.studies.plan import StudyPlan
from polypath.studies.relations import RelationResult, relate, relation_record
from polypath.studies.split_samples import SplitSamples


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What a study found.

    Attributes:
        splits: the rows of each split, the main one first.
        best: temperature at which the base is right most often; None without temperatures.
        accuracy: temperature -> pass@1 of the base on the tuning split.
        trails: methods of the main split over their checkpoints.
        matched: rows of the main split at equal pass@1 with the study's reference.
        matched_pairs: the study's pairs at equal pass@1.
        relations: of metrics over the models of the main split.
        checkpoints: curves of what checkpoints can do.
        logged: curves of what the runs logged in training.
        cost: of the jobs.
        seconds: name of a job -> what it took.
        measured: the rows of the main split, by name; empty without a page.
    """

    plan: StudyPlan
    splits: tuple[SplitResult, ...]
    best: float | None
    accuracy: Mapping[str, float]
    trails: Mapping[str, Trail]
    matched: tuple[MatchedRow, ...]
    matched_pairs: tuple[MatchedRow, ...]
    relations: tuple[RelationResult, ...]
    checkpoints: Sequence[TrainingCurve]
    logged: Sequence[TrainingCurve]
    cost: Costs
    seconds: Mapping[str, float]
    measured: Mapping[str, MeasuredRun] = field(repr=False)

    @property
    def main(self) -> SplitResult:
        """The rows of the main split."""
        return self.splits[0]

    def notes(self) -> list[str]:
        """Return what a reader must know of the whole study."""
        study = self.plan.study
        return notes_of(study, self.best, budgets(study, self.plan.recipes))

    def closing(self) -> str:
        """Return what the study took, and how it is made again."""
        return cost_sentence(self.cost.total, self.plan.study.command)


def analyse(plan: StudyPlan, seconds: Mapping[str, float], *, workers: int = 1) -> StudyResult:
    """Measure the samples of a study whose jobs are done.

    Args:
        plan: of the study.
        seconds: name of a job -> what it took.
        workers: processes that measure samples side by side.
    """
    study, tried = plan.study, plan.tried()
    best, accuracy = best_temperature(tried) if tried else (None, {})
    main = SplitSamples(plan, study.main, best, workers=workers)
    others = (SplitSamples(plan, evaluation, best) for evaluation in study.evaluations[1:])
    splits = (measure(main), *map(measure, others))  # one by one: only the main samples are kept
    trails = read_trails(main)
    against = [(row.name, study.against) for row in main.rows[1:] if row.name != study.against]
    return StudyResult(
        plan=plan,
        splits=splits,
        best=best,
        accuracy=accuracy,
        trails=trails,
        matched=match(main, against, trails),
        matched_pairs=match(main, study.pairs, trails),
        relations=relate(main),
        checkpoints=checkpoint_curves(trails, study.main),
        logged=logged_curves(plan),
        cost=costs(plan, seconds),
        seconds=seconds,
        measured=main.measured,
    )


def notes_of(
    study: Study, best: float | None, budgets: Mapping[str, Mapping[str, object]]
) -> list[str]:
    """Return what a reader must know of the whole study.

    Args:
        study: it.
        best: temperature of the base's cooled row; None for none.
        budgets: name of a method -> the settings in which methods differ; see ``arguments.budgets``.
    """
    notes = []
    if study.stage == "tune":
        notes.append("Stage tune: for choosing settings. Report on other problems.")
    at_home = [e.split for e in study.evaluations if e.temperature == best]
    if best is not None and study.tuning is not None:
        notes.append(
            f"{COOLED}: sampled at T = {best:g}, at which it is right most often on "
            f"{study.tuning.split}."
            + (f" On {', '.join(at_home)} that is the base itself." if at_home else "")
        )
    if any(budgets.values()):
        each = "; ".join(
            f"{study.methods[name].label}: " + ", ".join(f"{k} {v}" for k, v in budget.items())
            for name, budget in budgets.items()
        )
        notes.append(f"The methods differ in budget. {each}.")
    if len(study.seeds) == 1:
        notes.append("One training seed: intervals are for these runs, not for the methods.")
    return notes


def record(result: StudyResult, *, started: float, ran: float) -> dict[str, Any]:
    """Return what ``results.json`` holds.

    Args:
        result: of the study.
        started: when this call began, on the monotonic clock.
        ran: when its jobs were done.
    """
    plan, study = result.plan, result.plan.study
    described = {k: v for k, v in asdict(study).items() if k != "text"}
    splits = {split.evaluation.split: _split_record(split) for split in result.splits}
    splits[study.main.split] |= {
        "matched": result.matched,
        "matched_pairs": result.matched_pairs,
        "relations": [relation_record(relation) for relation in result.relations],
    }
    job_seconds = {job.name: result.seconds.get(job.name) for job in plan.jobs()}
    now = time.monotonic()
    found: dict[str, Any] = plain(
        {
            "study": {**described, "recipe": str(study.recipe)},
            "polypath": polypath.__version__,
            "notes": result.notes(),
            "splits": splits,
            "training": {
                name: [
                    {
                        "folder": str(plan.run_folder(name, seed)),
                        "last": (plan.log(name, seed) or [{}])[-1],
                    }
                    for seed in study.seeds
                ]
                for name in study.methods
            },
            "job_seconds": job_seconds,
            "checkpoints": result.checkpoints,
            "cost": result.cost,
            "temperature": {"best": result.best, "pass@1": result.accuracy},
            "seconds": {
                "jobs": sum(seconds or 0.0 for seconds in job_seconds.values()),
                "this call": now - started,
                "of it measuring": now - ran,
            },
        }
    )
    return found


def _split_record(split: SplitResult) -> dict[str, Any]:
    return {
        "num_problems": split.num_problems,
        "not_judged": split.not_judged,
        "keep_by_luck": split.keep_by_luck,
        "explore_by_luck": split.explore_by_luck,
        "rows": _row_records(split.rows),
        "pairs": [
            {"method": one, "against": other, "differences": differences}
            for (one, other), differences in split.pairs.items()
        ],
        "temperatures": _row_records(split.cooled),
        "method_temperatures": {
            name: _row_records(rows) for name, rows in split.method_temperatures.items()
        },
    }


def _row_records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{**vars(row), "folders": [str(folder) for folder in row.folders]} for row in rows]
