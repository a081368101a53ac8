"""Where a model or a data set is on this machine: in a folder, or in the hub's cache."""

import os
from pathlib import Path

from polypath.errors import MissingFileError
from polypath.tasks.shipped import shipped_model

WEIGHTS = ("*.safetensors", "*.bin")


def find_model(name: str) -> Path | None:
    """Return the folder with a model's config.json, ``None`` if it is not on this machine.

    Raises:
        MissingFileError: the named folder has no config.json.
    """
    folder = Path(shipped_model(name))
    if not folder.is_dir():
        snapshot = hub_folder(name)
        return snapshot if snapshot and (snapshot / "config.json").is_file() else None
    if not (folder / "config.json").is_file():
        raise MissingFileError(
            f"Model folder {folder} has no config.json. Name a folder written by save_pretrained."
        )
    return folder


def has_weights(folder: Path) -> bool:
    """Return whether a model's folder has its weights as well as its config."""
    return any(True for pattern in WEIGHTS for _ in folder.glob(pattern))


def hub_folder(name: str, kind: str = "models") -> Path | None:
    """Return a snapshot of a hub repository in the cache, ``None`` if there is none."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = cache / f"{kind}--{name.replace('/', '--')}" / "snapshots"
    return max(snapshots.glob("*/"), default=None)
