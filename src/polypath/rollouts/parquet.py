"""Parquet files with a checksum in every page, which reading verifies; files without are read, too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq


def write_parquet(table: pa.Table, file: BinaryIO) -> None:
    """Write a table, compressed and with checksums."""
    pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def open_parquet(source: Path | BinaryIO) -> pq.ParquetFile:
    """Open a file to read; a page that its checksum does not fit raises OSError when it is read."""
    return pq.ParquetFile(source, page_checksum_verification=True)


def plain_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | None]:
    """Yield the rows of a batch; None for one with a value that Python has no object for.

    Such are texts that are not UTF-8, and dates beyond the year 9999.
    """
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except (ValueError, OverflowError, pa.ArrowException):
                yield None
