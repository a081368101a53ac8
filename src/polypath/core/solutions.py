"""What decides which completions are the same solution: the user, or a reward function."""

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
    """Return the function that decides which completions are the same solution.

    Args:
        chosen: as in ``tasks.solutions.load_solution``; ``None`` uses the method ``solution`` of the first
            reward function that has one.
        reward_funcs: reward functions of the training.
        warned: whether to warn if nothing is found.

    Returns:
        The function; ``None`` if nothing defines a solution.

    Raises:
        MissingFileError, ConfigError: the named function does not exist.
    """
    if chosen is not None:
        return load_solution(chosen)
    found = (getattr(function, "solution", None) for function in reward_funcs)
    solution = next((function for function in found if callable(function)), None)
    if solution is None and warned:
        warnings.warn(WITHOUT_SOLUTIONS, stacklevel=3)
    return solution


def require_different_solutions(
    chosen: str | SolutionFunction | None,
    reward_funcs: Sequence[Any],
    asker: str,
    way_out: str = "",
) -> None:
    """Refuse to use solutions that do not tell completions apart.

    Args:
        chosen: as in ``find_solution_function``.
        reward_funcs: likewise.
        asker: what uses solutions, for the error: "X compares solutions".
        way_out: another remedy than ``solution_fn``, for the error.

    Raises:
        ConfigError: nothing defines a solution, or all right completions have the same.
    """
    tasks = [function.task for function in reward_funcs if hasattr(function, "task")]
    task = next((task.name for task in tasks if getattr(task, "one_answer", False)), None)
    if chosen is not None or (task is None and find_solution_function(None, reward_funcs)):
        return
    fix = f"solution_fn ({', '.join(SOLUTIONS)}, or my_file.py:function)"
    fix += f", or {way_out}" if way_out else ""
    if task is None:
        raise ConfigError(
            f"{asker}, but nothing says what a solution is: no reward function has a method 'solution'. "
            f"Set {fix}."
        )
    raise ConfigError(
        f"{asker}, but right completions of a problem of {task} all have its one final answer. Set {fix}."
    )
