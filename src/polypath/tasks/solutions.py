"""Definitions of a solution other than the final answer: the whole text, its equations, its operations.

A solution function is ``(text, row) -> canonical solution or None``. It takes the text of a completion and
the columns of its row in the data set. Equal results are the same solution; None is no solution.
"""

import re
from collections.abc import Callable
from typing import Any

from polypath.credentials import one_line
from polypath.errors import ConfigError, DataError
from polypath.metrics.equations import extract_equations
from polypath.user_code import blamed, load_function

SolutionFunction = Callable[[str, dict[str, Any]], str | None]

_OPERATOR = re.compile(r"(?<=[\w)}%!])[-+*/^!]|\\frac|\\sqrt")


def text_solution(text: str, row: dict[str, Any]) -> str | None:
    """Return the whole completion with white space folded. Long texts almost never repeat."""
    del row
    return " ".join(text.split()) or None


def equations_solution(text: str, row: dict[str, Any]) -> str | None:
    """Return the set of equations in a worked text, as Div-Equ finds them; None if there are none.

    >>> equations_solution("3 + 4 = 7 apples, so 7 * 2 = 14.", {})
    '3+4=7; 7*2=14'
    """
    del row
    return "; ".join(sorted(set(extract_equations(text)))) or None


def operations_solution(text: str, row: dict[str, Any]) -> str | None:
    """Return the operations of a worked text's equations, in order; None if there are none.

    The side before the first "=" of each equation counts. Texts that do the same with other words, names
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


def load_solution(chosen: str | SolutionFunction) -> SolutionFunction:
    """Return a solution function. Results of a user's function are checked.

    Args:
        chosen: a function, a name of ``SOLUTIONS``, ``path/to/file.py:function`` or ``module:function``.

    Raises:
        MissingFileError, ConfigError: the function does not exist.
    """
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
    """Return the user's function with its result checked: a number, for example, would compare as well."""

    def solution(text: str, row: dict[str, Any]) -> str | None:
        with blamed("solution_fn"):
            found = function(text, row)
        if found is not None and not isinstance(found, str):
            raise DataError(
                f"solution_fn must return a text, or None where there is no solution, got {found!r} for "
                f"the completion {one_line(text, 60)!r}."
            )
        return found

    return solution
