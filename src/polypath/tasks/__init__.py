"""Tasks: problems in named splits, and the verifier of answers to them."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial

from polypath.errors import ConfigError, unknown_name
from polypath.tasks.base import EvaluationDefaults, Problem, Task
from polypath.tasks.countdown import Countdown
from polypath.tasks.math_sets import MATH_SETS, MathSet
from polypath.tasks.small_sql import SmallSql
from polypath.tasks.text_to_sql import SQL_SETS, TextToSql

# Each is called with the task's options as keyword arguments; every option is a text.
TASKS: dict[str, Callable[..., Task]] = {
    "countdown": lambda: Countdown(),
    "small_sql": lambda: SmallSql(),
    **{name: partial(MathSet, name) for name in MATH_SETS},
    **{name: partial(TextToSql, name) for name in SQL_SETS},
}


def get_task(name: str, options: Mapping[str, str] | None = None) -> Task:
    """Build a task by name.

    Args:
        name: key of ``TASKS``.
        options: of the task, such as where its data lies.

    Raises:
        ConfigError: no task of ``TASKS`` has this name, or it has no such option.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    known = [key for key in inspect.signature(TASKS[name]).parameters if key != "name"]
    for key in options or {}:
        if not known:
            raise ConfigError(f"Task {name} takes no options, got {key!r}. Leave it out.")
        if key not in known:
            raise unknown_name(f"option of task {name}", key, known)
    return TASKS[name](**(options or {}))


__all__ = ["TASKS", "EvaluationDefaults", "Problem", "Task", "get_task"]
