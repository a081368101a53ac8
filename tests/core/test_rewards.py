"""A task's reward: one batch per call, each text once, statuses counted, timeouts left out if asked."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from polypath.core.rewards import TaskReward
from polypath.core.shaped_rewards import (
    LENGTH_REWARDS,
    CosineLengthReward,
    boxed_format_reward,
    dra_think_format_reward,
)
from polypath.core.verdicts import CACHE_SIZE
from polypath.errors import ConfigError
from polypath.tasks.own import task_from
from polypath.verify.base import Status, Verdict
from polypath.verify.shaping import CosineLength
from tests.engines.trl.helpers import addition_rows, logged, make, noise, train
from tests.engines.trl.test_values import Watched
from tests.rehearsal.adder import Addition
from tests.rounding import F32, rounding


class Counting(Addition):
    """Additions; keeps what it was asked, and has a status of its own for some texts."""

    batches: list[list[str]]

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        self.__dict__.setdefault("batches", []).append(list(completions))
        return [self._judge(c, g) for c, g in zip(completions, golds, strict=True)]

    def _judge(self, text: str, gold: str) -> Verdict:
        if text in ("timeout", "error", "bad_gold"):
            return Verdict(status=Status(text))
        return self.verify(text, gold)


class Slow(Addition):
    """Takes too long for a third of all texts, and finds every second of the others right."""

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        del golds
        return [slow(text) for text in completions]


def slow(text: str) -> Verdict:
    if noise(text) % 3 == 0:
        return Verdict(status=Status.TIMEOUT)
    return Verdict(status=Status.GRADED, reward=float(noise(text) % 2), answer=text)


def test_a_call_is_one_batch_and_a_text_is_judged_once() -> None:
    task = Counting()
    reward = TaskReward(task)
    texts = ["3", "4", "3", "x"]
    assert reward(texts, ["3", "3", "3", "3"]) == [1.0, 0.0, 1.0, 0.0]
    assert task.batches == [["3", "4", "x"]]
    assert [reward.solution(text, {"gold": "3"}) for text in texts] == ["3", "4", "3", None]
    assert reward([[{"role": "assistant", "content": "3"}]], ["3"]) == [1.0]
    assert reward(["3", "5"], ["4", "3"]) == [0.0, 0.0]
    assert task.batches[1:] == [["3", "5"]], "a text with another gold is another question"
    assert reward([], []) == []


def test_what_is_remembered_is_bounded_and_the_oldest_go_first() -> None:
    task = Counting()
    reward = TaskReward(task)
    many = [str(n) for n in range(CACHE_SIZE + 10)]
    assert reward(many, many) == [1.0] * len(many), "more than fits is judged all the same"
    assert len(reward._known) == CACHE_SIZE
    reward.verdict(many[-1], many[-1])
    assert len(task.batches) == 1
    reward.verdict(many[0], many[0])
    assert len(task.batches) == 2


def test_statuses_are_logged_as_shares() -> None:
    seen: dict[str, float] = {}
    reward = TaskReward(Counting())
    reward(["3", "none", "timeout", "error"], ["3"] * 4, log_metric=seen.__setitem__)
    assert seen == {
        "verify/no_answer": 0.25,
        "verify/bad_gold": 0.0,
        "verify/timeout": 0.25,
        "verify/error": 0.25,
    }
    assert reward.statuses[Status.GRADED] == 1


def test_trouble_of_the_verifier_is_told_once() -> None:
    reward = TaskReward(Counting())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reward(["none"] * 100, ["3"] * 100)  # the model's fault
        reward(["timeout", "error"], ["3"] * 2)  # so few are no trouble
    with pytest.warns(UserWarning, match="3 timeout, 1 error of 104"):
        reward(["timeout", "timeout"], ["3"] * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reward(["timeout"] * 50, ["3"] * 50)


def test_what_an_own_function_does_not_score_has_no_reward() -> None:
    def judge(completions: list[str], **columns: Any) -> list[float | None]:
        del columns
        return [{"right": 1.0, "wrong": 0.0}.get(text, math.nan) for text in completions]

    task = task_from({"train": [{"prompt": "1 + 1", "answer": "2"}]}, judge)
    reward = TaskReward(task)
    (problem,) = task.problems("train")
    texts = ["right", "wrong", "other"] * 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is meant so: no trouble of a verifier
        found = reward(completions=texts, gold=[problem.gold] * 300)
    assert found == [1.0, 0.0, None] * 100
    length = CosineLengthReward(reward, CosineLength(max_length=10), name="length")
    shaped = length(completions=texts[:3], gold=[problem.gold] * 3, completion_ids=[[1]] * 3)
    assert [value is None for value in shaped] == [False, False, True]


def test_a_timeout_has_reward_zero_or_none() -> None:
    texts, golds = ["3", "timeout", "error"], ["3"] * 3
    assert TaskReward(Counting())(texts, golds) == [1.0, 0.0, 0.0]
    assert TaskReward(Counting(), timeout_reward="none")(texts, golds) == [1.0, None, 0.0]
    with pytest.raises(ConfigError, match="nothing"):
        TaskReward(Counting(), timeout_reward="nothing")  # type: ignore[arg-type]


def advantages_by_hand(verdicts: list[Verdict], rewards: list[float]) -> list[float]:
    """Return one group's advantages: timed-out completions have none and count for nobody."""
    scored = [r for r, v in zip(rewards, verdicts, strict=True) if v.status is not Status.TIMEOUT]
    mean = sum(scored) / max(len(scored), 1)
    variance = sum((r - mean) ** 2 for r in scored) / max(len(scored) - 1, 1)
    return [
        0.0 if v.status is Status.TIMEOUT else (r - mean) / (variance**0.5 + 1e-4)
        for r, v in zip(rewards, verdicts, strict=True)
    ]


@pytest.mark.parametrize("dra", [False, True])
def test_a_timed_out_completion_does_not_count_in_its_group(
    dra: bool, tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = train(
        tiny_model_dir,
        tmp_path,
        data=Dataset.from_list(addition_rows()),
        rewards=TaskReward(Slow(), timeout_reward="none"),
        trainer_class=Watched,
        dra=dra,
        diversity_metrics=True,
        per_device_train_batch_size=8,
        max_completion_length=4,
        max_steps=3,
    )
    mixed = 0
    for batch in trainer.generated:
        texts = trainer.processing_class.batch_decode(
            batch["completion_ids"], skip_special_tokens=True
        )
        expected: list[float] = []
        for start in (0, 4):
            verdicts = [slow(text) for text in texts[start : start + 4]]
            rewards = [verdict.reward for verdict in verdicts]
            timed_out = [v.status is Status.TIMEOUT for v in verdicts]
            scored = {r for r, t in zip(rewards, timed_out, strict=True) if not t}
            mixed += any(timed_out) and not all(timed_out)
            if dra and len(scored) > 1:
                ids = [
                    trainer.processing_class(text)["input_ids"] for text in texts[start : start + 4]
                ]
                rewards = adjusted_by_hand(rewards, ids)
            expected += advantages_by_hand(verdicts, rewards)
        assert batch["advantages"].tolist() == pytest.approx(
            expected, abs=rounding(10, size=2, eps=F32)
        )
        assert batch["correct"].tolist() == [slow(text).correct for text in texts]
    assert mixed >= 2
    shares = logged(trainer, "verify/timeout")
    assert len(shares) == 3
    assert 0 < sum(shares) / 3 < 1


def adjusted_by_hand(rewards: list[float], ids: list[list[int]]) -> list[float]:
    """Return DRA's rewards of a group: Jaccard of n-grams, graph cut with lambda 1/2."""
    grams = [
        {tuple(row[i : i + n]) for n in (1, 2, 3) for i in range(len(row) - n + 1)} for row in ids
    ]
    return [
        reward
        / (
            1
            + sum(
                len(grams[i] & g) / max(len(grams[i] | g), 1) for j, g in enumerate(grams) if j != i
            )
        )
        for i, reward in enumerate(rewards)
    ]


def test_rewards_of_form() -> None:
    texts: list[Any] = ["so \\boxed{3}", "3", [{"role": "assistant", "content": "x\n</think>\n3"}]]
    assert boxed_format_reward(texts, gold=["3"] * 3) == [1.0, 0.0, 0.0]
    assert dra_think_format_reward(texts, gold=["3"] * 3) == [0.0, 0.0, 1.0]


def test_rewards_of_length_ask_the_tasks_verifier_once() -> None:
    task = Counting()
    judge = TaskReward(task, timeout_reward="none")
    texts, golds = ["3", "3 3", "4", "timeout"], ["3"] * 4
    ids = [[1], [1, 1, 1, 1], [1], [1]]
    judge(texts, golds)
    ours = CosineLengthReward(judge, LENGTH_REWARDS["cosine_length_reward"](4), name="ours")
    short, long, wrong, nothing = ours(texts, golds, completion_ids=ids, log_metric=None)
    assert short is not None
    assert long is not None
    assert wrong is not None
    assert 1 > short > 0.9 > long == pytest.approx(0.5)
    assert -0.1 < wrong < 0
    assert nothing is None
    assert len(task.batches) == 1
    authors = LENGTH_REWARDS["dra_cosine_length_reward"](4)
    theirs = CosineLengthReward(judge, authors, name="theirs")
    text = "3" + " " * 1999  # twice their length: their cosine has come round
    assert theirs([text], ["3"], completion_ids=[[1]]) == [pytest.approx(1.0)]
    assert len(task.batches) == 2


def test_a_stock_trainer_logs_statuses_as_well(tiny_model_dir: Path, tmp_path: Path) -> None:
    trainer = make(
        tiny_model_dir,
        tmp_path,
        data=Dataset.from_list(addition_rows()),
        rewards=TaskReward(Addition()),
        stock=True,
        max_steps=1,
    )
    trainer.train()
    (share,) = logged(trainer, "verify/no_answer")
    assert 0 <= share <= 1
