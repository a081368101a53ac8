"""The file of the counted answers in a checkpoint: one Parquet file, one row per problem and answer."""

from pathlib import Path

import pyarrow as pa

from polypath.core.answer_counts import KEY_BYTES, AnswerCounts
from polypath.errors import DataError, MissingFileError
from polypath.rollouts.files import atomic_write
from polypath.rollouts.parquet import open_parquet, write_parquet

_SCHEMA = pa.schema([("key", pa.binary(KEY_BYTES)), ("count", pa.int64())])


def write_counts(path: Path, counts: AnswerCounts) -> None:
    """Write what was counted, whole or not at all; the folder is made."""
    rows = list(counts)
    columns = {"key": [key for key, _ in rows], "count": [count for _, count in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        write_parquet(pa.table(columns, schema=_SCHEMA), file)


def read_counts(path: Path, counts: AnswerCounts) -> None:
    """Put what a file holds in place of what was counted.

    Raises:
        MissingFileError: there is no file.
        DataError: it cannot be read, or holds something else.
    """
    if not path.is_file():
        raise MissingFileError(
            f"{path} does not exist: the checkpoint was saved by a run that counted no answers. Continue it "
            "without the method that needs them (advantage: history_exploration), or start the run anew."
        )
    try:
        with open_parquet(path) as parquet:
            table = parquet.read().cast(_SCHEMA)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path} does not hold counted answers that can be read: {error}. Resume from another checkpoint."
        ) from None
    keys, numbers = (table.column(name).to_pylist() for name in _SCHEMA.names)
    counts.restore(zip(keys, numbers, strict=True))
