"""Model files, which may be other people's: faulty ones are reported in one line that names them."""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from transformers.utils import CONFIG_NAME, GENERATION_CONFIG_NAME

from polypath.credentials import one_line
from polypath.errors import ConfigError, DataError, MissingFileError, PolypathError
from polypath.rollouts.files import read_json
from polypath.sampling.model_trial import config_fault, generation_fault, settings_fault

WEIGHTS = (
    "model.safetensors",
    "pytorch_model.bin",
    "adapter_model.safetensors",
    "adapter_model.bin",
)
SPLIT = ("global_step*", "pytorch_model_fsdp*")  # what DeepSpeed and FSDP write in their place
READ_IN_FULL = 4 * 2**30  # bytes; only the index of larger files is read


@contextlib.contextmanager
def model_errors(name: str | Path) -> Iterator[None]:
    """Report an error while a model loads in this block as one line, if one of its files is at fault.

    Args:
        name: its folder, or its name on the hub.

    Raises:
        DataError: a file of the model cannot be read, or its settings make no model.
        ConfigError: the model contains code of its own, and nobody allowed it.
    """
    with model_blamed(name):
        _check_unnoticed(_folder(name))
        yield


@contextlib.contextmanager
def model_blamed(name: str | Path) -> Iterator[None]:
    """Raise what goes wrong inside as one line if a file of the model, loaded before, is at fault.

    Args and errors as for ``model_errors``.
    """
    try:
        yield
    except Exception as error:  # from any of the libraries that read a model
        told = one_line(error)
        if "trust_remote_code" in told:
            raise ConfigError(
                f"The model {name} contains its own code, which is not run unless you allow it. Read it, "
                "then allow it: --trust-remote-code, or trust_remote_code: true in a recipe."
            ) from None
        folder = _folder(name)
        fault = _fault(folder)
        if fault is None and not isinstance(error, PolypathError):
            fault = settings_fault(folder, error)
        if fault is None or (isinstance(error, PolypathError) and fault.split()[0] in told):
            raise
        raise DataError(
            f"The model {name} cannot be used: {fault}. Copy or download it again."
        ) from error


def _check_unnoticed(folder: Path) -> None:
    """Check files that load in spite of damage, and would give other ends of completions or other weights.

    Raises:
        DataError: names the file.
    """
    settings = folder / GENERATION_CONFIG_NAME
    if settings.is_file():
        fault = generation_fault(read_json(settings, "a generation config"))
        if fault is not None:
            raise DataError(f"The generation config {settings} is damaged: {fault}.")
    fault = config_fault(json_object(folder / CONFIG_NAME), _count_tensors(folder))
    if fault is not None:
        raise DataError(f"The config {folder / CONFIG_NAME} is damaged: {fault}.")
    for path in folder.glob("pytorch_model*.bin"):
        if zipfile.is_zipfile(path) and not readable(path):  # torch does not check the checksums
            raise DataError(f"The weights {path} are damaged. Copy or download them again.")


def _folder(name: str | Path) -> Path:
    """Return the folder of a model's files."""
    if not Path(name).is_dir():
        with contextlib.suppress(OSError, ValueError):
            return Path(snapshot_download(str(name), local_files_only=True))
    return Path(name)


def _fault(folder: Path) -> str | None:
    """Return which file of a model cannot be read, starting with its name."""
    for path in sorted(folder.glob("*.jinja")):
        try:
            path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return unread(path)
    for path in sorted(folder.glob("*.json")):
        try:
            read_json(path, "a JSON object")
            if path.name == "tokenizer.json":
                Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers has no error class of its own
            return f"{path.name} cannot be read ({one_line(error, 200)})"
    return weights_fault(folder) if (folder / "config.json").is_file() else None


def weights_fault(folder: Path) -> str | None:
    """Return which part of a model's weights is missing or unreadable; ``None`` if none is."""
    names = [name for name in WEIGHTS if (folder / name).is_file()]
    for index in folder.glob("*.index.json"):
        shards = json_object(index).get("weight_map")
        if not isinstance(shards, dict):
            return unread(index)
        names += sorted({str(shard) for shard in shards.values()})
    if not names and not any_of(folder, SPLIT):
        return "it has no weights (model.safetensors, adapter_model.safetensors)"
    return next((unread(folder / name) for name in names if not readable(folder / name)), None)


def _count_tensors(folder: Path) -> int | None:
    """Return how many tensors a model's weights have; ``None`` where that is not told without reading all."""
    for index in folder.glob("*.index.json"):
        shards = json_object(index).get("weight_map")
        return len(shards) if isinstance(shards, dict) else None
    try:
        with safe_open(folder / WEIGHTS[0], framework="pt") as file:
            return len(file.keys())
    except (SafetensorError, OSError):
        return None


def json_object(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one if the file has none."""
    with contextlib.suppress(DataError, MissingFileError):
        return read_json(path, "a JSON object")
    return {}


def any_of(folder: Path, patterns: tuple[str, ...]) -> bool:
    """Return whether a folder has a file that matches one of these patterns."""
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)


def unread(path: Path) -> str:
    """Return why a file cannot be read."""
    return f"{path.name} {'cannot be read' if path.is_file() else 'is missing'}"


def readable(path: Path) -> bool:
    """Return whether a file is complete. For unknown kinds, return whether it exists."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                file.keys()
        elif path.suffix in (".pt", ".pth", ".bin"):  # torch writes zip archives, with checksums
            with zipfile.ZipFile(path) as archive:
                return path.stat().st_size > READ_IN_FULL or archive.testzip() is None
    except (SafetensorError, zipfile.BadZipFile, OSError, ValueError, EOFError):
        return False
    return path.is_file()
