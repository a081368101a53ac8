"""A user's task by its place: ``my_file.py:factory``, ``module:factory`` or ``my_task.yaml``."""

import hashlib
import importlib.util
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from polypath.errors import ConfigError, MissingFileError, unknown_name
from polypath.rollouts.manifest import TASK_FILE_HASH
from polypath.tasks.answers import task_from_yaml
from polypath.tasks.base import Task
from polypath.user_code import blamed, load_object

NEEDED = ("name", "splits", "problems", "verify_batch", "max_completion_length", "evaluation")


def absolute_place(name: str) -> str:
    """Return a place that means the same in any working directory. A module's place stays as it is."""
    source, colon, factory = name.partition(":")
    if not source.endswith((".py", ".yaml", ".yml")):
        return name
    return f"{Path(source).absolute()}{colon}{factory}"


def load_task(place: str, options: Mapping[str, str]) -> Task:
    """Build the task of a place.

    Args:
        place: the given place.
        options: arguments of the factory; texts. ``hash``, for a recorded task, is the file's hash.

    Raises:
        MissingFileError: the file does not exist.
        ConfigError: the factory cannot be called like this or returns no task, or the file has changed.
    """
    place = absolute_place(place)
    source = _source(place)
    given = {key: value for key, value in options.items() if key != TASK_FILE_HASH}
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    recorded = options.get(TASK_FILE_HASH, digest)
    if recorded != digest:
        raise ConfigError(
            f"Task {place} has changed since it was recorded: its file had the hash {recorded}, now it has "
            f"{digest}. Name it with --task to use it as it is now, or bring the old file back."
        )
    if ":" in place:
        task = _call(load_object(place, "task"), place, given)
    elif given:
        raise ConfigError(f"Task {place} takes no options, got {next(iter(given))!r}.")
    else:
        task = task_from_yaml(source)
    return cast(Task, PlacedTask(task, place, {**given, TASK_FILE_HASH: digest}))


class PlacedTask:
    """A user's task under the name of its place, so that a run's record can build it again."""

    def __init__(self, task: Task, name: str, options: Mapping[str, str]) -> None:
        self.name = name
        self.options = options
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)


def _source(place: str) -> Path:
    """Return the file of a place."""
    source = place.partition(":")[0]
    if source.endswith((".py", ".yaml", ".yml")):
        if not Path(source).is_file():
            raise MissingFileError(f"Task {place}: there is no file {source}.")
        return Path(source)
    try:
        spec = importlib.util.find_spec(source)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"Task {place}: there is no module {source!r}. Write the place as path/to/file.py:factory or "
            "module:factory; polypath tasks lists the built-in tasks."
        )
    return Path(spec.origin)


def _call(factory: Any, place: str, options: Mapping[str, str]) -> Task:
    if not callable(factory):
        task = factory
        if options:
            raise ConfigError(f"Task {place} takes no options, got {next(iter(options))!r}.")
    else:
        parameters = inspect.signature(factory).parameters.values()
        known = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            for key in options:
                if key not in known:
                    raise unknown_name(f"option of task {place}", key, known)
        missing = [p.name for p in parameters if p.default is p.empty and p.name not in options]
        missing = [name for name in missing if name in known]
        if missing:
            raise ConfigError(
                f"Task {place} needs {', '.join(missing)}: give --task-option {missing[0]}=VALUE."
            )
        with blamed(f"Task {place}"):
            task = factory(**options)
    lacking = [name for name in NEEDED if not hasattr(task, name)]
    if lacking:
        raise ConfigError(
            f"Task {place} must give a task, such as polypath.task_from(...) makes, got "
            f"{type(task).__name__}, which has no {', '.join(lacking)}."
        )
    return cast(Task, task)
