"""A run's settings: from a flat YAML file and ``--key value`` overrides to checked dataclasses."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from trl import DatasetMixtureConfig, ModelConfig, TrlParser
from trl.scripts.grpo import GRPOScriptArguments

from polypath.core.objectives import load_entries
from polypath.credentials import one_line, remember_all
from polypath.engines.trl import DiversityGRPOConfig
from polypath.errors import ConfigError
from polypath.old_keys import check_keys
from polypath.presets import preset
from polypath.settings import read_overrides
from polypath.tasks.options import option_texts
from polypath.train.task_settings import TaskSettings
from polypath.yaml_file import read_yaml


@dataclass
class TaskArguments(GRPOScriptArguments, TaskSettings):  # type: ignore[misc]  # trl ships no types
    """TRL's script arguments, and polypath's."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything ``run`` needs.

    Attributes:
        task: data and rewards.
        trainer: settings of the training.
        model: settings of the model.
        mixture: TRL's dataset mixture, for its recipes that have one.
        values: the given settings, file and overrides merged, for the record.
    """

    task: TaskArguments
    trainer: DiversityGRPOConfig
    model: Any
    mixture: Any
    values: Mapping[str, Any]


class _Parser(TrlParser):  # type: ignore[misc]  # trl ships no types
    """TRL's parser. A bad value is one of our errors instead of a usage page."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def load_recipe(
    config: str | Path | None,
    overrides: Sequence[str] = (),
    *,
    values: Mapping[str, Any] | None = None,
) -> Recipe:
    """Read a recipe.

    Args:
        config: YAML file of ``key: value`` lines, as for TRL; ``None`` for overrides only.
        overrides: ``["--key", "value", ...]``; they override the file.
        values: content of the file, if it was already read.

    Raises:
        MissingFileError: the file does not exist.
        DataError: the file is not YAML, or not a mapping.
        ConfigError: keys are unknown (each with its replacement or the nearest known one), or a value is bad.
    """
    if values is None:
        values = {} if config is None else read_yaml(Path(config), "Recipe")
    values = {str(key): value for key, value in values.items()}
    for name in ("task_options", "reward_options"):
        if name in values:
            values[name] = option_texts(values[name], setting=name)
    changed = read_overrides(overrides)
    given = {key: " ".join(texts) for key, texts in changed.items()}  # for the record
    chosen = given.get("preset") or values.get("preset")
    values = {**(preset(str(chosen)) if chosen else {}), **values}
    remember_all({**values, **given})
    _set_environment(values.pop("env", None) or {}, config)
    entries = load_entries(changed.get("objectives", values.get("objectives")))
    trainer_config = DiversityGRPOConfig.with_entries(entries) if entries else DiversityGRPOConfig
    parser = _Parser(
        (TaskArguments, trainer_config, ModelConfig, DatasetMixtureConfig),
        prog="polypath train",
        allow_abbrev=False,
    )
    known = {action.dest for action in parser._actions} - {"help"}
    check_keys(values, known, config)
    check_keys(given, known)
    parser.set_defaults_with_config(**values)
    if not values.get("output_dir") and "output_dir" not in given:
        raise ConfigError("output_dir is missing: where should checkpoints and the model go?")
    try:
        task, trainer, model, mixture = parser.parse_args_into_dataclasses(args=list(overrides))
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:  # TRL's and transformers' own checks of settings
        raise ConfigError(one_line(error)) from error
    return Recipe(
        task=task, trainer=trainer, model=model, mixture=mixture, values={**values, **given}
    )


def _set_environment(variables: Any, config: str | Path | None) -> None:
    """Set the variables of a recipe's ``env``, as TRL's script does."""
    if not isinstance(variables, dict):
        raise ConfigError(
            f"env in {config} must hold 'NAME: value' lines, got {type(variables).__name__}."
        )
    for name, value in variables.items():
        os.environ[str(name)] = str(value)
