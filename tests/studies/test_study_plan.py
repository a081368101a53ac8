"""What a study will do, before anything runs: jobs, folders, refusals."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from polypath.errors import ConfigError
from polypath.rehearsal.settings import PresampleSettings
from polypath.studies.arguments import budgets
from polypath.studies.results import notes_of
from polypath.studies.run import plan_record
from polypath.studies.splits import base_and_methods
from tests.studies.small_study import STUDY, not_done, other_base, plan_of


def test_other_settings_go_to_another_folder_and_equal_ones_are_found_again(
    finished_study, tmp_path
):
    _, out, _, _ = finished_study

    def names(**changes: Any) -> set[str]:
        return not_done(plan_of(tmp_path, out, **changes))

    assert names() == set()
    assert (
        names(methods=STUDY["methods"] | {"grpo": {"label": "renamed", "checkpoints": [2]}})
        == set()
    )
    of_grpo = names(methods=STUDY["methods"] | {"grpo": {"settings": {"epsilon": 0.3}}})
    assert of_grpo
    assert all("grpo" in name for name in of_grpo)
    everything = {entry["job"] for entry in plan_record(plan_of(tmp_path, out))}
    trained = {name for name in everything if "seed" in name}
    assert names(settings={"beta": 0.1}) == trained
    assert names(recipe_values={"learning_rate": 1e-4}) == trained
    of_kl = names(presample={**STUDY["presample"], "threshold": 2})
    assert "presample rehearsal" in of_kl
    assert all("kl" in name or "presample" in name for name in of_kl)
    assert names(base=str(other_base(tmp_path))) == everything
    assert all("seed 7" in name for name in names(seeds=[0, 7]))
    fewer = names(evaluation={"test": {"problems": 11, "samples": 4, "ks": [1]}})
    assert fewer
    assert all(name.startswith("evaluate") for name in fewer)


def test_dropped_repeats_make_another_set_and_kept_ones_the_set_from_before(tmp_path: Path):
    def identity(**changes: Any) -> dict[str, Any]:
        presample = {**STUDY["presample"], **changes}
        plan = plan_of(tmp_path, tmp_path / "out", presample=presample)
        return plan.method_identity("kl")["rehearsal"]

    assert identity(repeated_answers="keep") == identity()
    # As before there was such a setting: all the others, those without a value, too.
    names = {field.name for field in fields(PresampleSettings)} - {"batch_size", "repeated_answers"}
    assert names == set(identity()) - {"base", "weights", "task", "options", "split", "limit"}
    assert identity(repeated_answers="drop") == identity() | {"repeated_answers": "drop"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"methods": {"grpo": {"settings": {"epsilonn": 1}}}}, ["methods.grpo", "'epsilonn'"]),
        ({"methods": {"grpo": {"settings": {"epsilon": "x"}}}}, ["methods.grpo", "epsilon"]),
        ({"methods": {"grpo": {"checkpoints": [3]}}}, ["methods.grpo", "checkpoint 3"]),
        (
            {"methods": {"grpo": {"settings": {"save_strategy": "no"}, "checkpoints": [2]}}},
            ["checkpoints", "save_strategy: steps", "'no'"],
        ),
        ({"methods": {"grpo": {}, "half": {"of": "grpo", "step": 3}}}, ["checkpoint 3"]),
        ({"methods": {"grpo": {}, "half": {"of": "grpo", "step": 6}}}, ["checkpoint 6"]),
        (
            {"methods": {"grpo": {}, "half": {"of": "grpo", "step": 2, "checkpoints": [4]}}},
            ["methods.half", "checkpoint 4", "step 2"],
        ),
        ({"settings": {"task_split": "test"}}, ["'test'"]),
        ({"settings": {"task_split": "dev"}, "tuning": {"split": "dev", "samples": 4}}, ["'dev'"]),
        ({"presample": {"split": "test_large"}}, ["'test_large'"]),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_runs(tmp_path, changes, named):
    with pytest.raises(ConfigError) as caught:
        plan_of(tmp_path, tmp_path / "out", **{"against": "", "pairs": [], **changes})
    assert [fact for fact in named if fact not in str(caught.value)] == []
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_jobs_need_only_jobs_that_exist_and_methods_of_other_budgets_are_told(tmp_path: Path):
    methods = STUDY["methods"] | {"long": {"settings": {"max_steps": 8}}}
    plan = plan_of(tmp_path, tmp_path / "out", methods=methods)
    jobs = plan.jobs()
    names = {job.name for job in jobs}
    assert len(names) == len({job.result for job in jobs}) == len(jobs)
    assert all(set(job.after) <= names for job in jobs)
    assert all(job.kind for job in jobs)
    assert budgets(plan.study, plan.recipes) == {
        "grpo": {"max_steps": 4},
        "kl": {"max_steps": 4},
        "half": {"max_steps": 2},
        "long": {"max_steps": 8},
    }


def test_task_options_of_the_recipe_alone_are_refused(tmp_path: Path):
    values = {"task_options": {"data": "x"}}
    with pytest.raises(ConfigError, match="task_options"):
        plan_of(tmp_path, tmp_path / "out", recipe_values=values)


def test_the_base_at_its_own_temperature_is_no_second_row(tmp_path: Path):
    plan = plan_of(tmp_path, tmp_path / "out")
    names = {
        t: [s.name for s in base_and_methods(plan, plan.study.main, t)] for t in (None, 0.5, 1.0)
    }
    assert names[None] == names[1.0] == ["base", "grpo", "half", "kl"]
    assert names[0.5] == ["base", "base, cooled", "grpo", "half", "kl"]
    assert "that is the base itself" in " ".join(notes_of(plan.study, 1.0, {}))
