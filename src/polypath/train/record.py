"""What a run was asked to do, recorded in its folder: other settings do not go on with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trl

from polypath.credentials import hidden, is_secret
from polypath.errors import ConfigError, DataError, PolypathError
from polypath.rollouts.files import as_read, write_json
from polypath.rollouts.manifest import TASK_FILE_HASH, library_versions, require_same_task_file
from polypath.sampling.fingerprint import weight_hashes
from polypath.tasks import is_place
from polypath.tasks.shipped import shipped_model
from polypath.train.callbacks import LOG_FILE, read_log
from polypath.train.config import Recipe
from polypath.train.processes import on_main
from polypath.train.sources import recipe_task

RUN_FILE = "run.json"  # the record
FINISHED_FILE = "finished.json"  # written last
TASK_HASH = f"{TASK_FILE_HASH} of the task"  # another state of its file is another task

# Settings that may differ between the first start of a run and its resumption. The folder is where
# the record was found, by whatever path.
FREE_ON_RESUME = frozenset(
    {
        "disable_tqdm",
        "report_to",
        "logging_steps",
        "log_completions",
        "resume_from_checkpoint",
        "output_dir",
    }
)


def write_record(folder: Path, recipe: Recipe) -> None:
    """Record what a run is asked to do, and the weights it starts from."""
    write_json(folder / RUN_FILE, {**_record(recipe), "weights": _weights(recipe)})


def check_record(folder: Path, recipe: Recipe, tell: Callable[[str], None]) -> None:
    """Refuse to continue a run with other settings than it was begun with.

    A start that trained nothing binds nobody: its files are replaced.

    Args:
        folder: of the run.
        recipe: of the start at hand.
        tell: told in a line that an earlier start is replaced.

    Raises:
        ConfigError: a setting differs.
        DataError: the weights of the model do, or the record cannot be read.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return
    try:
        told = hidden(json.loads(path.read_text(encoding="utf-8")))
        before, weights = _fixed(told), dict(told.get("weights", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not what a run wrote there. Use another output_dir, or delete this one."
        ) from error
    try:
        _require_same_settings(folder, before, _fixed(_record(recipe)))
        _require_same_weights(folder, weights, recipe)
    except PolypathError:
        if on_main(lambda: _has_trained(folder)):
            raise
        tell(f"An earlier start in {folder} trained nothing. Its {RUN_FILE} is replaced.")


def _has_trained(folder: Path) -> bool:
    """Whether a run left anything of a training step: a checkpoint, a model, or a line of its log."""
    left = ("checkpoint-*", FINISHED_FILE, "*.safetensors", "*.bin")
    return any(next(folder.glob(pattern), None) is not None for pattern in left) or any(
        line.get("step", 1) for line in read_log(folder / LOG_FILE)
    )


def _record(recipe: Recipe) -> dict[str, Any]:
    """Return what the run is asked to do, as reading its file would: what JSON has no word for as text."""
    settings = dict(sorted(recipe.values.items()))
    if recipe.task.task is not None and is_place(recipe.task.task):
        settings[TASK_HASH] = recipe_task(recipe.task).options[TASK_FILE_HASH]
    record = {
        "settings": hidden(settings),
        "processes": recipe.trainer.world_size,
        "versions": {**library_versions(), "trl": trl.__version__},
    }
    return as_read(record)


def _require_same_settings(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    # The hash last: that of another task is another one.
    keys = sorted((before.keys() | now.keys()) - FREE_ON_RESUME - {TASK_HASH})
    for key in keys:
        if not is_secret(key) and str(before.get(key)) != str(now.get(key)):
            raise ConfigError(
                f"{folder} holds a run with {key}={before.get(key)!r}, but this run has {now.get(key)!r} "
                "(None: not set). Use the same settings to continue it, or use another output_dir."
            )
    hashes = ({TASK_FILE_HASH: str(one.get(TASK_HASH))} for one in (before, now))
    require_same_task_file(f"The run in {folder}", now.get("task"), *hashes)


def _require_same_weights(folder: Path, weights: dict[str, str], recipe: Recipe) -> None:
    found = on_main(lambda: _weights(recipe))
    for name, was in weights.items():
        if found.get(name, was) != was:
            raise DataError(
                f"{name} of the model {recipe.model.model_name_or_path} has other bytes (by its SHA-256) "
                f"than when the run in {folder} was begun. Restore it, or use another output_dir."
            )


def _weights(recipe: Recipe) -> dict[str, str]:
    """Return the hashes of the weights that training starts from."""
    return weight_hashes(shipped_model(str(recipe.model.model_name_or_path)))


def _fixed(record: dict[str, Any]) -> dict[str, Any]:
    """Return what may not change: the settings, and the number of processes, which share a batch."""
    return {**record["settings"], "number of processes": record.get("processes", 1)}
