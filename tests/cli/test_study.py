"""``polypath study``: options, the plan, and errors of one line."""

import json
from pathlib import Path

import pytest

from polypath.cli.main import run
from tests.studies.small_study import write


def test_the_plan_lists_every_job_and_runs_nothing(tmp_path: Path, capsys):
    command = ["study", str(write(tmp_path)), "--out", str(tmp_path / "out"), "--plan"]
    assert run([*command, "--json", str(tmp_path / "plan.json")]) == 0
    told = capsys.readouterr().out
    assert "train GRPO, seed 1" in told
    jobs = json.loads((tmp_path / "plan.json").read_text())
    assert f"{len(jobs)} jobs" in told
    assert not any(job["done"] for job in jobs)
    assert not (tmp_path / "out").exists()

    assert run([*command, "--only", "kl", "--seeds", "5", "--json", "-"]) == 0
    some = json.loads(capsys.readouterr().out)
    assert {job["job"] for job in some if job["job"].startswith("train")} == {"train kl, seed 5"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "grop"], "'grpo'"),
        (["--seeds", "a"], "--seeds takes whole numbers"),
        (["--workers", "0"], "--workers must be at least 1"),
    ],
)
def test_bad_options_are_one_line(tmp_path: Path, capsys, options, message):
    assert run(["study", str(write(tmp_path)), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_bad_file_is_one_line(tmp_path: Path, capsys):
    assert run(["study", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    path = write(tmp_path, recipe="none.yaml")
    assert run(["study", str(path), "--plan"]) == 2
    assert "none.yaml does not exist" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert run(["study", str(write(tmp_path)), "--out", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err
