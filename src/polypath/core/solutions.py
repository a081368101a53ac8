"""What counts as one solution: so that two ways of being right can be told apart, and copies counted.

A solution function is ``(text, row) -> canonical solution or None``: the text of a completion, and the
columns of its row in the data set. Completions with equal results are the same solution; None is none.
"""

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from polypath.errors import ConfigError, DataError
from polypath.metrics.equations import extract_equations
from polypath.user_code import load_function

SolutionFunction = Callable[[str, dict[str, Any]], str | None]

WITHOUT_SOLUTIONS = (
    "Nothing says what a solution is, so distinct solutions and duplicates are not logged. Set solution_fn: "
    "text, equations, operations, or a function of yours (text, row) -> text or None."
)
_OPERATOR = re.compile(r"(?<=[\w)}%])[-+*/^]|\\frac|\\sqrt")


def text_solution(text: str, row: dict[str, Any]) -> str | None:
    """Return the whole completion with white space folded. Long texts as good as never repeat."""
    del row
    return " ".join(text.split()) or None


def equations_solution(text: str, row: dict[str, Any]) -> str | None:
    """Return the set of equations of a worked text, as Div-Equ finds them; None where there is none.

    >>> equations_solution("3 + 4 = 7 apples, so 7 * 2 = 14.", {})
    '3+4=7; 7*2=14'
    """
    del row
    return "; ".join(sorted(set(extract_equations(text)))) or None


def operations_solution(text: str, row: dict[str, Any]) -> str | None:
    """Return the operations of a worked text's equations, one after the other; None without one.

    Of each equation the side before the first "=" counts. Texts that do the same with other words, names
    or rounding are one solution.

    >>> operations_solution("3 + 4 = 7 apples, so 7 * 2 = 14.", {})
    '+ *'
    """
    del row
    sides = (equation.split("=")[0] for equation in extract_equations(text))
    steps = ("".join(_OPERATOR.findall(side)).replace(r"\frac", "/") for side in sides)
    return " ".join(filter(None, steps)) or None


SOLUTIONS: dict[str, SolutionFunction] = {
    "text": text_solution,
    "equations": equations_solution,
    "operations": operations_solution,
}


def find_solution_function(
    chosen: str | SolutionFunction | None, reward_funcs: Sequence[Any], *, warned: bool = False
) -> SolutionFunction | None:
    """Return what says which completions are the same solution.

    Args:
        chosen: a function; a name of ``SOLUTIONS``; ``path/to/file.py:function`` or ``module:function``;
            ``None``: the method ``solution`` of the first reward function that has one.
        reward_funcs: of the training.
        warned: whether to say so where nothing is found.

    Returns:
        The function; ``None`` where nothing says so.

    Raises:
        MissingFileError, ConfigError: a function was named that is not there.
    """
    if chosen is None:
        found = (getattr(function, "solution", None) for function in reward_funcs)
        solution = next((function for function in found if callable(function)), None)
        if solution is None and warned:
            warnings.warn(WITHOUT_SOLUTIONS, stacklevel=3)
        return solution
    if not isinstance(chosen, str):
        if not callable(chosen):
            raise ConfigError(f"solution_fn must be a function or a name, got {chosen!r}.")
        return _checked(chosen)
    if chosen in SOLUTIONS:
        return SOLUTIONS[chosen]
    if ":" not in chosen:
        raise ConfigError(
            f"solution_fn must be one of {', '.join(SOLUTIONS)}, or the place of a function such as "
            f"my_file.py:solution, got {chosen!r}."
        )
    return _checked(load_function(chosen, "solution_fn"))


def _checked(function: SolutionFunction) -> SolutionFunction:
    """Return the user's function with its result checked: a number, say, would compare as well."""

    def solution(text: str, row: dict[str, Any]) -> str | None:
        found = function(text, row)
        if found is not None and not isinstance(found, str):
            raise DataError(
                f"solution_fn must return a text, or None where there is no solution, got {found!r} for "
                f"the completion {text[:60]!r}."
            )
        return found

    return solution


def same_for_all_right(reward_funcs: Sequence[Any]) -> str | None:
    """Return the name of a task of which all right completions of a problem have one solution."""
    for function in reward_funcs:
        task = getattr(function, "task", None)
        if task is not None and getattr(task, "one_answer", False):
            return str(task.name)
    return None


def require_different_solutions(
    chosen: str | SolutionFunction | None, reward_funcs: Sequence[Any]
) -> None:
    """Refuse to compare completions by their solutions where these tell nothing apart.

    Raises:
        ConfigError: nothing says what a solution is, or all right completions have the same.
    """
    task = same_for_all_right(reward_funcs)
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
