"""Tasks as TRL data sets and reward functions, and completions as text."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from datasets import Dataset

from polypath.tasks.base import Task
from polypath.verify.base import Verdict

# completion text and the columns of its row -> canonical solution, None where there is none
SolutionFunction = Callable[[str, dict[str, Any]], str | None]

CACHE_SIZE = (
    65_536  # verdicts; a step's completions are judged once for reward and once for solution
)


def completion_text(completion: Any) -> str:
    """Return what the model wrote: the text itself, or the content of all assistant messages."""
    if isinstance(completion, str):
        return completion
    contents = [message.get("content") or "" for message in completion]
    return "\n".join(content if isinstance(content, str) else str(content) for content in contents)


def task_dataset(task: Task, split: str, limit: int | None = None) -> Dataset:
    """Return a split as a data set with the columns ``prompt``, ``gold`` and ``problem_id``."""
    return Dataset.from_list(
        [
            {"prompt": problem.prompt, "gold": problem.gold, "problem_id": problem.problem_id}
            for problem in task.problems(split, limit)
        ]
    )


class TaskReward:
    """A task's verifier as a reward function for ``GRPOTrainer``.

    Needs a dataset column ``gold``. Returns the verdict's reward for each completion. Its
    ``solution`` tells the trainer which completions are the same solution.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.__name__ = f"{task.name}_reward"  # TRL logs under this name
        self._verify = lru_cache(maxsize=CACHE_SIZE)(task.verify)

    def verdict(self, completion: Any, gold: str) -> Verdict:
        """Judge one completion."""
        return self._verify(completion_text(completion), gold)

    def solution(self, text: str, row: dict[str, Any]) -> str | None:
        """Return the canonical solution of one completion, or None."""
        return self._verify(text, row["gold"]).answer

    def __call__(
        self, completions: Sequence[Any], gold: Sequence[str], **columns: Any
    ) -> list[float]:
        """Return one reward in [0, 1] per completion."""
        del columns  # TRL passes every dataset column
        return [self.verdict(c, g).reward for c, g in zip(completions, gold, strict=True)]


def text_solution(text: str, row: dict[str, Any]) -> str | None:
    """Return the completion with white space folded: the fallback where nothing knows better."""
    del row
    return " ".join(text.split()) or None


def find_solution_function(reward_funcs: Sequence[Any]) -> SolutionFunction:
    """Return the ``solution`` method of the first reward function that has one, else the text."""
    for function in reward_funcs:
        solution = getattr(function, "solution", None)
        if callable(solution):
            return solution  # type: ignore[no-any-return]  # duck-typed by name
    return text_solution
