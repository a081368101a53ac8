"""Reward functions by name: which there are, and their options. Light: a plan reads it, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from polypath.errors import ConfigError, unknown_name, unknown_names
from polypath.settings import build, check_settings, setting, settings_of
from polypath.tasks.options import key_values, option_texts
from polypath.user_code import load_function

OF_TRL = (
    "accuracy_reward",
    "reasoning_accuracy_reward",
    "think_format_reward",
    "get_soft_overlong_punishment",
    "repetition_penalty_reward",
)
OF_FORM = (
    "boxed_format_reward",
    "dra_think_format_reward",
    "think_answer_format_reward",
    "tag_count_reward",
    "reasoning_steps_reward",
)
WITH_SOLUTION = ("cosine_scaled_reward", "length_reward")  # these verify with accuracy_reward
WITH_TASK = ("cosine_length_reward", "dra_cosine_length_reward")  # these with the task
NAMES = (*OF_TRL, *OF_FORM, *WITH_SOLUTION, *WITH_TASK)
READS_SOLUTION = {"accuracy_reward", "reasoning_accuracy_reward", *WITH_SOLUTION}

# What open-r1's and DRA-GRPO's scripts call them.
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
WITHOUT = {
    **dict.fromkeys(("code", "binary_code", "ioi_code", "cf_code"), _PROGRAMS),
    "code_format": "asks for the program that 'code' runs",
}


@dataclass(frozen=True, kw_only=True)
class RewardOptions:
    """Options of reward functions, under the names that open-r1's script has for them."""

    cosine_max_len: int = setting(
        1000, "cosine_scaled_reward: characters at which it is lowest.", within="[1, inf)"
    )
    cosine_min_value_wrong: float = setting(0.0, "Its value for a wrong answer of length 0.")
    cosine_max_value_wrong: float = setting(-0.5, "Its value for the longest wrong answer.")
    cosine_min_value_correct: float = setting(0.5, "Its value for the longest right answer.")
    cosine_max_value_correct: float = setting(1.0, "Its value for a right answer of length 0.")
    repetition_n_grams: int = setting(
        3, "repetition_penalty_reward: tokens of an n-gram.", within="[1, inf)"
    )
    repetition_max_penalty: float = setting(
        -1.0, "Its value where all is repeated.", within="(-inf, 0]"
    )
    max_completion_len: int = setting(
        1280, "get_soft_overlong_punishment: tokens from which it is -1.", within="[1, inf)"
    )
    soft_punish_cache: int = setting(
        256, "Tokens before that over which it falls.", within="[1, inf)"
    )

    def __post_init__(self) -> None:
        """Check the values."""
        check_settings(self)


def read_reward_options(given: Any) -> RewardOptions:
    """Read ``reward_options`` of a recipe.

    Args:
        given: KEY=VALUE texts, or a mapping.

    Raises:
        ConfigError: an unknown option, or a value out of range.
    """
    texts = option_texts(given, setting="reward_options")
    example = "cosine_max_len=1000"
    values = key_values(texts, setting="reward_options", example=example)
    known = [one.key for one in settings_of(RewardOptions, "")]
    for name in values:
        if name not in known:
            raise unknown_name("option in reward_options", name, known)
    made: RewardOptions = build(
        RewardOptions, "", {name: yaml.safe_load(text) for name, text in values.items()}
    )
    return made


def check_rewards(names: Sequence[str], *, task: bool) -> dict[str, Any]:
    """Check that there is a reward function of every name.

    Args:
        names: as the recipe lists them.
        task: whether the recipe names a task.

    Returns:
        Those that are the user's own, ``package.module.function`` or ``file.py:function``, loaded.

    Raises:
        ConfigError: naming every one that is none; or one needs a task, or cannot be loaded.
        MissingFileError: the file of one does not exist.
    """
    own = [name for name in names if name not in NAMES and (":" in name or "." in name)]
    unknown = [name for name in names if name not in NAMES and name not in own]
    if len(unknown) == 1 and not _became(unknown[0]):
        raise unknown_name("reward function", unknown[0], NAMES)
    if unknown:
        error = unknown_names("reward functions", unknown, NAMES, _became)
        raise ConfigError(f"{error} Your own go by place: my_file.py:function.")
    for name in names:
        if name in WITH_TASK and not task:
            raise ConfigError(f"{name} needs a task: its verifier says what is right.")
    return {name: _load(name) for name in own}


def _became(name: str) -> str:
    if name in OF_SCRIPTS:
        return f"is {OF_SCRIPTS[name]} here"
    return WITHOUT.get(name, "")


def _load(name: str) -> Any:
    try:
        return load_function(name if ":" in name else ":".join(name.rsplit(".", 1)), "Function")
    except ConfigError as error:
        raise ConfigError(f"Cannot load reward function {name!r}: {error}") from error
