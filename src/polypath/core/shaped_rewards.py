"""Rewards for form and length beside a task's verdict, as reward functions for ``GRPOTrainer``.

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
    """A formula of texts as a reward function; ``name`` is the one under which TRL logs it."""

    def __init__(self, formula: Callable[[list[str]], list[float]], name: str = "") -> None:
        self.__name__ = name or formula.__name__
        self._formula = formula

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        """Return one reward per completion."""
        del columns
        return self._formula([completion_text(completion) for completion in completions])


class SolutionReward:
    """Rewards by whether the answer is that of the column ``solution``, and by length.

    Args:
        accuracy: ``(completions, solution) -> [1, 0 or None, ...]``; no reward where it has none.
        formula: ``(texts, verdicts, prompts) -> rewards``.
        name: under which TRL logs it.
    """

    def __init__(self, accuracy: Any, formula: Callable[..., list[float]], name: str) -> None:
        self.__name__ = name
        self._accuracy, self._formula = accuracy, formula

    def __call__(
        self, prompts: Any, completions: Any, solution: Sequence[str], **columns: Any
    ) -> list[float | None]:
        """Return one reward per completion, or None where the solution cannot be read."""
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
    """Rewards a right answer more, and the less the longer it is; see ``CosineLength``.

    The task's verifier says what is correct; a completion is verified once, whoever asks first.
    A completion that ``task_reward`` leaves without reward has none here, either.

    Args:
        task_reward: verifies; ``timeout_reward`` of it holds here, too.
        settings: shape of the reward.
        name: under which TRL logs it.
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
        """Return one reward per completion, or None for one that has none."""
        del columns
        texts = [completion_text(completion) for completion in completions]
        verdicts = self._task_reward.verdicts(texts, gold)
        rewards = shaping.cosine_length_reward(
            self.settings, texts, verdicts, [len(ids) for ids in completion_ids]
        )
        left_out = self._task_reward.unscored
        return [None if v.status in left_out else r for v, r in zip(verdicts, rewards, strict=True)]


def dra_cosine_length(max_completion_length: int) -> CosineLength:
    """Return the authors' form: characters, 1000 of them, periodic, 1 for an unreadable gold."""
    del max_completion_length  # theirs does not depend on it
    return CosineLength(max_length=1000, unit="characters", clamp=False, bad_gold=1.0)


def cosine_length(max_completion_length: int) -> CosineLength:
    """Return the form with the faults mended: tokens, up to the limit of a completion."""
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
