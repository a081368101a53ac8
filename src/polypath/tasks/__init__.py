"""Tasks: problems in named splits, and the verifier of answers to them."""

from collections.abc import Callable, Mapping

from polypath.errors import ConfigError, unknown_name
from polypath.tasks.base import EvaluationDefaults, Problem, Task
from polypath.tasks.countdown import Countdown
from polypath.tasks.math_sets import MATH_SETS, MathSet
from polypath.tasks.small_sql import SmallSql
from polypath.tasks.text_to_sql import SQL_SETS, TextToSql
from polypath.tasks.word_problems import WordProblems

TASKS: dict[str, type[Task]] = {
    "countdown": Countdown,
    "small_sql": SmallSql,
    "word_problems": WordProblems,
    **dict.fromkeys(MATH_SETS, MathSet),
    **dict.fromkeys(SQL_SETS, TextToSql),
}


def is_place(name: str) -> bool:
    """Return whether a task's name is the place of a user's own task."""
    return ":" in name or name.endswith((".yaml", ".yml"))


def task_options(name: str) -> Mapping[str, str]:
    """Return the options of a task in ``TASKS``, each with its meaning."""
    found: Mapping[str, str] = getattr(TASKS.get(name), "OPTIONS", {})
    return found


def get_task(name: str, options: Mapping[str, str] | None = None) -> Task:
    """Build a task by name.

    Args:
        name: key of ``TASKS``, or the place of a user's own task: ``path/to/file.py:factory``,
            ``module:factory`` or a YAML file.
        options: options of the task as texts, such as the place of its data.

    Raises:
        ConfigError: the task does not exist, or has no such option.
        MissingFileError: the file does not exist.
    """
    if is_place(name):
        from polypath.tasks.own_file import (
            load_task,  # imports numpy and pyarrow, which --help must not need
        )

        return load_task(name, options or {})
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    known = task_options(name)
    for key in options or {}:
        if not known:
            raise ConfigError(f"Task {name} takes no options, got {key!r}. Leave it out.")
        if key not in known:
            raise unknown_name(f"option of task {name}", key, known)
    build: Callable[..., Task] = TASKS[name]
    return build(name, options) if known else build()


__all__ = [
    "TASKS",
    "EvaluationDefaults",
    "Problem",
    "Task",
    "get_task",
    "task_options",
]
