"""The quickstart, whole but short: trains, evaluates, draws, resumes."""

import json
from pathlib import Path

import pytest

from polypath.cli.main import run
from polypath.errors import ConfigError
from polypath.studies.quickstart import METHODS, QuickstartSettings
from polypath.studies.quickstart.plan import RECIPE, UPDATES_PER_ROUND, plan
from polypath.train.config import load_recipe


def test_short_run_gives_table_picture_and_resumes(tmp_path: Path, capsys):
    command = [
        *["quickstart", "--out", str(tmp_path / "out"), "--methods", "grpo,rehearsal"],
        *["--steps", "1", "--problems", "4", "--samples", "64", "--json", str(tmp_path / "t.json")],
    ]
    assert run(command) == 0
    first = capsys.readouterr().out
    assert "rehearsal against GRPO: pass@1" in first
    rows = json.loads((tmp_path / "t.json").read_text())
    assert [(row["method"], row["split"]) for row in rows[:4]] == [
        ("base", "test"),
        ("base, cooled", "test"),
        ("GRPO", "test"),
        ("rehearsal", "test"),
    ]
    assert len(rows) == 4 * 3
    assert all(0 <= row["pass@1"] <= row["pass@64"] <= 1 for row in rows)
    assert (tmp_path / "out" / "quickstart.png").stat().st_size > 20_000

    evaluations = list((tmp_path / "out" / "runs").glob("grpo*/evaluations/test_large*.npz"))
    assert len(evaluations) == 1
    evaluations[0].unlink()  # as if killed before this one was written
    assert run(command) == 0
    second = capsys.readouterr().out
    assert "jobs were done before" in second
    assert json.loads((tmp_path / "t.json").read_text()) == rows


def test_grpo_is_always_trained_and_every_override_is_a_known_setting(tmp_path: Path):
    settings = QuickstartSettings(out=tmp_path, methods=("dra",))
    assert settings.methods == ("grpo", "dra")
    for method in METHODS.values():
        overrides = [
            text for item in method.overrides.items() for text in (f"--{item[0]}", item[1])
        ]
        recipe = load_recipe(RECIPE, ["--output_dir", str(tmp_path), *overrides])
        assert recipe.trainer.steps_per_generation == UPDATES_PER_ROUND
        cycle = recipe.trainer.steps_per_generation * recipe.trainer.num_iterations
        assert recipe.trainer.save_steps % cycle == 0  # a resumed run is exact


def test_jobs_depend_only_on_jobs_that_exist_and_results_are_distinct(tmp_path: Path):
    jobs = plan(QuickstartSettings(out=tmp_path))
    names = {job.name for job in jobs}
    assert len({job.result for job in jobs}) == len(names) == len(jobs)
    assert all(set(job.after) <= names for job in jobs)


@pytest.mark.parametrize("setting", [{"steps": 0}, {"num_samples": 8}, {"methods": ("no",)}])
def test_bad_settings_are_refused(tmp_path: Path, setting):
    with pytest.raises(ConfigError):
        QuickstartSettings(out=tmp_path, **setting)


def test_other_coefficients_go_to_another_folder(tmp_path: Path):
    a, b = (QuickstartSettings(out=tmp_path, steps=steps) for steps in (1, 2))
    assert a.train_folder("dra") != b.train_folder("dra")
    assert a.train_folder("dra") != a.train_folder("grpo")
