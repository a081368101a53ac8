"""All results of a study: measured from its samples, and as ``results.json`` stores them."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polypath
from polypath.report.records import plain
from polypath.studies.arguments import budgets
from polypath.studies.config import Study, at_temperature
from polypath.studies.cost import cost_sentence, costs, step_costs
from polypath.studies.job_functions import best_temperature
from polypath.studies.over_training import checkpoint_curves, logged_curves, match, read_trails
from polypath.studies.plan import StudyPlan
from polypath.studies.ranking import rankings
from polypath.studies.relations import relate, relation_record
from polypath.studies.splits import SplitResult, SplitSamples, measure_split
from polypath.studies.strengths import strengths_note


class StudyResult:
    """The results of a study whose jobs are done.

    Args:
        plan: plan of the study.
        seconds: name of a job -> its time.
        workers: parallel processes that measure samples.

    Attributes:
        best: temperature at which the base is right most often; None if no temperatures were tried.
        accuracy: temperature -> pass@1 of the base on the tuning split.
        splits: the rows of each split, the main one first.
        measured: the rows of the main split, by name; empty without a page.
        trails: methods of the main split over their checkpoints.
        matched: rows of the main split, compared at equal pass@1 with the study's reference.
        matched_pairs: the study's pairs, compared at equal pass@1.
        rankings: the rows of the main split in the order of each measure that the study ranks by.
        relations: relations of metrics over the models of the main split.
        checkpoints: curves of what checkpoints can do.
        logged: curves of what the runs logged in training.
        cost: cost of the jobs.
        step_costs: key of a method -> cost of a step of its training.
    """

    def __init__(self, plan: StudyPlan, seconds: Mapping[str, float], *, workers: int = 1) -> None:
        self.plan, self.seconds = plan, seconds
        study, tried = plan.study, plan.tried()
        self.best: float | None = None
        self.accuracy: dict[str, float] = {}
        if tried:
            self.best, self.accuracy = best_temperature(tried)
        main = SplitSamples(plan, study.main, self.best, workers=workers)
        self.splits = [measure_split(main)]
        for evaluation in study.evaluations[
            1:
        ]:  # one by one, because only the main samples are kept
            self.splits.append(measure_split(SplitSamples(plan, evaluation, self.best)))
        self.measured = main.measured
        self.trails = read_trails(main)
        against = [(row.name, study.against) for row in main.rows[1:] if row.name != study.against]
        self.matched = match(main, against, self.trails)
        self.matched_pairs = match(main, study.pairs, self.trails)
        self.rankings = rankings(main, self.trails)
        self.relations = relate(main)
        self.checkpoints = checkpoint_curves(self.trails, study.main)
        self.logged = logged_curves(plan)
        self.cost = costs(plan, seconds)
        self.step_costs = step_costs(plan)

    @property
    def main(self) -> SplitResult:
        """The rows of the main split."""
        return self.splits[0]

    def notes(self) -> list[str]:
        """Return what a reader must know about the whole study."""
        study = self.plan.study
        return notes_of(study, self.best, budgets(study, self.plan.recipes))

    def closing(self) -> str:
        """Return the cost of the study, and the command that runs it again."""
        return cost_sentence(self.cost["total"], self.plan.study.command)


def notes_of(
    study: Study, best: float | None, budgets: Mapping[str, Mapping[str, object]]
) -> list[str]:
    """Return what a reader must know about the whole study.

    Args:
        study: the study.
        best: temperature of the base's row at a lower temperature; None without such a row.
        budgets: name of a method -> the settings in which methods differ; see ``arguments.budgets``.
    """
    notes = []
    if study.stage == "tune":
        notes.append("Stage tune: for choosing settings. Report on other problems.")
    at_home = [e.split for e in study.evaluations if e.temperature == best]
    if best is not None and study.tuning is not None:
        notes.append(
            f"{at_temperature(best)}: the base sampled at the temperature at which it is right most often on "
            f"{study.tuning.split}."
            + (f" On {', '.join(at_home)} that is the base itself." if at_home else "")
        )
    if told := strengths_note(study):
        notes.append(told)
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
    """Return the content of ``results.json``.

    Args:
        result: result of the study.
        started: monotonic time at which this call began.
        ran: monotonic time at which its jobs were done.
    """
    plan, study = result.plan, result.plan.study
    described = {k: v for k, v in asdict(study).items() if k != "text"}
    splits = {split.evaluation.split: _split_record(split) for split in result.splits}
    splits[study.main.split] |= {
        "matched": result.matched,
        "matched_pairs": result.matched_pairs,
        "rankings": result.rankings,
        "relations": [relation_record(relation) for relation in result.relations],
    }
    job_seconds = {job.name: result.seconds.get(job.name) for job in plan.jobs()}
    now = time.monotonic()
    found: dict[str, Any] = plain(
        {
            "study": described,
            "polypath": polypath.__version__,
            "notes": result.notes(),
            "splits": splits,
            "training": {
                name: [
                    {
                        "folder": plan.run_folder(name, seed),
                        "last": (plan.log(name, seed) or [{}])[-1],
                    }
                    for seed in study.seeds
                ]
                for name in study.methods
            },
            "job_seconds": job_seconds,
            "checkpoints": result.checkpoints,
            "cost": result.cost,
            "cost of a step": result.step_costs,
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
        "rows": split.rows,
        "pairs": [
            {"method": one, "against": other, "differences": differences}
            for (one, other), differences in split.pairs.items()
        ],
        "temperatures": split.cooled,
        "method_temperatures": split.method_temperatures,
    }
