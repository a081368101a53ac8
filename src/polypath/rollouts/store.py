"""The sample store: a folder of Parquet shards that only grows, and one manifest.

A shard appears complete or not at all, so a process killed at any moment loses at most the rows of
the shard that it was writing. Rows never change. Several processes, on several machines, may
write to one store at the same time if each does a part of the work.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pyarrow as pa

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rollouts.files import atomic_write, remove_leftovers
from polypath.rollouts.key_index import Key, KeyIndex, hash_columns
from polypath.rollouts.locks import WHOLE, Part, WriterLock
from polypath.rollouts.manifest import RolloutManifest
from polypath.rollouts.parquet import open_parquet, write_parquet
from polypath.rollouts.schema import SCHEMA, Rollout, to_table

OnCorrupt = Literal["error", "skip"]
MANIFEST_NAME = "manifest.json"
SHARD_GLOB = "shard-" + "[0-9]" * 8 + ".parquet"
_INDEX_ROWS = 1 << 16


class RolloutStore:
    """Read and extend a sample store.

    ``RolloutStore.open`` reads. ``RolloutStore.create_or_open`` also writes, and holds a lock until
    ``close`` or the end of the process, so that there is one writer at a time,
    or one for each part.

    Attributes:
        path: the folder.
        manifest: record of what made the rows.
        skipped: names of unreadable shards found so far; empty unless ``on_corrupt="skip"``.
    """

    def __init__(
        self,
        path: Path,
        manifest: RolloutManifest,
        *,
        on_corrupt: OnCorrupt = "error",
        lock: WriterLock | None = None,
        part: Part = WHOLE,
    ) -> None:
        if on_corrupt not in ("error", "skip"):
            raise ConfigError(f"on_corrupt must be 'error' or 'skip', got {on_corrupt!r}.")
        self.path = path
        self.manifest = manifest
        self.skipped: set[str] = set()
        self._on_corrupt = on_corrupt
        self._lock = lock
        self._part = part
        self._index = KeyIndex()
        self._indexed: set[str] = set()  # names of shards whose keys are in the index
        self._next_number: int | None = None

    @classmethod
    def open(cls, path: str | Path, *, on_corrupt: OnCorrupt = "error") -> Self:
        """Open a store for reading. It may grow in the meantime.

        Args:
            path: the folder.
            on_corrupt: ``"error"`` stops at an unreadable shard; ``"skip"`` leaves its rows out
                and adds its name to ``skipped``.

        Raises:
            MissingFileError: the store does not exist.
            DataError: the manifest is not that of a sample store.
        """
        folder = Path(path)
        return cls(folder, RolloutManifest.read(folder / MANIFEST_NAME), on_corrupt=on_corrupt)

    @classmethod
    def create_or_open(
        cls,
        path: str | Path,
        manifest: RolloutManifest,
        *,
        part: Part = WHOLE,
    ) -> Self:
        """Open a store for writing. Create it if necessary, and clean up after killed runs.

        Args:
            path: the folder.
            manifest: how the new rows are made.
            part: the part that this process writes, if others write the rest at the same time.

        Raises:
            ConfigError: the store was made with other settings, or another process is writing to it.
            DataError: the folder has shards but no manifest, or a manifest of something else.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(folder, part)
        try:
            remove_leftovers(folder, part.owner)
            target = folder / MANIFEST_NAME
            has_shards = any(
                folder.glob(SHARD_GLOB)
            )  # checked first, because a manifest precedes shards
            if not target.exists():
                if has_shards:
                    raise DataError(
                        f"{folder} holds shards but no {MANIFEST_NAME}; use a new folder."
                    )
                with contextlib.suppress(FileExistsError):  # another part was first
                    manifest.write(target, owner=part.owner)
            stored = RolloutManifest.read(target)
            stored.require_same(manifest, folder)
            return cls(folder, stored, lock=lock, part=part)
        except BaseException:
            lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Allow another writer. Reading remains possible."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def append(self, rows: Iterable[Rollout], *, number: int | None = None) -> None:
        """Add rows as one shard. After this call all of them are on the disk, before it none.

        Args:
            rows: of the shard; nothing is written where there are none.
            number: of the shard, which no other has: from ``next_number`` on, in any order. By default
                the next one.

        Raises:
            ConfigError: the store was opened for reading only, or closed.
            DataError: a key occurs twice, among these rows or with those of the store.
        """
        if self._lock is None:
            raise ConfigError(
                f"The sample store {self.path} is open for reading; use create_or_open to write."
            )
        table = to_table(rows)
        if not table.num_rows:
            return
        index = self._index if self._indexed else self.index()
        hashes = hash_columns(table["problem_id"], table["sample_id"])
        repeated = index.contains(hashes)
        if repeated.any() or len(np.unique(hashes)) < len(hashes):
            order = np.argsort(hashes, kind="stable")
            later = order[1:][hashes[order[1:]] == hashes[order[:-1]]]
            row = int(np.flatnonzero(repeated)[0] if repeated.any() else later.min())
            raise DataError(
                f"Sample {table['sample_id'][row]} of problem {table['problem_id'][row].as_py()!r} "
                f"would be in {self.path} twice."
            )
        self._indexed.add(self._write(table, number))
        index.add(hashes)

    def _write(self, table: pa.Table, number: int | None) -> str:
        """Write a shard and return its name."""
        if number is not None:
            shard = self._shard(number)
            with atomic_write(shard, owner=self._part.owner, new=True) as file:
                write_parquet(table, file)
            self._next_number = None
            return shard.name
        while True:
            shard = self._shard(self.next_number())
            self._next_number = self.next_number() + self._part.of
            try:
                with atomic_write(shard, owner=self._part.owner, new=True) as file:
                    write_parquet(table, file)
                return shard.name
            except FileExistsError:
                self._next_number = None  # another process took it, so list the folder again

    def keys(self) -> set[Key]:
        """Return ``(problem_id, sample_id)`` of every row. For large stores use ``index``."""
        found: set[Key] = set()
        for batch in self.iter_batches(columns=("problem_id", "sample_id")):
            found.update(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        return found

    def index(self) -> KeyIndex:
        """Return the keys of every row, in 8 bytes each.

        There is one index, and later appends are added to it. Calling this again adds what others have
        written in the meantime, and reads only that.
        """
        new = [shard for shard in self.shards() if shard.name not in self._indexed]
        for batch in self._batches(new, ["problem_id", "sample_id"], _INDEX_ROWS):
            self._index.add(hash_columns(*batch.columns))
        self._indexed.update(shard.name for shard in new)
        return self._index

    def iter_batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        batch_size: int = 4096,
        progress: Callable[[int, int], object] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield all rows in the order they were written, without holding the store in memory.

        Args:
            columns: names from ``SCHEMA``, returned in this order; all of them by default.
            batch_size: rows of a batch at most.
            progress: called with the shards that are read, and how many there are.

        Raises:
            ConfigError: a column is not in the schema.
            DataError: a shard cannot be read, unless ``on_corrupt="skip"``.
        """
        names = list(SCHEMA.names if columns is None else columns)
        unknown = [name for name in names if name not in SCHEMA.names]
        if unknown:
            raise ConfigError(f"Unknown column {unknown[0]!r}. Known: {', '.join(SCHEMA.names)}.")
        shards = self.shards()
        for done, shard in enumerate(shards, 1):
            yield from self._batches([shard], names, batch_size)
            if progress is not None:
                progress(done, len(shards))

    def _batches(
        self, shards: Sequence[Path], names: list[str], batch_size: int
    ) -> Iterator[pa.RecordBatch]:
        for shard in shards:
            try:
                # Whole batches are decoded before the first is yielded. Otherwise a shard that is damaged
                # half-way would be counted in half.
                batches = _read_shard(shard, names, batch_size)
            except (pa.ArrowException, OSError) as error:
                if self._on_corrupt == "error":
                    reason = str(error).partition("\n")[0][:120]
                    raise DataError(
                        f"{shard} cannot be read ({reason}). Delete it to sample its rows again, "
                        "or open the store with on_corrupt='skip'."
                    ) from None
                self.skipped.add(shard.name)
                continue
            yield from batches

    def shards(self) -> list[Path]:
        """Return the files of all rows, in the order in which they were written."""
        if not self.path.is_dir():
            raise MissingFileError(f"The sample store {self.path} does not exist any more.")
        return sorted(self.path.glob(SHARD_GLOB))

    def next_number(self) -> int:
        """Return the number of the next shard. Each part has its own numbers, so parts rarely collide."""
        rank, of = self._part
        if self._next_number is None:  # listing the folder for each shard would be quadratic
            shards = self.shards()
            least = int(shards[-1].stem.removeprefix("shard-")) + 1 if shards else 0
            self._next_number = least + (rank - least) % of
        return self._next_number

    def _shard(self, number: int) -> Path:
        return self.path / f"shard-{number:08d}.parquet"


def _read_shard(shard: Path, names: list[str], batch_size: int) -> list[pa.RecordBatch]:
    """Return the named columns of a shard. Raise ``ArrowException`` if it is damaged or lacks one."""
    with open_parquet(shard, names) as file:
        missing = [name for name in names if name not in file.schema_arrow.names]
        if missing:
            raise pa.ArrowInvalid(f"it has no column {missing[0]!r}")
        batches = list(file.iter_batches(batch_size=batch_size, columns=names))
        for batch in batches:  # of a shard without checksums: check for texts that are not UTF-8
            batch.validate(full=True)
        return [batch.select(names) for batch in batches]
