"""A method's settings as arguments of its training, checked before anything is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError, PolypathError
from polypath.studies.config import Method, Study
from polypath.train.config import Recipe, load_recipe

# Settings that decide how much a method may learn from. All methods should share them.
BUDGET = (
    "max_steps",
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "steps_per_generation",
    "num_iterations",
    "num_generations",
    "max_completion_length",
)


def training_arguments(
    study: Study, method: Method, *, out: Path, seed: int, rehearsal_set: Path | None
) -> list[str]:
    """Return a method's settings, and those that the runner sets, as ``--key value`` for the recipe.

    Args:
        study: study that the method is of.
        method: a method that is trained itself.
        out: folder of the run.
        seed: seed of the run.
        rehearsal_set: folder of the method's; ``None`` for none.
    """
    values: dict[str, Any] = {**study.settings, **method.settings}
    derived = any(other.of == method.name for other in study.methods.values())
    if method.checkpoints or derived:
        values["save_total_limit"] = 1_000_000
    own: dict[str, Any] = {
        "model_name_or_path": study.base,
        "task": study.task,
        "output_dir": str(out),
        "seed": seed,
    }
    if study.task_options:
        own["task_options"] = [f"{k}={v}" for k, v in study.task_options.items()]
    if rehearsal_set is not None:
        own["rehearsal_set"] = str(rehearsal_set)
    pairs = (*values.items(), *own.items())
    return [text for key, value in pairs for text in _texts(key, value)]


def checked_recipe(study: Study, method: Method, arguments: list[str]) -> Recipe:
    """Build the recipe of a method, or of the method that it is a checkpoint of.

    Args:
        study: study that the method is of.
        method: method to check.
        arguments: arguments from ``training_arguments``, of the method that is trained.

    Returns:
        The recipe that a run of the method would have.

    Raises:
        ConfigError: the settings do not fit the recipe, a checkpoint is not saved, or the recipe has
            other task options than the study.
        MissingFileError: there is no recipe.
        DataError: the recipe is not YAML.
    """
    try:
        recipe = load_recipe(study.recipe, arguments)
        _check_checkpoints(method, recipe)
        _check_task_options(study, recipe)
    except PolypathError as error:
        raise type(error)(f"methods.{method.name}: {error}") from None
    return recipe


def budgets(study: Study, recipes: Mapping[str, Recipe]) -> dict[str, dict[str, Any]]:
    """Return for each method the settings of ``BUDGET`` that differ between methods.

    Args:
        study: study with its methods.
        recipes: key of a method -> its recipe, from ``checked_recipe``.
    """
    found = {
        name: {key: getattr(recipe.trainer, key, None) for key in BUDGET}
        for name, recipe in recipes.items()
    }
    for name, method in study.methods.items():
        if method.of:
            found[name]["max_steps"] = method.step
    differing = [key for key in BUDGET if len({str(b[key]) for b in found.values()}) > 1]
    return {name: {key: b[key] for key in differing} for name, b in found.items()}


def _check_checkpoints(method: Method, recipe: Recipe) -> None:
    trainer = recipe.trainer
    steps = [*method.checkpoints, *([method.step] if method.of else [])]
    if not steps:
        return
    strategy = str(getattr(trainer.save_strategy, "value", trainer.save_strategy))
    every = int(trainer.save_steps)
    if strategy != "steps":
        raise ConfigError(f"checkpoints need save_strategy: steps, got {strategy!r}.")
    for step in steps:
        if method.of and step > method.step:
            raise ConfigError(
                f"checkpoint {step} is after step {method.step}, which is the method itself. Name "
                "steps before it."
            )
        if step % every or step > int(trainer.max_steps) > 0:
            raise ConfigError(
                f"checkpoint {step} is not saved: save_steps is {every} and max_steps "
                f"{trainer.max_steps}. Name multiples of {every}, or set save_steps."
            )


def _check_task_options(study: Study, recipe: Recipe) -> None:
    """Refuse options that only training would have, because the study's options verify the samples."""
    options = dict(study.task_options)
    trained = dict(text.split("=", 1) for text in recipe.task.task_options or [])
    if trained != options:
        raise ConfigError(
            f"the recipe has task_options {trained}, but the study {options}. Put them into the "
            "study's task_options."
        )


def _texts(key: str, value: Any) -> list[str]:
    """Return a setting as command-line arguments. A list is several arguments after one key."""
    values = value if isinstance(value, list) else [value]
    texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    # "=" keeps a negative number from being read as a key.
    return [f"--{key}", *texts] if len(texts) != 1 else [f"--{key}={texts[0]}"]
