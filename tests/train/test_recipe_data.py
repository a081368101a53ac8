"""Prompts, rewards and templates that a recipe names, as a run gets them."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polypath.core.reward_names import NAMES
from polypath.errors import ConfigError, DataError, PolypathError
from polypath.plan.make_plan import make_plan
from polypath.train.config import load_recipe
from polypath.train.run import build_trainer
from polypath.train.sources import load_datasets, load_rewards
from tests.train.conftest import WriteRecipe


@pytest.fixture
def data(tmp_path: Path) -> Callable[[list[dict[str, Any]]], str]:
    """Return a function that writes rows and returns the file's name."""

    def write(rows: list[dict[str, Any]]) -> str:
        path = tmp_path / "data.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


USER = {"role": "user", "content": "2 + 2"}
SYSTEM = {"role": "system", "content": "think"}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("row", "settings", "prompt"),
    [
        ({"problem": "2 + 2"}, {"dataset_prompt_column": "problem"}, [USER]),
        ({"question": "2 + 2"}, {"dataset_prompt_column": "auto"}, [USER]),
        ({"prompt": "2 + 2", "problem": "x"}, {"dataset_prompt_column": "auto"}, [USER]),
        ({"prompt": "x", "problem": "2 + 2"}, {"dataset_prompt_column": "problem"}, [USER]),
        ({"prompt": "2 + 2"}, {"system_prompt": "think"}, [SYSTEM, USER]),
        ({"prompt": [USER]}, {"system_prompt": "think"}, [SYSTEM, USER]),
        ({"prompt": "2 + 2"}, {}, "2 + 2"),
    ],
)
def test_the_prompt_column_becomes_messages(
    row: dict[str, Any],
    settings: dict[str, Any],
    prompt: Any,
    streaming: bool,
    data: Callable[[list[dict[str, Any]]], str],
    write_recipe: WriteRecipe,
) -> None:
    path = write_recipe(
        task=None, dataset_name=data([row]), dataset_streaming=streaming, **settings
    )
    train, _ = load_datasets(load_recipe(path))
    assert next(iter(train))["prompt"] == prompt


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"dataset_prompt_column": "answer"}, DataError),
        ({"dataset_prompt_column": "auto"}, DataError),
        ({}, DataError),
        ({"dataset_prompt_column": "text", "reward_funcs": ["accuracy_reward"]}, DataError),
        ({"task": "countdown", "system_prompt": "x"}, ConfigError),
    ],
)
def test_what_does_not_fit_the_data_is_one_line(
    settings: dict[str, Any],
    error: type[PolypathError],
    data: Callable[[list[dict[str, Any]]], str],
    write_recipe: WriteRecipe,
) -> None:
    path = write_recipe(**({"task": None, "dataset_name": data([{"text": "2"}])} | settings))
    with pytest.raises(error) as raised:
        load_datasets(load_recipe(path))
    assert "\n" not in str(raised.value)


def test_every_reward_a_plan_knows_is_one_that_a_run_loads(write_recipe: WriteRecipe) -> None:
    path = write_recipe(reward_funcs=list(NAMES))
    assert len(make_plan(path).rewards) == len(NAMES) + 1
    functions = load_rewards(load_recipe(path).task)
    names = [function.__name__ for function in functions[1:]]
    assert [name.removeprefix("get_") for name in NAMES] == [
        name.replace("punishment_reward", "punishment") for name in names
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"reward_funcs": ["acuracy_reward"]},
        {"reward_funcs": ["accuracy", "ioi_code", "other"]},
        {"reward_funcs": ["no_such_module.reward"]},
        {"reward_funcs": ["no_such_file.py:reward"]},
        {"reward_funcs": ["math.reward"]},
        {"reward_funcs": ["cosine_length_reward"], "task": None, "dataset_name": "x"},
        {"reward_options": {"cosine_max_length": 3}},
        {"reward_options": {"cosine_max_len": 0}},
        {"reward_options": ["repetition_n_grams=many"]},
    ],
)
def test_a_plan_refuses_the_rewards_that_a_run_refuses(
    settings: dict[str, Any], write_recipe: WriteRecipe
) -> None:
    path = write_recipe(**settings)
    with pytest.raises(PolypathError) as planned:
        make_plan(path)
    with pytest.raises(PolypathError) as started:
        load_rewards(load_recipe(path).task)
    assert str(planned.value) == str(started.value)
    assert "\n" not in str(planned.value)


def test_reward_options_reach_the_functions(write_recipe: WriteRecipe) -> None:
    names = ["cosine_scaled_reward", "repetition_penalty_reward", "get_soft_overlong_punishment"]
    options = {"cosine_max_len": 20, "cosine_max_value_correct": 3.0, "cosine_min_value_wrong": -2}
    options |= {"repetition_n_grams": 1, "repetition_max_penalty": -4}
    options |= {"max_completion_len": 4, "soft_punish_cache": 2}
    path = write_recipe(task=None, reward_funcs=names, reward_options=options)
    cosine, repetition, overlong = load_rewards(load_recipe(path).task)
    completions = [
        [{"role": "assistant", "content": text}] for text in (r"\boxed{4}", r"\boxed{5}")
    ]
    solution = ["$4$", "$4$"]
    right, wrong = cosine(prompts=["x"] * 2, completions=completions, solution=solution)
    share = (1 + math.cos(math.pi * 9 / 20)) / 2  # of 9 characters
    assert right == pytest.approx(0.5 + 2.5 * share)
    assert wrong == pytest.approx(-0.5 - 1.5 * share)
    unread = cosine(prompts=["x"], completions=completions[:1], solution=[""])
    assert unread == [None]
    assert repetition(completion_ids=[[7, 7]]) == [-2.0]
    assert overlong(completion_ids=[[1] * 3]) == [-0.5]


def test_a_chat_template_of_the_recipe_is_the_tokenizers(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    template = "{{ messages[0]['content'] }}"
    file = tmp_path / "template.jinja"
    file.write_text(template)
    for given in (template, str(file)):
        trainer = build_trainer(load_recipe(write_recipe(chat_template=given)))
        assert trainer.processing_class.chat_template == template
        assert trainer.processing_class.padding_side == "left"
    with pytest.raises(PolypathError, match="chat_template"):
        build_trainer(load_recipe(write_recipe(chat_template="no_such.jinja")))
