"""What a recipe trains on and is rewarded for, where it names a task with options."""

import json
from pathlib import Path
from typing import Any

import pytest

from polypath.errors import ConfigError
from polypath.train.config import load_recipe
from polypath.train.sources import load_datasets, load_rewards
from tests.tasks.data import HUB_SHAPED, write_rows
from tests.train.conftest import WriteRecipe

pytest.importorskip("math_verify")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with a file for each split of GSM8K."""
    one, two = HUB_SHAPED["gsm8k"]
    write_rows(tmp_path / "data" / "train.jsonl", [one])
    write_rows(tmp_path / "data" / "test.jsonl", [two])
    return tmp_path / "data"


@pytest.mark.parametrize("form", ["list", "mapping", "text", "override"])
def test_task_options_are_given_in_any_of_these_ways(
    form: str, data: Path, write_recipe: WriteRecipe
) -> None:
    texts = [f"data={data}", "prompt=plain", "deadline=2.5"]
    given: dict[str, Any] = {
        "list": texts,
        "mapping": {"data": str(data), "prompt": "plain", "deadline": 2.5},
        "text": texts[0],
        "override": None,
    }
    overrides = ["--task_options", *texts] if form == "override" else []
    recipe = load_recipe(write_recipe(task="gsm8k", task_options=given[form]), overrides)
    assert sorted(recipe.task.task_options) == sorted(texts[:1] if form == "text" else texts)
    train, held_out = load_datasets(recipe)
    assert train["gold"] == ["5"]
    assert held_out is None
    reward, *_ = load_rewards(recipe.task)
    assert reward(["\\boxed{5}", "\\boxed{6}"], ["5", "5"]) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["data"], "task_options takes KEY=VALUE, such as data=problems.jsonl, got 'data'"),
        (["prompt=dra", "prompt=boxed"], "task_options gives prompt twice"),
        (5, "task_options must be a list of KEY=VALUE texts or a mapping, got 5"),
        ({"data": ["a", "b"]}, "task_options must give data one value, got list"),
        ({"dat": "x"}, "Unknown option of task gsm8k 'dat'. Did you mean 'data'"),
    ],
)
def test_bad_task_options_are_one_line(
    options: Any, message: str, write_recipe: WriteRecipe
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_rewards(load_recipe(write_recipe(task="gsm8k", task_options=options)).task)
    assert "\n" not in str(error.value)


def test_evaluation_may_not_share_problems_with_training(
    data: Path, write_recipe: WriteRecipe
) -> None:
    settings: dict[str, Any] = {"task": "gsm8k", "eval_strategy": "steps", "eval_steps": 1}
    options = [f"data={data}", "prompt=plain"]
    train, held_out = load_datasets(load_recipe(write_recipe(**settings, task_options=options)))
    assert (train["gold"], held_out["gold"]) == (["5"], ["1200"])
    options = [f"data={data / 'train.jsonl'}"]  # one file for both
    recipe = load_recipe(write_recipe(**settings, task_options=options))
    with pytest.raises(ConfigError, match=r"split 'test' of gsm8k, which shares problems"):
        load_datasets(recipe)


def test_rewards_of_form_and_length_are_named_in_a_recipe(
    data: Path, write_recipe: WriteRecipe
) -> None:
    names = ["boxed_format_reward", "dra_think_format_reward"]
    names += ["cosine_length_reward", "dra_cosine_length_reward"]
    options = [f"data={data}"]
    recipe = load_recipe(
        write_recipe(
            task="gsm8k", task_options=options, reward_funcs=names, task_timeout_reward="none"
        )
    )
    found = load_rewards(recipe.task, 4)
    assert [function.__name__ for function in found] == ["gsm8k_reward", *names]
    assert found[0].timeout_reward == "none"
    columns: dict[str, Any] = {"gold": ["5"], "completion_ids": [[1, 1, 1, 1]]}
    values = [function(completions=["\\boxed{5}"], **columns)[0] for function in found]
    assert values[:4] == [1.0, 1.0, 0.0, pytest.approx(0.5)]
    assert values[4] == pytest.approx(1.0, abs=1e-3)
    recipe = load_recipe(write_recipe(task=None, reward_funcs=["cosine_length_reward"]))
    with pytest.raises(ConfigError, match="cosine_length_reward needs a task"):
        load_rewards(recipe.task)
    recipe = load_recipe(write_recipe(reward_funcs=["cosine_length"]))
    with pytest.raises(ConfigError, match="Did you mean 'cosine_length_reward'"):
        load_rewards(recipe.task)


def test_a_mapping_and_a_list_are_the_same_run(data: Path, write_recipe: WriteRecipe) -> None:
    mapped = load_recipe(write_recipe(task="gsm8k", task_options={"data": str(data)}))
    listed = load_recipe(write_recipe(task="gsm8k", task_options=[f"data={data}"]))
    assert json.dumps(mapped.values) == json.dumps(listed.values)
