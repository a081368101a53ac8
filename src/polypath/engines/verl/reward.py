"""A polypath task as verl's reward function.

::

    reward.custom_reward_function.path=pkg://polypath.engines.verl.reward
    reward.custom_reward_function.name=compute_score

The column ``data_source`` of the data names the task: a built-in one, or your own as
``path/to/file.py:factory``. ``+reward.custom_reward_function.reward_kwargs.task=...`` names one for all
rows, and ``+...reward_kwargs.task_options=[key=value]`` sets its options.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from polypath.core.async_verifier import AsyncVerifier
from polypath.core.scored_rows import SCORE, SCORED, SOLUTION, STATUS
from polypath.tasks import get_task
from polypath.tasks.options import key_values


@lru_cache(maxsize=16)
def _verifier(task: str, options: tuple[str, ...]) -> AsyncVerifier:
    return AsyncVerifier(get_task(task, key_values(options, setting="task_options")))


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    task: str | None = None,
    task_options: Sequence[str] = (),
    **others: Any,
) -> dict[str, Any]:
    """Score a completion for verl's reward loop.

    Args:
        data_source: names the task if ``task`` does not.
        solution_str: what the model wrote.
        ground_truth: gold answer of the problem.
        extra_info: the row's; ignored.
        task: name of the task, or ``path/to/file.py:factory``.
        task_options: the task's options, as ``key=value``.
        **others: anything else verl passes; ignored.

    Returns:
        ``score`` in [0, 1]; ``acc``, 1 where the completion is correct; ``solution``, its canonical
        solution or ``None``; ``status`` of the verdict; ``scored``, false where the task gives no reward:
        polypath's trainer then leaves the completion out of its group.

    Raises:
        ConfigError, MissingFileError: there is no such task.
    """
    del extra_info, others
    verifier = _verifier(task or data_source, tuple(map(str, task_options)))
    verdict = await verifier.verdict(solution_str, str(ground_truth))
    return {
        SCORE: float(verdict.reward),
        "acc": float(verdict.correct),
        SOLUTION: verdict.answer if getattr(verifier.task, "knows_solutions", True) else None,
        STATUS: str(verdict.status),
        SCORED: verdict.status not in getattr(verifier.task, "unscored", frozenset()),
    }
