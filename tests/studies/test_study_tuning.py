"""A study that tunes first (candidates on dev, the choice in a file), and a method that joins it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from polypath.cli.main import run as command
from polypath.errors import ConfigError, PolypathError
from polypath.studies.load import load_study
from polypath.studies.plan import TIMINGS, StudyPlan
from polypath.studies.run import run_study, stages
from polypath.studies.strengths import candidates, tuning_study
from polypath.studies.tuning import FOLDER, PICKED
from tests.studies.small_study import forked_workers, write

TUNED: dict[str, Any] = {
    "seeds": [0],
    "tuning_seed": 7,
    "pick": "pass@4 at equal pass@1",
    "page": False,
    "presample": None,
    "temperatures": [],
    "pairs": [],
    "relations": [],
    "methods": {
        "grpo": {
            "label": "GRPO",
            "checkpoints": [2],
            "strengths": {"learning_rate": [1e-3, 1e-4]},
        },
        "kl": {"label": "KL", "settings": {"epsilon": 0.3}, "strengths": {"beta": [0.1, 0.01]}},
    },
    "tuning": {"split": "dev", "problems": 6, "samples": 4, "ks": [1, 4]},
    "evaluation": {"test": {"problems": 6, "samples": 4, "ks": [1, 4], "greedy": False}},
}
METHOD = """
from dataclasses import dataclass

from polypath.objectives import RewardAdjustment
from polypath.settings import setting


@dataclass(frozen=True, kw_only=True)
class BonusConfig:
    size: float = setting(0.5, "Added to correct completions.")


def bonus(config, rewards_P_G, correct_P_G):
    return rewards_P_G + config.size * correct_P_G


BONUS = RewardAdjustment(
    name="bonus", config=BonusConfig, function=bonus, line="More for right ones.", paper="Mine"
)
"""


def tuned_study(folder: Path, **changes: Any) -> Path:
    return write(folder, **{**TUNED, **changes})


def joining(folder: Path, **changes: Any) -> Path:
    """Write somebody else's method, in a folder of their own, and the file that joins it."""
    folder.mkdir(exist_ok=True)
    (folder / "bonus.py").write_text(METHOD)
    method = {
        "label": "bonus",
        "settings": {"objectives": ["bonus.py:BONUS"], "bonus": True},
        "strengths": {"bonus_size": [0.5, 2.0]},
    }
    (folder / "bonus.yaml").write_text(yaml.safe_dump({"methods": {"bonus": method | changes}}))
    return folder / "bonus.yaml"


def jobs_of(plans: list[StudyPlan]) -> dict[str, bool]:
    return {job.name: job.result.exists() for plan in plans for job in plan.jobs()}


def test_it_tunes_on_dev_then_reports_then_another_method_joins(tmp_path: Path, capsys):
    path, out = tuned_study(tmp_path / "study"), tmp_path / "out"
    study = load_study(path)
    [first] = stages(study, out)  # what is reported is not known yet
    assert {e.split for name in first.study.methods for _, _, e in first.states(name)} == {"dev"}
    with forked_workers():
        results = run_study(study, out, workers=1, console=Console(quiet=True))

    found = json.loads((out / FOLDER / PICKED).read_text())
    assert (found["rule"], found["split"], found["seed"]) == ("pass@4 at equal pass@1", "dev", 7)
    for name, key in (("grpo", "pass_at_1"), ("kl", "value")):
        ones = found["methods"][name]["candidates"]
        equal = [one for one in ones if one["outside"] != "below"] or ones
        best = max(equal, key=lambda one: one[key])
        assert found["methods"][name]["picked"] == best["settings"]
        used = results["study"]["methods"][name]["settings"]
        assert used == {**study.methods[name].settings, **best["settings"]}
    # The rule's value is that of the table of the tuning stage.
    told = json.loads((out / FOLDER / "results.json").read_text())["splits"]["dev"]["matched"]
    by_name = {row["name"]: row["differences"]["pass@4"]["estimate"] for row in told}
    names = candidates(study.methods["kl"])
    values = [one["value"] for one in found["methods"]["kl"]["candidates"]]
    assert values == pytest.approx([by_name[name] for name in names])
    assert all(row["seeds"] in ([], [0]) for row in results["splits"]["test"]["rows"])
    note = next(note for note in results["notes"] if "picked on dev" in note)
    assert "2 runs of each method with seed 7" in note
    assert "KL: beta" in note

    seconds = json.loads((out / TIMINGS).read_text())
    joined = joining(tmp_path / "theirs")
    more = load_study(path, joined=[joined])
    waiting = {name for name, done in jobs_of(stages(more, out)).items() if not done}
    assert waiting
    assert all("bonus" in name for name in waiting)  # nothing of the others runs again
    with forked_workers():
        command(["study", str(path), "--out", str(out), "--join", str(joined), "--workers", "1"])
    capsys.readouterr()
    after = json.loads((out / "results.json").read_text())
    rows = {row["name"]: row for row in after["splits"]["test"]["rows"]}
    before = {row["name"]: row for row in results["splits"]["test"]["rows"]}
    assert set(rows) == {*before, "bonus"}
    for name, row in before.items():
        assert rows[name]["metrics"] == row["metrics"]
    now = json.loads((out / TIMINGS).read_text())
    assert {name: now[name] for name in seconds} == seconds
    assert all("bonus" in name for name in now.keys() - seconds.keys())
    assert "bonus" in (out / "table.md").read_text()
    assert (out / "joined" / "bonus.yaml").is_file()
    plan = stages(more, out)[-1]
    assert all(job.result.exists() for job in plan.jobs())
    # The method's file decides its results, its place does not.
    moved = load_study(path, joined=[joining(tmp_path / "elsewhere")])
    assert all(jobs_of(stages(moved, out)).values())
    with (tmp_path / "elsewhere" / "bonus.py").open("a") as file:
        file.write("# changed\n")
    waiting = {name for name, done in jobs_of(stages(moved, out)).items() if not done}
    assert waiting
    assert all("bonus" in name for name in waiting)


def test_a_line_in_the_study_joins_a_file_beside_it(tmp_path: Path):
    joining(tmp_path / "theirs")
    plain = load_study(tuned_study(tmp_path))
    study = load_study(tuned_study(tmp_path, method_files=["theirs/bonus.yaml"]))
    assert list(study.methods) == ["grpo", "kl", "bonus"]
    [without], [joined] = (stages(one, tmp_path / "out") for one in (plain, study))
    results = {job.name: job.result for job in joined.jobs()}
    assert {job.name: job.result for job in without.jobs()}.items() <= results.items()
    by_line = load_study(tmp_path / "study.yaml", joined=[])
    assert "--join" not in by_line.command


def test_candidates_are_all_combinations_or_a_list(tmp_path: Path):
    grid = {"beta": [0.1, 0.2], "epsilon": [0.2, 0.3]}
    ones = [{"beta": 0.1}, {"epsilon": 0.3}, {"beta": 0.2, "epsilon": 0.1}, {"epsilon": 0.4}]
    methods = {
        "grpo": {"checkpoints": [2]},
        "kl": {"strengths": grid},
        "other": {"strengths": ones, "checkpoints": [2], "temperatures": [0.5]},
    }
    study = load_study(tuned_study(tmp_path, methods=methods))
    assert [dict(s) for s in study.methods["kl"].strengths] == [
        {"beta": 0.1, "epsilon": 0.2},
        {"beta": 0.1, "epsilon": 0.3},
        {"beta": 0.2, "epsilon": 0.2},
        {"beta": 0.2, "epsilon": 0.3},
    ]
    tuning = tuning_study(study)
    assert len(tuning.methods) == 1 + 4 + 4  # the reference, which is not tuned, has its one run
    assert [m.name for m in tuning.methods.values() if m.checkpoints] == ["grpo"]
    assert tuning.seeds == (7,)
    [plan] = stages(study, tmp_path / "out")
    assert len({plan.method_folder(name) for name in plan.study.methods}) == 9


def method(**content: Any) -> dict[str, Any]:
    return {"methods": {**TUNED["methods"], "kl": {**TUNED["methods"]["kl"], **content}}}


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "more runs for one": (method(strengths={"beta": [1, 2, 3]}), ["grpo 2", "kl 3"]),
    "one candidate": (method(strengths={"beta": [1]}), ["strengths", "two", "methods.kl"]),
    "a candidate twice": (method(strengths=[{"beta": 1}, {"beta": 1}]), ["twice", "methods.kl"]),
    "no list": (method(strengths=3), ["strengths", "methods.kl", "3"]),
    "the runner's key": (method(strengths={"seed": [1, 2]}), ["'seed'", "methods.kl"]),
    "strengths of a checkpoint": (
        {"methods": {**TUNED["methods"], "half": {"of": "grpo", "step": 2, "strengths": {}}}},
        ["strengths", "methods.half"],
    ),
    "a seed that is reported": ({"tuning_seed": 0}, ["tuning_seed", "0"]),
    "no tuning split": ({"tuning": None}, ["tuning"]),
    "tuning on a test split": ({"tuning": {"split": "test_large"}}, ["'test_large'"]),
    "tuning where it reports": ({"evaluation": {"dev": {"samples": 4}}}, ["'dev'"]),
    "in stage tune": (
        {"stage": "tune", "evaluation": {"dev": {"samples": 4}}},
        ["strengths", "report"],
    ),
    "an unknown rule": ({"pick": "pass@3"}, ["pick", "'pass@3'", "pass@4"]),
    "pass@1 at equal pass@1": ({"pick": "pass@1 at equal pass@1"}, ["pick"]),
    "no reference to stop": ({"against": None}, ["checkpoints", "pass@4"]),
    "a file that is not there": ({"method_files": ["none.yaml"]}, ["none.yaml"]),
}


@pytest.mark.parametrize("why", BAD)
def test_what_cannot_be_tuned_is_refused_in_one_line(tmp_path: Path, why: str):
    changes, named = BAD[why]
    path = tuned_study(tmp_path, **changes)
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    with pytest.raises(PolypathError) as caught:
        load_study(path)
    assert [fact for fact in named if fact not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_a_rule_without_strengths_and_a_name_that_is_taken_are_refused(tmp_path: Path):
    path = tuned_study(tmp_path, methods={"grpo": {"checkpoints": [2]}, "kl": {}})
    with pytest.raises(ConfigError, match="pick"):
        load_study(path)
    joined = joining(tmp_path / "theirs")
    joined.write_text(joined.read_text().replace("  bonus:\n", "  kl:\n", 1))
    with pytest.raises(ConfigError, match=rf"'kl' of {re.escape(str(joined))}"):
        load_study(tuned_study(tmp_path), joined=[joined])
    joined.write_text("method: {}")
    with pytest.raises(ConfigError, match=r"'method'.*'methods'"):
        load_study(tuned_study(tmp_path), joined=[joined])


def test_a_method_whose_settings_do_not_fit_is_refused_before_anything_runs(tmp_path: Path):
    study = load_study(tuned_study(tmp_path, **method(strengths={"betta": [1, 2]})))
    with pytest.raises(ConfigError, match=r"betta"):
        run_study(study, tmp_path / "out", console=Console(quiet=True))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="not picked"):
        StudyPlan(load_study(tuned_study(tmp_path)), tmp_path / "out")
