"""Reward functions by name, and their options. Quick to import, because a plan reads it as well."""

from collections.abc import Sequence
from typing import Any

import yaml

from polypath.errors import ConfigError, unknown_name, unknown_names
from polypath.settings import is_number
from polypath.tasks.options import key_values, option_texts
from polypath.user_code import load_function

WITH_SOLUTION = ("cosine_scaled_reward", "length_reward")  # these verify with accuracy_reward
WITH_TASK = ("cosine_length_reward", "dra_cosine_length_reward")  # these with the task
READS_SOLUTION = {"accuracy_reward", "reasoning_accuracy_reward", *WITH_SOLUTION}
NAMES = (
    *("accuracy_reward", "reasoning_accuracy_reward", "think_format_reward"),
    *("get_soft_overlong_punishment", "repetition_penalty_reward"),
    *("boxed_format_reward", "dra_think_format_reward", "think_answer_format_reward"),
    *("tag_count_reward", "reasoning_steps_reward", *WITH_SOLUTION, *WITH_TASK),
)
# The names in open-r1's script and similar ones.
OF_SCRIPTS = {
    "accuracy": "accuracy_reward",
    "think_accuracy": "reasoning_accuracy_reward",
    "format": "think_answer_format_reward",
    "think_format": "think_format_reward",
    "tag_count": "tag_count_reward",
    "reasoning_steps": "reasoning_steps_reward",
    "cosine": "cosine_scaled_reward",
    "repetition_penalty": "repetition_penalty_reward",
    "length": "length_reward",
    "soft_overlong_punishment": "get_soft_overlong_punishment",
}
_PROGRAMS = "runs programs in a sandbox, which polypath does not have"
WITHOUT = dict.fromkeys(("code", "binary_code", "ioi_code", "cf_code"), _PROGRAMS)
WITHOUT |= {"code_format": "asks for the program that 'code' runs"}
# `reward_options` and their defaults, under the names in open-r1's script.
OPTIONS: dict[str, float] = {
    "cosine_max_len": 1000,  # characters
    "cosine_min_value_wrong": 0.0,  # of the shortest
    "cosine_max_value_wrong": -0.5,  # of the longest
    "cosine_min_value_correct": 0.5,  # of the longest
    "cosine_max_value_correct": 1.0,  # of the shortest
    "repetition_n_grams": 3,  # tokens
    "repetition_max_penalty": -1.0,
    "max_completion_len": 1280,  # tokens from which get_soft_overlong_punishment is -1; as in TRL's script
    "soft_punish_cache": 256,  # tokens before that over which it falls
}


def read_reward_options(given: Any) -> dict[str, Any]:
    """Return every option of ``reward_options``; options that are not given have their defaults.

    Args:
        given: KEY=VALUE texts, or a mapping.

    Raises:
        ConfigError: an option is unknown, or has an invalid value.
    """
    texts = option_texts(given, setting="reward_options")
    found = key_values(texts, setting="reward_options", example="cosine_max_len=1000")
    values = {name: yaml.safe_load(text) for name, text in found.items()}
    for name, value in values.items():
        if name not in OPTIONS:
            raise unknown_name("option in reward_options", name, OPTIONS)
        count = isinstance(OPTIONS[name], int)
        if not is_number(value) or (count and (not isinstance(value, int) or value < 1)):
            expected = "a whole number of at least 1" if count else "a number"
            raise ConfigError(f"reward_options: {name} must be {expected}, got {value!r}.")
    if values.get("repetition_max_penalty", -1) > 0:
        raise ConfigError("reward_options: repetition_max_penalty must be at most 0.")
    return OPTIONS | values


def check_rewards(names: Sequence[str], *, task: bool) -> dict[str, Any]:
    """Check that there is a reward function for every name. Return the user's own functions, loaded.

    Args:
        names: as the recipe lists them.
        task: whether the recipe names a task.

    Raises:
        ConfigError: names every unknown one; or one needs a task, or cannot be loaded.
        MissingFileError: the file of one does not exist.
    """
    own = [name for name in names if name not in NAMES and (":" in name or "." in name)]
    unknown = [name for name in names if name not in NAMES and name not in own]
    if len(unknown) == 1 and not _fate(unknown[0]):
        raise unknown_name("reward function", unknown[0], NAMES)
    if unknown:
        error = unknown_names("reward functions", unknown, NAMES, _fate)
        raise ConfigError(f"{error} Name your own by place: my_file.py:function.")
    for name in names:
        if name in WITH_TASK and not task:
            raise ConfigError(f"{name} needs a task: its verifier says what is right.")
    return {name: _load(name) for name in own}


def _fate(name: str) -> str:
    return f"is {OF_SCRIPTS[name]} here" if name in OF_SCRIPTS else WITHOUT.get(name, "")


def _load(name: str) -> Any:
    try:
        return load_function(name if ":" in name else ":".join(name.rsplit(".", 1)), "Function")
    except ConfigError as error:
        raise ConfigError(f"Cannot load reward function {name!r}: {error}") from error
