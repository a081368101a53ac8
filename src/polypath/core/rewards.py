"""Tasks as TRL data sets and reward functions."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from datasets import Dataset

from polypath.core.verdicts import CachedVerifier, completion_text
from polypath.errors import unknown_name
from polypath.tasks.base import Task
from polypath.verify.base import Status, Verdict

TimeoutReward = Literal["zero", "none"]


def task_dataset(task: Task, split: str, limit: int | None = None) -> Dataset:
    """Return a split as a data set with the columns ``prompt``, ``gold`` and ``problem_id``."""
    return Dataset.from_list(
        [
            {"prompt": problem.prompt, "gold": problem.gold, "problem_id": problem.problem_id}
            for problem in task.problems(split, limit)
        ]
    )


class TaskReward(CachedVerifier):
    """A task's verifier as a reward function for ``GRPOTrainer``.

    It needs a dataset column ``gold``, and returns the verdict's reward for each completion. Its
    ``solution`` tells the trainer which completions are the same solution. Every text is verified
    once: the completions of a call in one batch, and earlier verdicts are remembered.

    It logs the shares of completions without a verdict, over all processes: ``verify/no_answer``,
    ``verify/bad_gold``, ``verify/timeout``, ``verify/error``. If the last three together exceed 3 % of the
    completions verified so far, it warns once.

    Args:
        task: task that verifies.
        timeout_reward: reward of a completion whose verification took too long. ``"zero"`` treats it as
            wrong. ``"none"`` gives no reward: TRL then leaves it out of its group's mean and
            deviation and gives it advantage 0. With further reward functions, TRL sums those that it
            has, so the completion stays in its group without this function's part.

    Raises:
        ConfigError: ``timeout_reward`` has another value.
    """

    def __init__(self, task: Task, *, timeout_reward: TimeoutReward = "zero") -> None:
        if timeout_reward not in get_args(TimeoutReward):
            raise unknown_name("timeout_reward", timeout_reward, get_args(TimeoutReward))
        super().__init__(task)
        self.timeout_reward = timeout_reward
        # TRL logs under this name. A user's task is named after its place, a file and a function.
        self.__name__ = f"{re.sub(r'[^A-Za-z0-9_]+', '_', task.name.rpartition(':')[2])}_reward"
        if not getattr(task, "knows_solutions", True):
            self.solution = None  # type: ignore[assignment]  # nothing defines a solution

    @property
    def unscored(self) -> frozenset[Status]:
        """Statuses of completions that have no reward."""
        own: frozenset[Status] = getattr(self.task, "unscored", frozenset())
        return own | {Status.TIMEOUT} if self.timeout_reward == "none" else own

    def verdict(self, completion: Any, gold: str) -> Verdict:
        """Verify one completion."""
        return self.verdicts([completion_text(completion)], [gold])[0]

    def solution(self, text: str, row: dict[str, Any]) -> str | None:
        """Return the canonical solution of one completion, or None."""
        return self.verdict(text, row["gold"]).answer

    def __call__(
        self,
        completions: Sequence[Any],
        gold: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Return one reward in [0, 1] per completion, or None for a completion without one."""
        del columns  # TRL passes every dataset column
        verdicts = self.verdicts([completion_text(c) for c in completions], gold)
        shares = self.count(verdicts)
        if log_metric is not None:
            for name, share in shares.items():
                log_metric(name, share)
        return [None if v.status in self.unscored else v.reward for v in verdicts]
