"""Rewards for form and length beside a task's verdict, as reward functions for ``GRPOTrainer``.

The formulas are those of ``polypath.verify.shaping``. Recipes name these under ``reward_funcs``.
"""

from collections.abc import Callable, Sequence
from typing import Any

from polypath.core.reward_names import RewardOptions
from polypath.core.rewards import TaskReward
from polypath.core.verdicts import completion_text
from polypath.verify import shaping
from polypath.verify.base import Status, Verdict
from polypath.verify.shaping import CosineLength


def boxed_format_reward(completions: Sequence[Any], **columns: Any) -> list[float]:
    r"""1 if the completion has its answer in a ``\boxed{}``, else 0 (R1-zero-Div)."""
    del columns
    return shaping.boxed_format_reward([completion_text(c) for c in completions])


def dra_think_format_reward(completions: Sequence[Any], **columns: Any) -> list[float]:
    r"""1 if the completion ends its thinking exactly once, with ``</think>`` on a line (DRA-GRPO)."""
    del columns
    return shaping.think_format_reward([completion_text(c) for c in completions])


def think_answer_format_reward(completions: Sequence[Any], **columns: Any) -> list[float]:
    """1 if the completion is ``<think>...</think><answer>...</answer>`` and nothing else, else 0."""
    del columns
    return shaping.think_answer_format_reward([completion_text(c) for c in completions])


def tag_count_reward(completions: Sequence[Any], **columns: Any) -> list[float]:
    """A quarter for each of the tags of thinking and of the answer that is there exactly once."""
    del columns
    return shaping.tag_count_reward([completion_text(c) for c in completions])


def reasoning_steps_reward(completions: Sequence[Any], **columns: Any) -> list[float]:
    """A third for each step that is marked as one, at most 1."""
    del columns
    return shaping.reasoning_steps_reward([completion_text(c) for c in completions])


class SolutionReward:
    """Rewards by length and by whether the answer is that of the column ``solution``.

    Args:
        accuracy: ``(completions, solution) -> [1, 0 or None, ...]``; no reward where it has none.
        formula: ``(texts, verdicts, prompts) -> rewards``.
        name: under which TRL logs it.
    """

    def __init__(
        self,
        accuracy: Callable[..., list[float | None]],
        formula: Callable[[list[str], list[Verdict], Sequence[Any]], list[float]],
        *,
        name: str,
    ) -> None:
        self.__name__ = name
        self._accuracy, self._formula = accuracy, formula

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        solution: Sequence[str],
        **columns: Any,
    ) -> list[float | None]:
        """Return one reward per completion, or None where the solution cannot be read."""
        del columns
        texts = [completion_text(completion) for completion in completions]
        chats = [[{"role": "assistant", "content": text}] for text in texts]
        right = self._accuracy(completions=chats, solution=solution)
        verdicts = [Verdict(status=Status.GRADED, reward=value or 0.0) for value in right]
        rewards = self._formula(texts, verdicts, prompts)
        return [None if r is None else value for r, value in zip(right, rewards, strict=True)]


def cosine_scaled_reward(accuracy: Any, options: RewardOptions) -> SolutionReward:
    """Return open-r1's cosine reward: ``CosineLength`` over characters, with the recipe's values."""
    settings = CosineLength(
        max_length=options.cosine_max_len,
        unit="characters",
        right_short=options.cosine_max_value_correct,
        right_long=options.cosine_min_value_correct,
        wrong_short=options.cosine_min_value_wrong,
        wrong_long=options.cosine_max_value_wrong,
    )
    return SolutionReward(
        accuracy,
        lambda texts, verdicts, _: shaping.cosine_length_reward(settings, texts, verdicts),
        name="cosine_scaled_reward",
    )


def length_reward(accuracy: Any, options: RewardOptions) -> SolutionReward:
    """Return the length reward of Kimi k1.5, over the completions of one prompt in a call."""
    del options
    return SolutionReward(accuracy, shaping.length_reward, name="length_reward")


class CosineLengthReward:
    """Rewards a right answer more, and the less the longer it is; see ``CosineLength``.

    The task's verifier says what is correct; a completion is verified once, whoever asks first.
    A completion that ``task_reward`` leaves without reward after a timeout has none here, either.

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
        left_out = Status.TIMEOUT if self._task_reward.timeout_reward == "none" else None
        return [None if v.status is left_out else r for v, r in zip(verdicts, rewards, strict=True)]


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
    "think_answer_format_reward": think_answer_format_reward,
    "tag_count_reward": tag_count_reward,
    "reasoning_steps_reward": reasoning_steps_reward,
}
SOLUTION_REWARDS: dict[str, Callable[[Any, RewardOptions], SolutionReward]] = {
    "cosine_scaled_reward": cosine_scaled_reward,
    "length_reward": length_reward,
}
LENGTH_REWARDS: dict[str, Callable[[int], CosineLength]] = {
    "cosine_length_reward": cosine_length,
    "dra_cosine_length_reward": dra_cosine_length,
}
