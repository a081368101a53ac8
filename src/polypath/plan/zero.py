"""The ZeRO stage in a recipe's DeepSpeed file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.plan.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Zero:
    """DeepSpeed's ZeRO: what is split over the GPUs.

    Attributes:
        stage: 1 splits the optimizer's states, 2 also the gradients, 3 also the weights; 0 nothing.
        optimizer_on_host: the optimizer's states are in the host's memory.
        weights_on_host: the weights are there as well.
    """

    stage: int
    optimizer_on_host: bool
    weights_on_host: bool

    @property
    def name(self) -> str:
        """The name people use."""
        return f"DeepSpeed ZeRO-{self.stage}" + (
            ", optimizer on the host" if self.optimizer_on_host else ""
        )


def read_zero(settings: Settings, folder: Path) -> Zero | None:
    """Read a recipe's ``deepspeed`` key; ``None`` if it has none.

    Args:
        settings: settings of the recipe.
        folder: folder of the recipe; a relative path is looked up from the working directory, then upwards
            from here.

    Raises:
        MissingFileError: the DeepSpeed file does not exist.
        DataError: it is not a JSON object.
        ConfigError: its stage is not a number from 0 to 3.
    """
    value = settings.get("deepspeed")
    if not value:
        return None
    config = value if isinstance(value, Mapping) else _read_json(str(value), folder)
    zero = config.get("zero_optimization") or {}
    try:
        stage = int(zero.get("stage", 0))
        on_host = {
            name: (zero.get(name) or {}).get("device", "none") != "none"
            for name in ("offload_optimizer", "offload_param")
        }
        if not 0 <= stage <= 3:
            raise ValueError
    except (AttributeError, TypeError, ValueError):
        raise ConfigError(
            f"zero_optimization of {value} must hold a stage of 0 to 3, got {zero!r}."
        ) from None
    return Zero(
        stage=stage,
        optimizer_on_host=on_host["offload_optimizer"],
        weights_on_host=on_host["offload_param"],
    )


def deepspeed_path(name: str, folder: Path) -> Path:
    """Return the place of a DeepSpeed file: as named, or else upwards from the recipe's folder."""
    for base in (Path(), *folder.resolve().parents):
        if (base / name).is_file():
            return base / name
    return Path(name)


def _read_json(name: str, folder: Path) -> Mapping[str, Any]:
    path = deepspeed_path(name, folder)
    if not path.is_file():
        raise MissingFileError(
            f"The DeepSpeed file {name} does not exist here. Run from the folder that it is relative to."
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"The DeepSpeed file {name} is not readable as JSON.") from error
    if not isinstance(config, Mapping):
        raise DataError(f"The DeepSpeed file {name} must hold a JSON object.")
    return config
