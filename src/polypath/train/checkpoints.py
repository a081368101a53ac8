"""Checkpoints and models on disk: which are whole, and what is wrong with the others."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME

from polypath.errors import DataError, MissingFileError
from polypath.rollouts.files import write_json

COMPLETE = "polypath_complete"  # in a checkpoint folder: every file of it was written; their sizes
WEIGHTS = (
    "model.safetensors",
    "pytorch_model.bin",
    "adapter_model.safetensors",
    "adapter_model.bin",
)
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
# What FSDP and DeepSpeed write instead of single files.
SPLIT_WEIGHTS = ("pytorch_model_fsdp*", "global_step*")
SPLIT_OPTIMIZER = ("optimizer.bin", "optimizer_*", "global_step*")
READ_IN_FULL = 4 * 2**30  # bytes; of larger files only the index is read


def mark(folder: Path) -> None:
    """Mark a checkpoint, all of which is on disk, and record how large its files are."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != COMPLETE]
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(files)}
    write_json(folder / COMPLETE, {"sizes": sizes})


def choose_checkpoint(folder: Path, asked: Path | None) -> tuple[Path | None, str]:
    """Return what training goes on from, and what is to be said of checkpoints that are left out.

    Args:
        folder: of the run.
        asked: the checkpoint that was asked for, instead of the newest.

    Raises:
        MissingFileError: the one asked for does not exist.
        DataError: it is damaged, or the newest one that was written to its end is; older whole ones are
            named.
    """
    found = _numbered(folder)
    marked = [step for step in sorted(found, reverse=True) if (found[step] / COMPLETE).is_file()]
    if asked is not None:
        if not asked.is_dir():
            raise MissingFileError(f"resume_from_checkpoint {asked} does not exist.")
        chosen, note = asked, ""
    else:
        newest = marked[0] if marked else -1
        torn = ", ".join(found[step].name for step in sorted(found) if step > newest)
        note = f"Left out, as it was not written to its end: {torn}. " if torn else ""
        if not marked:
            return None, note
        chosen = found[newest]
    fault = checkpoint_fault(chosen)
    if fault is None:
        return chosen, note
    others = (found[step] for step in marked if found[step].resolve() != chosen.resolve())
    whole = next((path for path in others if checkpoint_fault(path) is None), None)
    way_out = (
        f"A whole one: --resume_from_checkpoint {whole}"
        if whole is not None
        else "No other one is whole: use another output_dir, or delete it to start anew"
    )
    raise DataError(f"Checkpoint {chosen} cannot be resumed from: {fault}. {way_out}.")


def unmark_after(checkpoint: Path, folder: Path) -> None:
    """Take the mark from the checkpoints after the one that training goes on from: they come again."""
    found = _numbered(folder)
    start = [step for step, path in found.items() if path.resolve() == checkpoint.resolve()]
    for step, path in found.items():
        if start and step > start[0]:
            (path / COMPLETE).unlink(missing_ok=True)


def _numbered(folder: Path) -> dict[int, Path]:
    parts = ((path, path.name.rsplit("-", 1)[1]) for path in folder.glob("checkpoint-*"))
    return {int(step): path for path, step in parts if step.isdigit()}


def checkpoint_fault(folder: Path) -> str | None:
    """Return what of a checkpoint is missing or cannot be read; ``None`` if it is whole.

    Transformers goes on without an optimizer, a schedule or random states, with other results.
    """
    fault = next(_wrong_sizes(folder), None) or _json_fault(folder / TRAINER_STATE_NAME)
    fault = fault or weights_fault(folder)
    if fault is not None:
        return fault
    state = json.loads((folder / TRAINER_STATE_NAME).read_bytes())
    if state.get("global_step", 0) < state.get("max_steps", 0):  # else nothing is trained any more
        missing = _missing_state(folder)
        if missing is not None:
            return missing
    unreadable = (_fault(path) for path in sorted(folder.rglob("*")) if path.is_file())
    return next(filter(None, unreadable), None)


def weights_fault(folder: Path) -> str | None:
    """Return what of a model's weights is missing or cannot be read; ``None`` if nothing is."""
    names = [name for name in WEIGHTS if (folder / name).is_file()]
    for index in (folder / name for name in INDEXES if (folder / name).is_file()):
        fault = _json_fault(index)
        if fault is not None:
            return fault
        names += sorted(set(json.loads(index.read_bytes()).get("weight_map", {}).values()))
    if not names and not _any(folder, *SPLIT_WEIGHTS):
        return "it has no weights (model.safetensors, adapter_model.safetensors)"
    faults = (_fault(folder / name) for name in names)
    return next(filter(None, faults), None)


def _wrong_sizes(folder: Path) -> Iterator[str]:
    mark = folder / COMPLETE
    if not mark.is_file() or not mark.stat().st_size:  # of a run before sizes were recorded
        return
    fault = _json_fault(mark)
    if fault is not None:
        yield fault
        return
    sizes: dict[str, Any] = json.loads(mark.read_bytes()).get("sizes", {})
    for name, size in sizes.items():
        if not (folder / name).is_file():
            yield f"{name} is missing"
        elif (folder / name).stat().st_size != size:
            yield f"{name} has {(folder / name).stat().st_size} bytes instead of {size}"


def _missing_state(folder: Path) -> str | None:
    """Return what training needs besides weights and is not there."""
    needed = {
        OPTIMIZER_NAME: (OPTIMIZER_NAME, *SPLIT_OPTIMIZER),
        SCHEDULER_NAME: (SCHEDULER_NAME, "global_step*"),
        "rng_state.pth": ("rng_state*.pth",),
    }
    for name, patterns in needed.items():
        if not _any(folder, *patterns):
            return f"{name} is missing (save_only_model leaves it out)"
    return None


def _any(folder: Path, *patterns: str) -> bool:
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)


def _json_fault(path: Path) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    try:
        known = isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        known = False
    return None if known else f"{path.name} cannot be read"


def _fault(path: Path) -> str | None:
    """Return why a file of a checkpoint cannot be read; kinds that are not known are not looked at."""
    if not path.is_file():
        return f"{path.name} is missing"
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                file.keys()
        elif path.suffix in (".pt", ".pth", ".bin"):  # torch writes zip archives, with checksums
            with zipfile.ZipFile(path) as archive:
                if path.stat().st_size <= READ_IN_FULL and archive.testzip() is not None:
                    return f"{path.name} cannot be read"
    except (SafetensorError, zipfile.BadZipFile, OSError, ValueError, EOFError):
        return f"{path.name} cannot be read"
    return None
