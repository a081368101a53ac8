"""The first stage of a study with strengths: run the candidates on the tuning split, and choose."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polypath.metrics.matched import BELOW
from polypath.report.model import Difference, Metric
from polypath.report.records import plain
from polypath.rollouts.files import read_json, write_json
from polypath.studies.config import Settings, Study
from polypath.studies.plan import StudyPlan
from polypath.studies.results import StudyResult
from polypath.studies.splits import SplitSamples
from polypath.studies.strengths import candidates, rule_of, tuning_study, with_strengths

FOLDER = "tuning"  # of the tables of this stage, in that of the study
PICKED = "picked.json"  # in it


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A strength that was tried.

    Attributes:
        settings: its settings.
        value: what the rule compares; for the reference of a matched rule, its pass@1.
        pass_at_1: pass@1 on the tuning split.
        outside: ``above`` or ``below`` if it could not be compared at equal pass@1; else empty.
    """

    settings: Settings
    value: float
    pass_at_1: float
    outside: str = ""


def tuning_plan(study: Study, out: Path, device: str | None) -> StudyPlan:
    """Return the plan of the candidates, after checking that the study with one of them is valid, too.

    Args:
        study: a study in which some methods have strengths.
        out: folder of the study.
        device: as in ``StudyPlan``.

    Raises:
        ConfigError: the settings of a candidate do not fit the recipe, or as ``StudyPlan``.
    """
    first = {name: method.strengths[0] for name, method in study.tuned.items()}
    StudyPlan(with_strengths(study, first), out, device=device)
    return StudyPlan(tuning_study(study), out, device=device)


def read_picked(study: Study, plan: StudyPlan) -> Study | None:
    """Return the study with the strengths that were chosen before; ``None`` if other runs decide now.

    Args:
        study: a study in which some methods have strengths.
        plan: plan of its candidates.
    """
    path = plan.out / FOLDER / PICKED
    if not path.is_file():
        return None
    found = read_json(path, "what tuning picked")
    if found.get("made from") != _made_from(study, plan):
        return None
    return with_strengths(study, {name: one["picked"] for name, one in found["methods"].items()})


def choose(
    study: Study,
    plan: StudyPlan,
    seconds: Mapping[str, float],
    report: Callable[[StudyResult], Any],
) -> Study:
    """Choose the strength of each method, write the choice, and return the study with the strengths.

    Args:
        study: a study in which some methods have strengths.
        plan: plan of its candidates, whose jobs are done.
        seconds: name of a job -> its time.
        report: writes the tables of the candidates.
    """
    rule, tried = rule_of(study), plan.study
    if rule.matched and study.against in study.tuned:
        accuracy = _pass_at_1(plan, list(candidates(study.methods[study.against])))
        tried = replace(tried, against=max(accuracy, key=lambda name: accuracy[name]))
    result = StudyResult(StudyPlan(tried, plan.out, device=plan.device), seconds)
    report(result)
    found = {}
    for name, method in study.tuned.items():
        # The reference cannot be compared with itself stopped early.
        key = "" if rule.matched and name == study.against else rule.key
        named = zip(candidates(method), method.strengths, strict=True)
        found[name] = [
            _candidate(result, key, rule.matched, one, settings) for one, settings in named
        ]
    picked = {name: _best(ones) for name, ones in found.items()}
    record = {
        "rule": str(rule),
        "split": tried.main.split,
        "seed": study.tuning_seed,
        "made from": _made_from(study, plan),
        "methods": {
            name: {"picked": picked[name].settings, "candidates": found[name]} for name in found
        },
    }
    write_json(plan.out / FOLDER / PICKED, plain(record))
    return with_strengths(study, {name: one.settings for name, one in picked.items()})


def _candidate(
    result: StudyResult, key: str, matched: bool, name: str, settings: Settings
) -> Candidate:
    """Return a candidate with the value that the rule compares: its pass@1 if ``key`` is empty."""
    row = next(row for row in result.main.rows if row.name == name)
    accuracy, outside = row.metrics["pass@1"].estimate, ""
    value: Metric | Difference = row.metrics[key or "pass@1"]
    if key and matched:
        at_equal = next(row for row in result.matched if row.name == name)
        value, outside = at_equal.differences[key], at_equal.outside
    return Candidate(settings=settings, value=value.estimate, pass_at_1=accuracy, outside=outside)


def _best(ones: Sequence[Candidate]) -> Candidate:
    """Return the highest, and the first of equal ones. One less accurate than the base is the last resort."""
    return max(ones, key=lambda one: (one.outside != BELOW, one.value))


def _pass_at_1(plan: StudyPlan, names: Sequence[str]) -> dict[str, float]:
    """Return pass@1 of methods on the main split, by name."""
    only = StudyPlan(plan.study.only(names, None), plan.out, device=plan.device)
    samples = SplitSamples(only, only.study.main, None)
    return {
        row.name: float(samples.values(row.folders[0]).at_k["pass@1"].mean())
        for row in samples.rows
        if row.name in names
    }


def _made_from(study: Study, plan: StudyPlan) -> str:
    """Return a hash of the rule and of the results that it compares."""
    results = sorted(str(job.result.relative_to(plan.out)) for job in plan.jobs())
    text = json.dumps([str(rule_of(study)), study.against, results])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
