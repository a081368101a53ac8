"""A user's reward function: a bonus for form, and completions that it cannot score."""

from typing import Any

from polypath.tasks import get_task

TASK = get_task("countdown")
FORM = 0.25


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Any = None, **others: Any
) -> dict[str, Any]:
    """Return a score of up to 1.25; with a 7 in the answer, none."""
    del data_source, extra_info, others
    verdict = TASK.verify(solution_str, ground_truth)
    return {
        "score": verdict.reward + FORM * ("*" in solution_str),
        "acc": bool(verdict.correct),
        "solution": verdict.answer,
        "scored": "7" not in solution_str,
    }
