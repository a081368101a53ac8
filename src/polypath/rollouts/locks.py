"""Who may write to a store: one process, or several that each do a part of the work."""

import errno
import os
import socket
import weakref
from pathlib import Path
from typing import IO, NamedTuple, Self

from polypath.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows: two writers at the same time are not detected there
    fcntl = None  # type: ignore[assignment]

_LOCK_NAME = ".lock"
# Errors of file systems without locks. Parts are safe nevertheless: their files have
# their own names, and no part does another's work.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


class Part(NamedTuple):
    """Part ``rank`` of ``of``, counted from 0, of a job that several processes share."""

    rank: int = 0
    of: int = 1

    @property
    def is_whole(self) -> bool:
        """Whether one process does the whole job."""
        return self.of == 1

    @property
    def owner(self) -> str:
        """Prefix of the temporary files of this part."""
        return "" if self.is_whole else f"{self.rank}of{self.of}-"


WHOLE = Part()


class WriterLock:
    """The right to write to a folder, until ``close`` or the end of the process.

    One process holds all of it, or processes hold parts. Then nobody holds all, and no part is held
    twice. Forked children hold nothing. If the file system has no locks, nothing is
    checked.

    Args:
        folder: an existing folder.
        part: the part to hold.
        name: name of the lock's file.

    Raises:
        ConfigError: another process holds the requested part. It is named.
    """

    def __init__(self, folder: Path, part: Part, *, name: str = _LOCK_NAME) -> None:
        self._files: list[IO[bytes]] = []
        _held.add(self)
        wanted = [(name, part.is_whole)]
        if not part.is_whole:
            wanted.append((f"{name}-{part.rank}-of-{part.of}", True))
        for file_name, exclusive in wanted:
            file = (folder / file_name).open("a+b")
            self._files.append(file)
            if not _lock(file, exclusive):
                file.seek(0)
                holder = file.read().decode(errors="replace")
                self.close()
                whose = "" if file_name == name else f"part {part.rank} of {part.of} of "
                who = "This process" if holder == _me() else "Another process"
                who += f" ({holder})" if holder else ""
                raise ConfigError(
                    f"{who} is writing to {whose}{folder}. Wait for it, or use another folder."
                )
            file.truncate(0)
            if exclusive:
                file.write(_me().encode())
                file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others in."""
        for file in self._files:
            file.close()
        self._files.clear()


_held: "weakref.WeakSet[WriterLock]" = weakref.WeakSet()


def _let_go() -> None:
    """Close the locks in a forked child, which may live on (as a worker that loads data, for example)."""
    for lock in list(_held):
        lock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _me() -> str:
    return f"pid {os.getpid()} on {socket.gethostname()}"


def _lock(file: IO[bytes], exclusive: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _NO_LOCKS
    return True
