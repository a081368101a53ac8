"""Parquet files in which every byte has a checksum. Files of other writers can be read as well.

Parquet's own checksums cover the content of pages, but not their headers and not the footer. We add the
rest before the footer, where no reader looks: a CRC-32 of each column chunk, the number of these, a mark,
and a CRC-32 of all that and the footer. Reading some columns verifies only theirs.
"""

import io
import struct
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

_MARK = b"polypath CRC-32 "
_WORD = 4  # bytes of a number
_TAIL = 8  # bytes after the footer: its length, and four letters


def write_parquet(table: pa.Table, file: BinaryIO) -> None:
    """Write a table, compressed and with checksums."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    content, start = buffer.getvalue(), _footer_start(buffer)
    chunks = list(_chunks(pq.ParquetFile(buffer).metadata))
    crcs = b"".join(_number(zlib.crc32(content[first:end])) for _, first, end in chunks)
    crcs += _number(len(chunks))
    of_footer = _number(zlib.crc32(crcs + content[start:]))
    file.write(content[:start] + crcs + _MARK + of_footer + content[start:])


@contextmanager
def open_parquet(path: Path, columns: Collection[str] | None = None) -> Iterator[pq.ParquetFile]:
    """Open a file to read.

    Args:
        path: the file.
        columns: columns that will be read; all by default.

    Raises:
        OSError: a checksum does not fit; the checksum of a page is verified only when the page is read.
        pa.ArrowException: it is not a Parquet file.
    """
    with path.open("rb") as file:
        crcs = _read_crcs(file)  # first, because a damaged footer can end the process in pyarrow
        with pq.ParquetFile(path, page_checksum_verification=True) as parquet:
            for crc, (name, first, end) in zip(crcs, _chunks(parquet.metadata), strict=False):
                if columns is None or name in columns:
                    file.seek(first)
                    if zlib.crc32(file.read(end - first)) != crc:
                        raise OSError(f"the checksum of its column {name} does not fit")
            yield parquet


def _read_crcs(file: BinaryIO) -> Sequence[int]:
    """Return the CRC-32 of each column chunk; none if another tool or an older version wrote the file."""
    start = _footer_start(file)
    file.seek(max(start - _WORD - len(_MARK) - _WORD, 0))
    count, mark = int.from_bytes(file.read(_WORD), "little"), file.read(len(_MARK))
    if mark != _MARK:
        return ()
    told, footer = int.from_bytes(file.read(_WORD), "little"), file.read()
    place = start - _WORD - len(_MARK) - _WORD * (count + 1)
    file.seek(max(place, 0))
    crcs = file.read(_WORD * (count + 1))
    if zlib.crc32(crcs + footer) != told:
        raise OSError("the checksum of its footer does not fit")
    return struct.unpack(f"<{count}I", crcs[:-_WORD])


def _chunks(metadata: pq.FileMetaData) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each column chunk, its first byte, and the byte after its last."""
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(place)
            first = chunk.data_page_offset
            if chunk.dictionary_page_offset is not None:
                first = min(first, chunk.dictionary_page_offset)
            yield chunk.path_in_schema.split(".")[0], first, first + chunk.total_compressed_size


def _footer_start(file: BinaryIO) -> int:
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - _TAIL, 0))
    return size - _TAIL - int.from_bytes(file.read(_WORD), "little")


def _number(value: int) -> bytes:
    return value.to_bytes(_WORD, "little")


def may_be_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers or truth values, or nothing at all."""
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_null(kind)
    )


def plain_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | None]:
    """Yield the rows of a batch; None for a row with a value that Python has no object for.

    Examples are texts that are not UTF-8, and dates beyond the year 9999.
    """
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except (ValueError, OverflowError, pa.ArrowException):
                yield None
