"""The quickstart: a study like any other, with numbers that its command changes; whole but short."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from polypath.cli.main import run
from polypath.errors import ConfigError
from polypath.studies.load import load_study
from polypath.studies.plan import StudyPlan
from polypath.studies.quickstart import FILE, UPDATES_PER_ROUND, quickstart_study
from tests.studies.small_study import forked_workers

IN_THE_REPOSITORY = Path(__file__).parents[2] / "studies" / "quickstart.yaml"


def test_the_file_of_the_repository_is_the_one_that_ships():
    assert IN_THE_REPOSITORY.read_text() == FILE.read_text()
    linked, shipped = load_study(IN_THE_REPOSITORY), load_study(FILE)
    assert shipped == quickstart_study()
    assert replace(linked, recipe=linked.recipe.resolve()) == replace(
        shipped, recipe=shipped.recipe.resolve()
    )
    assert linked.recipe.is_file()


def test_a_short_run_gives_rows_and_pictures_and_resumes(tmp_path: Path, capsys):
    out, table = tmp_path / "out", tmp_path / "t.json"
    command = [
        *["quickstart", "--out", str(out), "--methods", "rehearsal", "--steps", "1"],
        *["--problems", "4", "--samples", "64", "--seed", "3", "--json", str(table)],
        *["--workers", "1"],
    ]
    with forked_workers():
        assert run(command) == 0
    assert "rehearsal" in capsys.readouterr().out
    rows = json.loads(table.read_text())
    methods = ["base", "base, cooled", "GRPO", "rehearsal"]
    if json.loads((out / "results.json").read_text())["temperature"]["best"] == 1.0:
        methods.remove("base, cooled")  # which is the base itself then
    for split in ("test", "test_3numbers", "test_large"):
        assert [row["method"] for row in rows if row["split"] == split] == methods
    for row in rows:
        assert 0 <= row["pass@1"] <= row["pass@4"] <= row["pass@64"] <= 1
        assert row["distinct low"] <= row["distinct"] <= row["distinct high"]
        assert (row["seconds"] is None) == row["method"].startswith("base")
    for name in ("overview.png", "pass_at_k-test.png", "training.png"):
        assert (out / name).stat().st_size > 20_000
    seeds = {
        path.parent.name: json.loads((path / "manifest.json").read_text())["seed"]
        for path in out.glob("*/*/**/evaluations/*/samples")
    }
    assert set(seeds.values()) == {3}  # the base meets the draws that the methods meet

    lost = next(out.glob("runs/grpo*/seed3/evaluations/test_large*/evaluated.json"))
    lost.unlink()  # as if killed before this one was written
    trained = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/seed3/finished.json")}
    with forked_workers():
        assert run(command) == 0
    assert json.loads(table.read_text()) == rows
    assert lost.exists()
    assert {path: path.stat().st_mtime_ns for path in trained} == trained


def test_the_numbers_of_the_command_are_in_the_study_and_in_the_command_that_makes_it_again():
    study = quickstart_study(methods=["dra"], steps=3, problems=9, samples=70, seed=5)
    assert list(study.methods) == [
        "grpo",
        "dra",
    ]  # what the others are compared with is always there
    assert study.settings["max_steps"] == 3 * UPDATES_PER_ROUND
    assert [(e.problems, e.samples) for e in study.evaluations] == [(9, 70), (4, 64), (4, 64)]
    assert study.tuning is not None
    assert (study.tuning.split, study.tuning.problems) == ("dev", 4)
    assert study.seeds == (study.sampling_seed,) == (5,)
    assert study.presamplings["rehearsal"].settings.seed == 5
    assert yaml.safe_load(study.text)["seeds"] == [5]
    options = study.command.split()[2:]
    assert dict(zip(options[::2], options[1::2], strict=True)) == {
        "--methods": "dra",
        "--steps": "3",
        "--problems": "9",
        "--samples": "70",
        "--seed": "5",
    }
    assert quickstart_study().command == "polypath quickstart"


def test_a_resumed_training_is_exact_and_rounds_are_those_of_the_recipe(tmp_path: Path):
    plan = StudyPlan(quickstart_study(), tmp_path)
    for recipe in plan.recipes.values():
        assert recipe.trainer.steps_per_generation == UPDATES_PER_ROUND
        cycle = recipe.trainer.steps_per_generation * recipe.trainer.num_iterations
        assert recipe.trainer.save_steps % cycle == 0


def test_the_base_is_sampled_at_the_best_temperature_alone_once_that_is_known(tmp_path: Path):
    plan = StudyPlan(quickstart_study(), tmp_path)
    jobs = {job.name: job for job in plan.jobs()}
    best = "evaluate base at its best T on test"
    tried = {name for name in jobs if name.startswith("evaluate base at T=")}
    assert all(name.endswith("on dev") for name in tried)
    cooled = jobs[best]
    assert set(cooled.after) == tried
    assert len(tried) == len(plan.study.temperatures)
    assert all(set(job.after) <= set(jobs) for job in jobs.values())
    fewer = StudyPlan(quickstart_study(problems=100), tmp_path)  # of dev, too: another choice
    folders = [one.cooled_folder(one.study.evaluations[1], 0.5) for one in (plan, fewer)]
    assert folders[0] != folders[1]


@pytest.mark.parametrize(
    "numbers", [{"steps": 0}, {"samples": 8}, {"problems": 1}, {"seed": -1}, {"methods": ["no"]}]
)
def test_bad_numbers_are_refused(numbers):
    with pytest.raises(ConfigError):
        quickstart_study(**numbers)
