"""The sample store: a folder of Parquet shards that only ever grows, and one manifest.

A shard appears whole or not at all, so a process killed at any moment loses at most the rows of
the shard it was writing. Rows are never changed, but for their verdicts: ``rescore`` puts new
shards in the place of all old ones at one moment.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rollouts.files import atomic_write, remove_leftovers
from polypath.rollouts.manifest import RolloutManifest
from polypath.rollouts.replacing import SHARD_GLOB, current_shards, finish_replacing
from polypath.rollouts.schema import SCHEMA, Rollout, to_table

try:
    import fcntl
except ImportError:  # Windows: two writers at once are not detected there
    fcntl = None  # type: ignore[assignment]

Key = tuple[str, int]
OnCorrupt = Literal["error", "skip"]
MANIFEST_NAME = "manifest.json"
_LOCK_NAME = ".lock"


class RolloutStore:
    """Read and extend a sample store.

    ``RolloutStore.open`` reads; ``RolloutStore.create_or_open`` also writes, and holds a lock until
    ``close`` (or until the process ends, however it ends), so that there is one writer at a time.

    Attributes:
        path: the folder.
        manifest: what made the rows.
        skipped: names of unreadable shards met so far; empty unless ``on_corrupt="skip"``.
    """

    def __init__(
        self,
        path: Path,
        manifest: RolloutManifest,
        *,
        on_corrupt: OnCorrupt = "error",
        lock: IO[bytes] | None = None,
    ) -> None:
        if on_corrupt not in ("error", "skip"):
            raise ConfigError(f"on_corrupt must be 'error' or 'skip', got {on_corrupt!r}.")
        self.path = path
        self.manifest = manifest
        self.skipped: set[str] = set()
        self._on_corrupt = on_corrupt
        self._lock = lock
        self._written: set[Key] | None = None
        self._next_number: int | None = None

    @classmethod
    def open(cls, path: str | Path, *, on_corrupt: OnCorrupt = "error") -> Self:
        """Open a store for reading; it may be growing meanwhile.

        Args:
            path: the folder.
            on_corrupt: ``"error"`` stops at an unreadable shard; ``"skip"`` leaves its rows out
                and adds its name to ``skipped``.

        Raises:
            MissingFileError: there is no store.
            DataError: the manifest is not one of a sample store.
        """
        folder = Path(path)
        return cls(folder, RolloutManifest.read(folder / MANIFEST_NAME), on_corrupt=on_corrupt)

    @classmethod
    def create_or_open(
        cls, path: str | Path, manifest: RolloutManifest, *, on_corrupt: OnCorrupt = "error"
    ) -> Self:
        """Open a store for writing, creating it if there is none, and clean up after killed runs.

        Args:
            path: the folder.
            manifest: how the rows to come are made.
            on_corrupt: as in ``open``. Rows of a skipped shard may be written again.

        Raises:
            ConfigError: the store was made with other settings, or someone else is writing to it.
            DataError: the folder holds shards but no manifest, or a manifest of something else.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        lock = _take_lock(folder)
        try:
            remove_leftovers(folder)
            finish_replacing(folder)
            target = folder / MANIFEST_NAME
            if target.exists():
                stored = RolloutManifest.read(target)
                stored.require_same(manifest, folder)
                manifest = stored
            elif any(folder.glob(SHARD_GLOB)):
                raise DataError(f"{folder} holds shards but no {MANIFEST_NAME}; use a new folder.")
            else:
                manifest.write(target)
            return cls(folder, manifest, on_corrupt=on_corrupt, lock=lock)
        except BaseException:
            lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let another writer in. Reading stays possible."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def append(self, rows: Iterable[Rollout]) -> None:
        """Add rows as one shard: after this call they are on the disk, before it none is.

        Raises:
            ConfigError: the store was opened for reading only, or closed.
            DataError: a row's key is there already, here or in the store.
        """
        if self._lock is None:
            raise ConfigError(
                f"The sample store {self.path} is open for reading; use create_or_open to write."
            )
        held = list(rows)
        if not held:
            return
        if self._written is None:
            self._written = self.keys()
        new = {(row.problem_id, row.sample_id) for row in held}
        if len(new) < len(held) or new & self._written:
            keys = [(row.problem_id, row.sample_id) for row in held]
            twice = next(k for k in keys if k in self._written or keys.count(k) > 1)
            raise DataError(
                f"Sample {twice[1]} of problem {twice[0]!r} would be in {self.path} twice."
            )
        with atomic_write(self._next_shard()) as file:
            pq.write_table(to_table(held), file, compression="zstd")
        self._written |= new

    def keys(self) -> set[Key]:
        """Return ``(problem_id, sample_id)`` of every row, reading only these two columns."""
        found: set[Key] = set()
        names: dict[str, str] = {}
        for batch in self.iter_batches(columns=("problem_id", "sample_id")):
            # One string object per problem, not one per row: a third of the memory.
            ids = (names.setdefault(name, name) for name in batch.column(0).to_pylist())
            found.update(zip(ids, batch.column(1).to_pylist(), strict=True))
        return found

    def iter_batches(
        self, columns: Sequence[str] | None = None, *, batch_size: int = 4096
    ) -> Iterator[pa.RecordBatch]:
        """Yield all rows in the order they were written, without holding the store in memory.

        Args:
            columns: names from ``SCHEMA``, returned in this order; all of them by default.
            batch_size: rows of a batch at most.

        Raises:
            ConfigError: a column is not in the schema.
            DataError: a shard cannot be read, unless ``on_corrupt="skip"``.
        """
        names = list(SCHEMA.names if columns is None else columns)
        unknown = [name for name in names if name not in SCHEMA.names]
        if unknown:
            raise ConfigError(f"Unknown column {unknown[0]!r}. Known: {', '.join(SCHEMA.names)}.")
        for shard in self.shards():
            try:
                # Whole batches are decoded before the first is handed out: a shard damaged
                # half-way would otherwise be half counted.
                batches = self._decode(shard, names, batch_size)
            except (pa.ArrowException, OSError) as error:
                if self._on_corrupt == "error":
                    reason = str(error).splitlines()[0][:120]
                    raise DataError(
                        f"{shard} cannot be read ({reason}). Delete it to sample its rows again, "
                        "or open the store with on_corrupt='skip'."
                    ) from None
                self.skipped.add(shard.name)
                continue
            yield from batches

    def _decode(self, shard: Path, names: list[str], batch_size: int) -> list[pa.RecordBatch]:
        try:
            return list(read_shard(shard, names, batch_size))
        except FileNotFoundError:  # a rescoring moved it to its place meanwhile
            return list(read_shard(self.path / shard.name, names, batch_size))

    def shards(self) -> list[Path]:
        """Return the files of all rows, in the order they were written."""
        if not self.path.is_dir():
            raise MissingFileError(f"The sample store {self.path} does not exist any more.")
        return current_shards(self.path)

    def _next_shard(self) -> Path:
        if self._next_number is None:  # listing the folder for each shard would be quadratic
            shards = self.shards()
            self._next_number = int(shards[-1].stem.removeprefix("shard-")) + 1 if shards else 0
        else:
            self._next_number += 1
        return self.path / f"shard-{self._next_number:08d}.parquet"


def read_shard(shard: Path, names: list[str], batch_size: int = 4096) -> Iterator[pa.RecordBatch]:
    """Yield the named columns of a shard.

    Raises:
        ArrowException: the file is damaged, or lacks a column.
    """
    with pq.ParquetFile(shard) as file:
        missing = [name for name in names if name not in file.schema_arrow.names]
        if missing:
            raise pa.ArrowInvalid(f"it has no column {missing[0]!r}")
        for batch in file.iter_batches(batch_size=batch_size, columns=names):
            yield batch.select(names)


def _take_lock(folder: Path) -> IO[bytes]:
    """Lock the folder for one writer. The system drops the lock when the process dies."""
    lock = (folder / _LOCK_NAME).open("ab")
    if fcntl is not None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise ConfigError(
                f"Another process (or an unclosed store in this one, pid {os.getpid()}) is writing "
                f"to {folder}. Wait for it, or use another folder."
            ) from None
    return lock
