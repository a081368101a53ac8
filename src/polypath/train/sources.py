"""The data and the rewards of a recipe: data sets and reward functions by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import load_dataset
from datasets.exceptions import DatasetsError
from trl import get_dataset
from trl import rewards as trl_rewards

from polypath.core.reward_names import READS_SOLUTION, check_rewards, read_reward_options
from polypath.core.rewards import TaskReward, task_dataset
from polypath.core.shaped_rewards import (
    FORMAT_REWARDS,
    LENGTH_REWARDS,
    CosineLengthReward,
    SolutionReward,
    cosine_scaled_reward,
)
from polypath.errors import ConfigError, DataError, MissingFileError, unknown_name
from polypath.rollouts import encode_prompt
from polypath.tasks import Problem, Task, get_task
from polypath.tasks.options import key_values
from polypath.train.config import Recipe, TaskArguments
from polypath.verify.shaping import length_reward

PROMPT_COLUMNS = ("prompt", "problem", "question")  # if dataset_prompt_column is auto
EVALUATION_PROBLEMS = 256  # of a task's dev split, when eval_strategy is on


def load_datasets(recipe: Recipe) -> tuple[Any, Any]:
    """Return the training set, and the evaluation set, or ``None`` if none is needed.

    Raises:
        ConfigError: nothing to train on was named, or a split or task does not exist.
        MissingFileError: a named file does not exist.
        DataError: the data cannot be read, or has no prompts.
    """
    arguments, mixture = recipe.task, recipe.mixture
    evaluated = recipe.trainer.eval_strategy != "no"
    if arguments.task is not None:
        for name in ("system_prompt", "dataset_prompt_column"):
            if getattr(arguments, name) is not None:
                raise ConfigError(
                    f"{name} belongs to dataset_name; task {arguments.task!r} writes its own prompts "
                    "(task_options: prompt=...). Leave one of the two out."
                )
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
    train = _split(loaded, "dataset_train_split", arguments.dataset_train_split, arguments)
    if not evaluated:
        return train, None
    return train, _split(loaded, "dataset_test_split", arguments.dataset_test_split, arguments)


def monitor_probe(arguments: TaskArguments) -> tuple[Task, Sequence[Problem]] | None:
    """Return the task and the problems that ``CollapseMonitor`` probes; ``None`` if it is off.

    Raises:
        ConfigError: no task is named, or its split is also trained on.
    """
    if not arguments.monitor_every:
        return None
    named = arguments.monitor_task or arguments.task
    if named is None:
        raise ConfigError(
            "monitor_every needs problems to probe, which a task has. Name one with monitor_task: a "
            "built-in one, or your own as path/to/file.py:factory."
        )
    own = named == arguments.task
    task = recipe_task(arguments) if own else get_task(named)
    split = arguments.monitor_split or _held_out(task)
    if own and split == arguments.task_split:
        raise ConfigError(
            f"monitor_split {split!r} is what is trained on (task_split). Name another split of {task.name}: "
            f"{', '.join(task.splits)}."
        )
    return task, task.problems(split, arguments.monitor_problems)


def _held_out(task: Task) -> str:
    return "dev" if "dev" in task.splits else task.splits[-1]


def recipe_task(arguments: TaskArguments) -> Task:
    """Build the task that a recipe names, with its options.

    Raises:
        ConfigError: the task does not exist, or an option is not one of its own.
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
    held_out = _held_out(task)
    held = task_dataset(task, held_out, EVALUATION_PROBLEMS)
    trained_on = {encode_prompt(prompt) for prompt in train["prompt"]}
    if any(encode_prompt(prompt) in trained_on for prompt in held["prompt"]):
        raise ConfigError(
            f"Evaluation during training uses split {held_out!r} of {task.name}, which shares "
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


def _split(loaded: Any, setting: str, name: str, arguments: TaskArguments) -> Any:
    """Return a split that has prompts, as chat messages if the recipe asks for them."""
    if name not in loaded:
        raise unknown_name(setting, name, loaded)
    rows, asked = loaded[name], arguments.dataset_prompt_column
    columns = rows.column_names  # None for a stream that does not know
    wanted = PROMPT_COLUMNS if asked == "auto" else (asked or "prompt",)
    found = [column for column in wanted if columns is None or column in columns]
    if not found:
        raise DataError(
            f"The data set's split {name!r} has no column {' or '.join(map(repr, wanted))}, but "
            f"{', '.join(columns)}. Name the one that holds the questions: dataset_prompt_column."
        )
    reading = READS_SOLUTION.intersection(arguments.reward_funcs or ())
    if reading and columns is not None and "solution" not in columns:
        raise DataError(
            f"{' and '.join(sorted(reading))} compares with the column 'solution', but the data set's "
            f"split {name!r} has {', '.join(columns)}. Rename the column that holds the answers."
        )
    if asked is None and arguments.system_prompt is None:
        return rows
    system = arguments.system_prompt
    before = [{"role": "system", "content": system}] if system is not None else []
    return rows.map(_as_messages, fn_kwargs={"column": found[0], "before": before})


def _as_messages(row: dict[str, Any], column: str, before: list[dict[str, str]]) -> dict[str, Any]:
    asked = row[column]
    return {
        "prompt": before
        + (asked if isinstance(asked, list) else [{"role": "user", "content": str(asked)}])
    }


def load_rewards(arguments: TaskArguments, max_completion_length: int = 256) -> list[Any]:
    """Return the task's reward first, so that it decides what is correct, then the named ones.

    Args:
        arguments: arguments of the recipe.
        max_completion_length: length of the training; ``cosine_length_reward`` is lowest there.

    Raises:
        ConfigError: no reward was named, or one does not exist or needs a task, or an option
            does not exist.
        MissingFileError: the file of a user's function does not exist.
    """
    options = read_reward_options(arguments.reward_options)
    names = arguments.reward_funcs or []
    own = check_rewards(names, task=arguments.task is not None)
    known = {
        "accuracy_reward": trl_rewards.accuracy_reward,
        "reasoning_accuracy_reward": trl_rewards.reasoning_accuracy_reward,
        "think_format_reward": trl_rewards.think_format_reward,
        "get_soft_overlong_punishment": trl_rewards.get_soft_overlong_punishment(
            options["max_completion_len"], options["soft_punish_cache"]
        ),
        "repetition_penalty_reward": trl_rewards.get_repetition_penalty_reward(
            options["repetition_n_grams"], options["repetition_max_penalty"]
        ),
        "cosine_scaled_reward": cosine_scaled_reward(trl_rewards.accuracy_reward, options),
        "length_reward": SolutionReward(
            trl_rewards.accuracy_reward, length_reward, "length_reward"
        ),
        **FORMAT_REWARDS,
        **own,
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
    for name in names:
        if name in known:
            found.append(known[name])
        else:
            assert task_reward is not None  # check_rewards has ensured it
            settings = LENGTH_REWARDS[name](max_completion_length)
            found.append(CosineLengthReward(task_reward, settings, name=name))
    if not found:
        raise ConfigError("Name what to reward: task or reward_funcs.")
    return found
