"""The reward function in verl's own reward manager."""

import asyncio

import pytest

pytest.importorskip("verl", reason="verl has an environment of its own: make test-verl")

from omegaconf import OmegaConf
from verl.trainer.ppo.reward import get_custom_reward_fn

from polypath.errors import ConfigError
from polypath.tasks import get_task

GOLD = "18 from 2 4 8 9"
TASK = """
from polypath import task_from

def reward(prompts, completions, answer, **columns):
    return [None if "?" in text else float(text == gold) for text, gold in zip(completions, answer)]

def make():
    return task_from([{"prompt": "2+2", "answer": "4"}], reward, name="sums")
"""


def load(**kwargs):
    function = {"path": "pkg://polypath.engines.verl.reward", "name": "compute_score"}
    reward = {"custom_reward_function": {**function, "reward_kwargs": kwargs}}
    return get_custom_reward_fn(OmegaConf.create({"reward": reward}))


def ask(function, texts, source="countdown", gold=GOLD):
    async def all_of_them():
        asked = (
            function(data_source=source, solution_str=t, ground_truth=gold, extra_info={})
            for t in texts
        )
        return await asyncio.gather(*asked)

    return asyncio.run(all_of_them())


def test_scores_solutions_and_statuses() -> None:
    right, wrong, nothing = ask(load(), ["2 * 9", "2 + 9", "x"])
    assert (right["score"], right["acc"], right["scored"]) == (1.0, 1.0, True)
    assert right["solution"]
    assert (wrong["score"], wrong["acc"], wrong["status"]) == (0.0, 0.0, "graded")
    assert (nothing["acc"], nothing["solution"]) == (0.0, None)
    assert nothing["status"] != "graded"


def test_an_own_task_and_rewards_that_are_none(tmp_path) -> None:
    file = tmp_path / "sums.py"
    file.write_text(TASK)
    function = load(task=f"{file}:make")
    (problem,) = get_task(f"{file}:make").problems("train")
    found = ask(function, ["4", "5", "?"], source="anything", gold=problem.gold)
    right, wrong, unknown = found
    assert [right["score"], wrong["score"]] == [1.0, 0.0]
    assert [right["scored"], unknown["scored"]] == [True, False]


def test_an_unknown_task_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="countdown"):
        ask(load(), ["1"], source="cuontdown")
