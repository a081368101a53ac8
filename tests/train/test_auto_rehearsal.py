"""``rehearsal_set: auto``: a run samples its own rehearsal set first."""

from typing import Any

import pytest

from polypath.cli.main import run as command
from polypath.errors import ConfigError
from polypath.rehearsal.dataset import RehearsalSet
from polypath.rollouts import RolloutStore
from polypath.train.auto_rehearsal import FOLDER, SAMPLES, SOLUTIONS, make_rehearsal_set
from polypath.train.callbacks import read_log
from polypath.train.config import load_recipe
from polypath.train.run import resolve_model, run
from tests.train.conftest import WriteRecipe

RECIPE = {
    "model_name_or_path": "countdown-base",
    "max_completion_length": 12,
    "rehearsal_set": "auto",
    "rehearsal_coef": 0.03,
    "rehearsal_explore_only": False,
}


def test_a_run_rehearses_the_bases_different_solutions(
    write_recipe: WriteRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    moving = {"positive_entropy_coef": 1.0, "positive_entropy_gate": "all"}
    recipe = load_recipe(write_recipe(**RECIPE, **moving))
    folder = run(recipe)
    stored = RehearsalSet.load(folder / FOLDER)
    samples = RolloutStore.open(folder / FOLDER / "samples")
    right: dict[str, set[str]] = {}
    for batch in samples.iter_batches():
        for row in batch.to_pylist():
            if row["correct"] and row["finish_reason"] == "stop":
                right.setdefault(row["problem_id"], set()).add(row["answer"])
    assert right
    kept = {row.problem_id: len(row.rows) for row in stored.partition if row.rows}
    assert kept == {problem: min(len(found), SOLUTIONS) for problem, found in right.items()}
    assert all(row.sampled == SAMPLES for row in stored.partition)
    log = read_log(folder / "log.jsonl")
    assert log[0]["rehearsal/log_ratio_abs"] < 1e-3  # the set is the policy's own, before it moves
    assert log[-2]["rehearsal/divergence"] > 0
    assert recipe.values["rehearsal_set"] == "auto"
    assert (
        run(load_recipe(write_recipe(**RECIPE, **moving))) == folder
    )  # the record is the recipe's words
    assert "already finished" in capsys.readouterr().out


def test_a_set_that_is_there_is_not_made_again(write_recipe: WriteRecipe) -> None:
    before = None
    for _ in range(2):
        recipe = load_recipe(write_recipe(**RECIPE))
        make_rehearsal_set(recipe, resolve_model("countdown-base"))
        manifest = RehearsalSet.load(str(recipe.trainer.rehearsal_set)).folder / "manifest.json"
        assert before in (None, manifest.stat().st_mtime_ns)
        before = manifest.stat().st_mtime_ns


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rehearsal_explore_only": True}, "none of them would be trained on.*: false"),
        ({"task": None, "task_limit": None}, "names none.*presample --problems"),
    ],
)
def test_what_it_cannot_do_is_one_line(
    settings: dict[str, Any], message: str, write_recipe: WriteRecipe
) -> None:
    recipe = load_recipe(write_recipe(**{**RECIPE, **settings}))
    with pytest.raises(ConfigError, match=message) as error:
        make_rehearsal_set(recipe, "countdown-base")
    assert "\n" not in str(error.value)


def test_without_rehearsal_nothing_is_made(write_recipe: WriteRecipe) -> None:
    recipe = load_recipe(write_recipe(**{**RECIPE, "rehearsal_coef": 0.0}))
    make_rehearsal_set(recipe, "countdown-base")
    assert recipe.trainer.rehearsal_set == "auto"


def test_the_plan_needs_no_set(
    write_recipe: WriteRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["train", "--config", str(write_recipe(**RECIPE)), "--plan"]) == 0
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "solutions of solved problems" in told
    assert "rehearsal set " not in told
