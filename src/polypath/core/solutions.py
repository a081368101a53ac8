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
    chosen: str | SolutionFunction | None, reward_funcs: Sequence[Any]
) -> None:
    """Refuse to compare completions by solutions that do not tell them apart.

    Raises:
        ConfigError: nothing defines a solution, or all right completions have the same.
    """
    reason = why_all_are_one(chosen, reward_funcs)
    if reason is not None:
        raise ConfigError(
            f"similarity 'answer' (also of preset diverse) compares solutions, but {reason}. Set solution_fn "
            f"({', '.join(SOLUTIONS)}, or my_file.py:function), or similarity: ngram."
        )


def require_solutions_to_bank(
    chosen: str | SolutionFunction | None, reward_funcs: Sequence[Any]
) -> None:
    """Refuse a bank of solutions that do not tell completions apart: it would hold one of each problem.

    Raises:
        ConfigError: nothing defines a solution, or all right completions have the same.
    """
    reason = why_all_are_one(chosen, reward_funcs)
    if reason is not None:
        raise ConfigError(
            f"bank: true keeps different solutions, but {reason}. Set solution_fn ({', '.join(SOLUTIONS)}, "
            "or my_file.py:function), or bank: false."
        )


def require_solutions_to_count(
    chosen: str | SolutionFunction | None, reward_funcs: Sequence[Any]
) -> None:
    """Refuse to count answers where nothing says what an answer is.

    Whole texts almost never repeat, so every one would be new.

    Raises:
        ConfigError: nothing defines a solution.
    """
    if find_solution_function(chosen, reward_funcs) is None:
        raise ConfigError(
            "advantage history_exploration (or a method of yours with seen_P_G) counts answers, but nothing "
            f"says what an answer is. Set solution_fn ({', '.join(SOLUTIONS)}, or my_file.py:function), or "
            "leave the method out."
        )


def why_all_are_one(
    chosen: str | SolutionFunction | None, reward_funcs: Sequence[Any]
) -> str | None:
    """Return why solutions do not tell right completions of a problem apart; ``None`` if they do.

    Args:
        chosen: as in ``find_solution_function``.
        reward_funcs: likewise.
    """
    tasks = [function.task for function in reward_funcs if hasattr(function, "task")]
    task = next((task.name for task in tasks if getattr(task, "one_answer", False)), None)
    if chosen is not None or (task is None and find_solution_function(None, reward_funcs)):
        return None
    if task is None:
        return "nothing says what a solution is: no reward function has a method 'solution'"
    return f"right completions of a problem of {task} all have its one final answer"
