"""Checkpoints and models on disk: which are complete, and what is wrong with the others."""

from collections.abc import Iterator
from pathlib import Path

from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME

from polypath.errors import DataError, MissingFileError
from polypath.rollouts.files import sha256_of, write_json
from polypath.sampling.model_files import any_of, json_object, readable, unread, weights_fault

COMPLETE = "polypath_complete"  # in a checkpoint folder: every file of it was written; their sizes
# Transformers continues without these, with other results.
STATE = (
    (OPTIMIZER_NAME, "optimizer.bin", "optimizer_*", "global_step*"),
    (SCHEDULER_NAME, "global_step*"),
    ("rng_state.pth", "rng_state_*.pth"),
)


def mark(folder: Path) -> None:
    """Mark a checkpoint that is completely on disk, and record size and SHA-256 of its files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != COMPLETE)
    named = {path.relative_to(folder).as_posix(): path for path in files}
    sizes = {name: path.stat().st_size for name, path in named.items()}
    hashes = {name: sha256_of(path) for name, path in named.items()}
    write_json(folder / COMPLETE, {"sizes": sizes, "sha256": hashes})


def choose_checkpoint(folder: Path, asked: Path | None) -> tuple[Path | None, str]:
    """Return the checkpoint to resume from, and a note about checkpoints that are skipped.

    Args:
        folder: folder of the run.
        asked: the checkpoint that the user named, in place of the newest.

    Raises:
        MissingFileError: the named checkpoint does not exist.
        DataError: it is damaged, or the newest complete one is. An intact one is named.
    """
    found = _numbered(folder)
    marked = [step for step in sorted(found, reverse=True) if (found[step] / COMPLETE).is_file()]
    torn = [found[step].name for step in sorted(found) if step > max(marked, default=-1)]
    note = f"Left out, as it was not written to its end: {', '.join(torn)}. " if torn else ""
    chosen = asked or (found[marked[0]] if marked else None)
    if asked is not None and not asked.is_dir():
        raise MissingFileError(f"resume_from_checkpoint {asked} does not exist.")
    fault = None if chosen is None else checkpoint_fault(chosen)
    if fault is None:
        return chosen, "" if asked else note
    whole = (found[step] for step in marked if checkpoint_fault(found[step]) is None)
    other = next(whole, None)
    way_out = f"A whole one: --resume_from_checkpoint {other}"
    if other is None:
        way_out = "No other is whole: use another output_dir, or delete it to start anew"
    raise DataError(f"Checkpoint {chosen} cannot be resumed from: {fault}. {way_out}.")


def unmark_after(checkpoint: Path, folder: Path) -> None:
    """Remove the mark from the checkpoints after the one that training resumes from: they are made again."""
    found = _numbered(folder)
    start = [step for step, path in found.items() if path.resolve() == checkpoint.resolve()]
    for step, path in found.items():
        if start and step > start[0]:
            (path / COMPLETE).unlink(missing_ok=True)


def checkpoint_fault(folder: Path) -> str | None:
    """Return which part of a checkpoint is missing or unreadable; ``None`` if it is intact."""
    return next(_faults(folder), None)


def _faults(folder: Path) -> Iterator[str]:
    told = json_object(folder / COMPLETE)
    hashes = told.get("sha256", {})  # older marks have none
    for name, size in told.get("sizes", {}).items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != size:
            yield f"{name} has {path.stat().st_size} bytes instead of {size}"
        elif name in hashes and sha256_of(path) != hashes[name]:
            yield f"{name} has other bytes than were written (by its SHA-256)"
    state = json_object(folder / TRAINER_STATE_NAME)
    if not state:
        yield unread(folder / TRAINER_STATE_NAME)
    fault = weights_fault(folder)
    if fault is not None:
        yield fault
    if state.get("global_step", 0) < state.get("max_steps", 0):  # else nothing is trained any more
        for names in STATE:
            if not any_of(folder, names):
                yield f"{names[0]} is missing (save_only_model leaves it out)"
    for path in sorted(folder.rglob("*")):
        known = path.relative_to(folder).as_posix() in hashes
        if path.is_file() and not known and not readable(path):
            yield unread(path)


def _numbered(folder: Path) -> dict[int, Path]:
    parts = ((path, path.name.rsplit("-", 1)[1]) for path in folder.glob("checkpoint-*"))
    return {int(step): path for path, step in parts if step.isdigit()}
