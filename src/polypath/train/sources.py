"""What a recipe trains on and what it is rewarded for: data sets and reward functions by name."""

import os
import sys
from pathlib import Path
from typing import Any

from datasets import load_dataset
from datasets.exceptions import DatasetsError
from trl import get_dataset
from trl import rewards as trl_rewards

from polypath.core.rewards import TaskReward, task_dataset
from polypath.core.shaped_rewards import (
    FORMAT_REWARDS,
    LENGTH_REWARDS,
    CosineLengthReward,
)
from polypath.errors import ConfigError, DataError, MissingFileError, unknown_name
from polypath.rollouts import encode_prompt
from polypath.tasks import Task, get_task
from polypath.tasks.options import key_values
from polypath.train.config import Recipe, TaskArguments
from polypath.user_code import load_function

EVALUATION_PROBLEMS = 256  # of a task's dev split, when eval_strategy is on


def load_datasets(recipe: Recipe) -> tuple[Any, Any]:
    """Return the training set, and the evaluation set or ``None`` where none is wanted.

    Raises:
        ConfigError: nothing to train on was named, or a split or task that does not exist.
        MissingFileError: a named file does not exist.
        DataError: the data cannot be read, or has no prompts.
    """
    arguments, mixture = recipe.task, recipe.mixture
    evaluated = recipe.trainer.eval_strategy != "no"
    if arguments.task is not None:
        return _task_datasets(arguments, evaluated=evaluated)
    if not mixture.datasets and not arguments.dataset_name:
        raise ConfigError("Name what to train on: task, dataset_name or datasets.")
    try:
        loaded = get_dataset(mixture) if mixture.datasets else _load_dataset(arguments)
    except (OSError, ValueError, DatasetsError) as error:
        if isinstance(error, MissingFileError):
            raise
        name = arguments.dataset_name or "the mixture"
        raise DataError(f"Cannot load data set {name}: {' '.join(str(error).split())}") from error
    train = _split(loaded, "dataset_train_split", arguments.dataset_train_split)
    if not evaluated:
        return train, None
    return train, _split(loaded, "dataset_test_split", arguments.dataset_test_split)


def recipe_task(arguments: TaskArguments) -> Task:
    """Build the task a recipe names, with its options.

    Raises:
        ConfigError: it does not exist, or an option is not one of its.
    """
    options = key_values(arguments.task_options or (), setting="task_options")
    return get_task(str(arguments.task), options)


def _task_datasets(arguments: TaskArguments, *, evaluated: bool) -> tuple[Any, Any]:
    task = recipe_task(arguments)
    if arguments.task_limit < 0:
        raise ConfigError(f"task_limit must be at least 0, got {arguments.task_limit}.")
    train = task_dataset(task, arguments.task_split, arguments.task_limit or None)
    if not evaluated:
        return train, None
    held_out = "dev" if "dev" in task.splits else task.splits[-1]
    held = task_dataset(task, held_out, EVALUATION_PROBLEMS)
    trained_on = {encode_prompt(prompt) for prompt in train["prompt"]}
    if any(encode_prompt(prompt) in trained_on for prompt in held["prompt"]):
        raise ConfigError(
            f"Evaluation during training takes split {held_out!r} of {task.name}, which shares "
            f"problems with task_split={arguments.task_split!r}. Set eval_strategy: no, or give "
            "data with a file for each split."
        )
    return train, held


def _load_dataset(arguments: TaskArguments) -> Any:
    """Load from the hub, a folder, or a local JSON, JSONL, Parquet or CSV file."""
    name = str(arguments.dataset_name)
    suffix = Path(name).suffix.lstrip(".")
    if suffix not in ("json", "jsonl", "parquet", "csv"):
        return load_dataset(
            name, name=arguments.dataset_config, streaming=arguments.dataset_streaming
        )
    if not Path(name).is_file():
        raise MissingFileError(f"Data file {name} does not exist.")
    return load_dataset(
        "json" if suffix == "jsonl" else suffix,
        data_files={arguments.dataset_train_split: name},
        streaming=arguments.dataset_streaming,
    )


def _split(loaded: Any, setting: str, name: str) -> Any:
    """Return a split that has prompts."""
    if name not in loaded:
        raise unknown_name(setting, name, loaded)
    columns = loaded[name].column_names  # None for a stream that does not know
    if columns is not None and "prompt" not in columns:
        raise DataError(
            f"The data set's split {name!r} has no column 'prompt', but {', '.join(columns)}. "
            "Rename the column that holds the questions."
        )
    return loaded[name]


def load_rewards(arguments: TaskArguments, max_completion_length: int = 256) -> list[Any]:
    """Return the task's reward first, so that it says what is correct, then the named ones.

    Args:
        arguments: of the recipe.
        max_completion_length: of the training; ``cosine_length_reward`` is lowest there.

    Raises:
        ConfigError: no reward was named, one that does not exist, or one that needs a task.
    """
    known = {
        "accuracy_reward": trl_rewards.accuracy_reward,
        "reasoning_accuracy_reward": trl_rewards.reasoning_accuracy_reward,
        "think_format_reward": trl_rewards.think_format_reward,
        # The constants are those of TRL's own script.
        "get_soft_overlong_punishment": trl_rewards.get_soft_overlong_punishment(
            max_completion_len=1280, soft_punish_cache=256
        ),
        **FORMAT_REWARDS,
    }
    found: list[Any] = []
    task_reward: TaskReward | None = None
    if arguments.task is not None:
        task_reward = TaskReward(
            recipe_task(arguments), timeout_reward=arguments.task_timeout_reward
        )
        found.append(task_reward)
    if arguments.reward_model_name_or_path:
        found.append(arguments.reward_model_name_or_path)
    for name in arguments.reward_funcs or []:
        if name in known:
            found.append(known[name])
        elif name in LENGTH_REWARDS:
            if task_reward is None:
                raise ConfigError(f"{name} needs a task: its verifier says what is right.")
            settings = LENGTH_REWARDS[name](max_completion_length)
            found.append(CosineLengthReward(task_reward, settings, name=name))
        elif ":" in name or "." in name:
            found.append(_import_reward(name))
        else:
            raise unknown_name("reward function", name, [*known, *LENGTH_REWARDS])
    if not found:
        raise ConfigError("Name what to reward: task or reward_funcs.")
    return found


def _import_reward(name: str) -> Any:
    """Import ``package.module.function``, ``package.module:function`` or ``file.py:function``."""
    if os.getcwd() not in sys.path:  # a module next to where the command runs, as in TRL's script
        sys.path.insert(0, os.getcwd())
    try:
        return load_function(name if ":" in name else ":".join(name.rsplit(".", 1)), "Function")
    except ConfigError as error:
        raise ConfigError(f"Cannot load reward function {name!r}: {error}") from error
