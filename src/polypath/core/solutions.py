"""What says which completions are the same solution: the user, or a reward function."""

import warnings
from collections.abc import Sequence
from typing import Any

from polypath.errors import ConfigError
from polypath.tasks.solutions import SOLUTIONS, SolutionFunction, load_solution

WITHOUT_SOLUTIONS = (
    "Nothing says what a solution is, so distinct solutions and duplicates are not logged. Set solution_fn: "
    "text, equations, operations, or a function of yours (text, row) -> text or None."
)


def find_solution_function(
    chosen: str | SolutionFunction | None, reward_funcs: Sequence[Any], *, warned: bool = False
) -> SolutionFunction | None:
    """Return what says which completions are the same solution.

    Args:
        chosen: as ``tasks.solutions.load_solution`` takes it; ``None``: the method ``solution`` of the
            first reward function that has one.
        reward_funcs: of the training.
        warned: whether to say so where nothing is found.

    Returns:
        The function; ``None`` where nothing says so.

    Raises:
        MissingFileError, ConfigError: a function was named that is not there.
    """
    if chosen is not None:
        return load_solution(chosen)
    found = (getattr(function, "solution", None) for function in reward_funcs)
    solution = next((function for function in found if callable(function)), None)
    if solution is None and warned:
        warnings.warn(WITHOUT_SOLUTIONS, stacklevel=3)
    return solution


def require_different_solutions(
    chosen: str | SolutionFunction | None, reward_funcs: Sequence[Any]
) -> None:
    """Refuse to compare completions by their solutions where these tell nothing apart.

    Raises:
        ConfigError: nothing says what a solution is, or all right completions have the same.
    """
    tasks = [function.task for function in reward_funcs if hasattr(function, "task")]
    task = next((task.name for task in tasks if getattr(task, "one_answer", False)), None)
    if chosen is not None or (task is None and find_solution_function(None, reward_funcs)):
        return
    reason = (
        "nothing says what a solution is: no reward function has a method 'solution'"
        if task is None
        else f"right completions of a problem of {task} all have its one final answer"
    )
    raise ConfigError(
        f"similarity 'answer' (also of preset diverse) compares solutions, but {reason}. Set solution_fn "
        f"({', '.join(SOLUTIONS)}, or my_file.py:function), or similarity: ngram."
    )
