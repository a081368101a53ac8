"""Rewards for form and length beside a task's verdict, as reward functions for ``GRPOTrainer``.

The formulas are those of ``polypath.verify.shaping``. Recipes name these under ``reward_funcs``.
"""

from collections.abc import Callable, Sequence
from typing import Any

from polypath.core.rewards import TaskReward
from polypath.core.verdicts import completion_text
from polypath.verify import shaping
from polypath.verify.shaping import CosineLength


def boxed_format_reward(completions: Sequence[Any], **columns: Any) -> list[float]:
    r"""1 if the completion has its answer in a ``\boxed{}``, else 0 (R1-zero-Div)."""
    del columns
    return shaping.boxed_format_reward([completion_text(c) for c in completions])


def dra_think_format_reward(completions: Sequence[Any], **columns: Any) -> list[float]:
    r"""1 if the completion ends its thinking exactly once, with ``</think>`` on a line (DRA-GRPO)."""
    del columns
    return shaping.think_format_reward([completion_text(c) for c in completions])


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


FORMAT_REWARDS: dict[str, Callable[..., list[float]]] = {
    "boxed_format_reward": boxed_format_reward,
    "dra_think_format_reward": dra_think_format_reward,
}
LENGTH_REWARDS: dict[str, Callable[[int], CosineLength]] = {
    "cosine_length_reward": cosine_length,
    "dra_cosine_length_reward": dra_cosine_length,
}
