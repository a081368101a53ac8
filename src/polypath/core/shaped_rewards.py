"""Rewards for form and length in addition to a task's verdict, as reward functions for ``GRPOTrainer``.

The formulas are those of ``polypath.verify.shaping``. Recipes name these under ``reward_funcs``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from polypath.core.rewards import TaskReward
from polypath.core.verdicts import completion_text
from polypath.verify import shaping
from polypath.verify.base import Status, Verdict
from polypath.verify.shaping import CosineLength


class FormReward:
    """A formula of texts as a reward function. TRL logs it under ``name``."""

    def __init__(self, formula: Callable[[list[str]], list[float]], name: str = "") -> None:
        self.__name__ = name or formula.__name__
        self._formula = formula

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        """Return one reward per completion."""
        del columns
        return self._formula([completion_text(completion) for completion in completions])


class SolutionReward:
    """Rewards a completion by whether its answer is that of the column ``solution``, and by its length.

    Args:
        accuracy: ``(completions, solution) -> [1, 0 or None, ...]``; there is no reward if it has none.
        formula: ``(texts, verdicts, prompts) -> rewards``.
        name: name under which TRL logs it.
    """

    def __init__(self, accuracy: Any, formula: Callable[..., list[float]], name: str) -> None:
        self.__name__ = name
        self._accuracy, self._formula = accuracy, formula

    def __call__(
        self, prompts: Any, completions: Any, solution: Sequence[str], **columns: Any
    ) -> list[float | None]:
        """Return one reward per completion, or None if the solution cannot be read."""
        del columns
        texts = [completion_text(completion) for completion in completions]
        right = self._accuracy(completions=[[{"content": t}] for t in texts], solution=solution)
        verdicts = [Verdict(status=Status.GRADED, reward=value or 0.0) for value in right]
        rewards = self._formula(texts, verdicts, prompts)
        return [None if r is None else value for r, value in zip(right, rewards, strict=True)]


def cosine_scaled_reward(accuracy: Any, options: Mapping[str, Any]) -> SolutionReward:
    """Return open-r1's cosine reward, over characters, with the recipe's ``reward_options``."""
    settings = CosineLength(
        max_length=options["cosine_max_len"],
        unit="characters",
        right_short=options["cosine_max_value_correct"],
        right_long=options["cosine_min_value_correct"],
        wrong_short=options["cosine_min_value_wrong"],
        wrong_long=options["cosine_max_value_wrong"],
    )
    return SolutionReward(
        accuracy,
        lambda texts, verdicts, _: shaping.cosine_length_reward(settings, texts, verdicts),
        "cosine_scaled_reward",
    )


class CosineLengthReward:
    """Rewards right answers more, and shorter ones most; see ``CosineLength``.

    The task's verifier decides what is correct. A completion is verified once, even if both need it.
    A completion to which ``task_reward`` gives no reward has none here either.

    Args:
        task_reward: verifies; its ``timeout_reward`` applies here as well.
        settings: shape of the reward.
        name: name under which TRL logs it.
    """

    def __init__(self, task_reward: TaskReward, settings: CosineLength, *, name: str) -> None:
        self.settings = settings
        self.__name__ = name
        self._task_reward = task_reward

    def __call__(
        self,
        completions: Sequence[Any],
        gold: Sequence[str],
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> list[float | None]:
        """Return one reward per completion, or None for a completion without one."""
        del columns
        texts = [completion_text(completion) for completion in completions]
        verdicts = self._task_reward.verdicts(texts, gold)
        rewards = shaping.cosine_length_reward(
            self.settings, texts, verdicts, [len(ids) for ids in completion_ids]
        )
        left_out = self._task_reward.unscored
        return [None if v.status in left_out else r for v, r in zip(verdicts, rewards, strict=True)]


def dra_cosine_length(max_completion_length: int) -> CosineLength:
    """Return the authors' form: 1000 characters, periodic, 1 for an unreadable gold."""
    del max_completion_length  # the authors' form does not depend on it
    return CosineLength(max_length=1000, unit="characters", clamp=False, bad_gold=1.0)


def cosine_length(max_completion_length: int) -> CosineLength:
    """Return the corrected form: tokens, up to the limit of a completion."""
    return CosineLength(max_length=max_completion_length)


boxed_format_reward = FormReward(shaping.boxed_format_reward)
dra_think_format_reward = FormReward(shaping.think_format_reward, "dra_think_format_reward")
FORMAT_REWARDS: dict[str, Callable[..., list[float]]] = {
    "boxed_format_reward": boxed_format_reward,
    "dra_think_format_reward": dra_think_format_reward,
    "think_answer_format_reward": FormReward(shaping.think_answer_format_reward),
    "tag_count_reward": FormReward(shaping.tag_count_reward),
    "reasoning_steps_reward": FormReward(shaping.reasoning_steps_reward),
}
LENGTH_REWARDS: dict[str, Callable[[int], CosineLength]] = {
    "cosine_length_reward": cosine_length,
    "dra_cosine_length_reward": dra_cosine_length,
}
