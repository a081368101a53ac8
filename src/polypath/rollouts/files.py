"""Files that are either complete or absent: written to a temporary file, flushed to disk, then renamed."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from polypath.credentials import one_line
from polypath.errors import DataError, MissingFileError

TEMP_PREFIX = ".writing-"


@contextlib.contextmanager
def atomic_write(path: Path, *, owner: str = "", new: bool = False) -> Iterator[BinaryIO]:
    """Open a temporary neighbour of ``path`` and rename it to ``path`` when the block ends well.

    A process killed inside the block leaves ``path`` as it was, plus one file whose name starts
    with ``TEMP_PREFIX``, which every reader ignores. If ``path`` is a link, it stays one, and the file that
    it names is written. Devices and pipes are written to directly.

    Args:
        path: the file.
        owner: who writes, if several processes do; it becomes part of the temporary name.
        new: ``path`` must not exist, though others may write it at the same time.

    Raises:
        FileExistsError: ``new`` is set and ``path`` exists; it stays as it is.
        OSError: it cannot be written; its ``filename`` is ``path``.
    """
    try:
        target = _target(path)
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        # The same process id may run on another machine.
        temporary = target.with_name(f"{TEMP_PREFIX}{owner}{os.getpid()}-{secrets.token_hex(4)}")
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, temporary)
            if new:
                _link(temporary, target)
            else:
                temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, reason, str(path)) from error
    _sync_folder(target.parent)


def _target(path: Path) -> Path:
    """Return the file that a path names, following links; refuse one that may not be written."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.exists() and not os.access(target, os.W_OK):  # a rename would replace it nevertheless
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return target


def write_file(path: Path, content: bytes, *, owner: str = "", new: bool = False) -> None:
    """Write a file atomically and create its folder; ``owner`` and ``new`` as in ``atomic_write``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # and is a file
        raise NotADirectoryError(
            errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.filename
        ) from None
    with atomic_write(path, owner=owner, new=new) as file:
        file.write(content)


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file, or a folder to a place where there is none. The copy appears complete or not at all."""
    if source.is_file():
        write_file(target, source.read_bytes())
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMP_PREFIX, dir=target.parent) as folder:
        compiled = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, Path(folder) / "copy", ignore=compiled).rename(target)


def _link(temporary: Path, path: Path) -> None:
    """Rename, but never over a file. Of several processes one wins, even across machines."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        # There are no hard links here (FAT, some network drives), so check, then rename.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)
    else:
        temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power failure, if the platform can open folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(folder: Path, owner: str = "") -> None:
    """Delete what killed writers left in ``folder``; with ``owner``, only that owner's files.

    Call it only while nobody else (of this owner) writes.
    """
    for leftover in folder.glob(f"{TEMP_PREFIX}{owner}*"):
        leftover.unlink(missing_ok=True)


def write_json(
    path: Path, content: Mapping[str, Any], *, owner: str = "", new: bool = False
) -> None:
    """Write ``content`` atomically as indented JSON; ``owner`` and ``new`` as in ``atomic_write``."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_file(path, text.encode(), owner=owner, new=new)


def as_read(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as reading its file will give it; what JSON has no word for, as text.

    >>> as_read({"most": float("inf"), "names": ("a", "b")})
    {'most': 'Infinity', 'names': ['a', 'b']}
    """
    plain: dict[str, Any] = json.loads(json.dumps(content, default=str), parse_constant=str)
    return plain


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        what: what the file should be, for the error ("a sample store's manifest").

    Raises:
        MissingFileError: there is no such file.
        DataError: it is not a JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingFileError(f"{path} does not exist; expected {what}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not {what}: {error}.") from None
    if not isinstance(content, dict):
        raise DataError(
            f"{path} is not {what}: expected a JSON object, got {one_line(repr(content), 60)}."
        )
    return content
