"""The sentence of what a study took."""

import json
import math
from pathlib import Path

from polypath.studies.cost import Cost, StepCost, cost_of, cost_sentence, step_cost_table
from polypath.studies.jobs import Job
from polypath.studies.load import load_study
from tests.studies.small_study import write as write_study
from tests.studies.test_jobs import write


def of_kind(result: Path, name: str, kind: str) -> Job:
    return Job(name=name, function=write, arguments={}, result=result, kind=kind)


def test_jobs_are_added_up_by_kind_and_each_once(tmp_path: Path):
    (tmp_path / "cost.json").write_text(json.dumps({"cpu_seconds": 30.5}))
    (tmp_path / "evaluated.json").write_text(json.dumps({"cpu_seconds": 2}))
    (tmp_path / "old.json").write_text(json.dumps({"seconds": 9}))
    jobs = [
        of_kind(tmp_path / "finished.json", "train a", "train"),
        of_kind(tmp_path / "evaluated.json", "evaluate a", "evaluate test 3x4"),
        of_kind(tmp_path / "evaluated.json", "evaluate a again", "evaluate test 3x4"),
        of_kind(tmp_path / "old.json", "evaluate b", "evaluate test 3x4"),
        of_kind(tmp_path / "none.json", "evaluate c", "evaluate test 3x4"),
    ]
    seconds = {"train a": 40.0, "evaluate a again": 3.0, "evaluate b": 5.0, "gone": 99.0}
    got = cost_of(jobs, seconds)
    assert got == Cost(
        jobs=4, timed=3, wall={"train": 40.0, "evaluate": 8.0}, cpu_known=2, cpu=32.5
    )
    assert got.total_wall == 48


def test_the_sentence_says_what_is_not_known():
    whole = Cost(jobs=2, timed=2, wall={"train": 1234.0}, cpu_known=2, cpu=1200.0)
    assert cost_sentence(whole, "polypath study x.yaml") == (
        "2 jobs: 1,234 s of wall time, added up (training 1,234 s); 1,200 s of CPU time. "
        "Made again by: `polypath study x.yaml`"
    )
    part = Cost(jobs=5, timed=3, wall={"evaluate": 7.0}, cpu_known=1, cpu=2.0)
    assert "5 jobs (known of 3): 7 s" in cost_sentence(part, "x")
    assert "2 s of CPU time (known of 1)" in cost_sentence(part, "x")
    old = Cost(jobs=1, timed=0, wall={}, cpu_known=0, cpu=0.0)
    assert "CPU time was not recorded" in cost_sentence(old, "x")


def test_a_step_costs_a_multiple_of_the_references_or_is_not_known(tmp_path: Path):
    study = load_study(write_study(tmp_path))
    known = {
        "grpo": StepCost(cpu_seconds=0.05, tokens=2000),
        "kl": StepCost(cpu_seconds=0.075, tokens=1500),
    }
    unknown = {"half": StepCost(cpu_seconds=math.nan, tokens=math.nan)}
    rows = {row[0]: row[1:] for row in step_cost_table(study, known | unknown).rows}
    assert rows["GRPO"] == ("0.050", "1.00", "2000", "1.00")
    assert rows["kl"] == ("0.075", "1.50", "1500", "0.75")
    assert rows["GRPO, half"] == ("–",) * 4
    alone = step_cost_table(study.only(["kl"], None), {"kl": known["kl"]})
    assert len(alone.columns) == 3
