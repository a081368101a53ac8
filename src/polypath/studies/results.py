"""Everything a study found: measured from its samples, and as ``results.json`` holds it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import polypath
from polypath.report.analysis import MeasuredRun
from polypath.report.records import plain
from polypath.report.table import ReportTable
from polypath.studies.arguments import budgets
from polypath.studies.cost import Costs, cost_sentence, costs
from polypath.studies.curve_figures import TrainingCurve
from polypath.studies.job_functions import best_temperature
from polypath.studies.main_split_tables import main_tables
from polypath.studies.matched import MatchedRow, match
from polypath.studies.measure import Row, SplitResult, measure
from polypath.studies.over_training import Trail, checkpoint_curves, logged_curves, read_trails
from polypath.studies.plan import StudyPlan
from polypath.studies.relations import RelationResult, relate, relation_record, relation_tables
from polypath.studies.split_samples import SplitSamples
from polypath.studies.split_tables import notes_of, tables


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

    def main_tables(self) -> list[ReportTable]:
        """Return the tables that only the main split has, but for its relations."""
        rows = self.matched, self.matched_pairs, self.trails
        return main_tables(self.plan.study, self.main, *rows)

    def relation_tables(self) -> list[ReportTable]:
        """Return the table of relations, if there are any."""
        return relation_tables(self.main.evaluation.split, self.relations)

    def tables(self) -> list[ReportTable]:
        """Return all tables."""
        found = tables(self.plan.study, self.splits, self.main_tables())
        return found + self.relation_tables()


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
        "matched": [asdict(row) for row in result.matched],
        "matched_pairs": [asdict(row) for row in result.matched_pairs],
        "relations": [relation_record(relation) for relation in result.relations],
    }
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
            "job_seconds": {job.name: result.seconds.get(job.name) for job in plan.jobs()},
            "checkpoints": [asdict(curve) for curve in result.checkpoints],
            "cost": asdict(result.cost),
            "temperature": {"best": result.best, "pass@1": result.accuracy},
            "seconds": {
                "jobs": sum(result.seconds.get(job.name, 0.0) for job in plan.jobs()),
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
        "rows": [_row_record(row) for row in split.rows],
        "pairs": [
            {"method": one, "against": other, "differences": differences}
            for (one, other), differences in split.pairs.items()
        ],
        "temperatures": [_row_record(row) for row in split.cooled],
        "method_temperatures": {
            name: [_row_record(row) for row in rows]
            for name, rows in split.method_temperatures.items()
        },
    }


def _row_record(row: Row) -> dict[str, Any]:
    return {**vars(row), "folders": [str(folder) for folder in row.folders]}
