"""Tasks: problems in named splits, and the verifier that judges answers to them."""

from collections.abc import Callable

from polypath.errors import unknown_name
from polypath.tasks.base import Problem, Task
from polypath.tasks.countdown import Countdown

TASKS: dict[str, Callable[[], Task]] = {
    "countdown": Countdown,
}


def get_task(name: str) -> Task:
    """Build a task by name.

    Raises:
        ConfigError: no task of ``TASKS`` has this name.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]()


__all__ = ["TASKS", "Problem", "Task", "get_task"]
