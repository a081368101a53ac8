"""Checksums of what is stored: no flipped bit changes what is read."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polypath.errors import DataError
from polypath.rollouts import SCHEMA, RolloutStore, load_samples
from polypath.rollouts.parquet import open_parquet, write_parquet
from tests.rollouts.rows import manifest, row
from tests.rollouts.sample_files import GOOD


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    with RolloutStore.create_or_open(tmp_path / "samples", manifest()) as store:
        store.append(
            row(f"p{n % 9}", n, completion=f"it is {n}", correct=n % 2 > 0) for n in range(40)
        )
        store.append([row("whole", 0)])
    return tmp_path / "samples" / "shard-00000000.parquet"


def rows(folder: Path) -> list[list[dict[str, object]]]:
    return [batch.to_pylist() for batch in RolloutStore.open(folder).iter_batches()]


def test_no_flipped_bit_changes_what_is_read(shard: Path) -> None:
    content, whole = shard.read_bytes(), rows(shard.parent)
    seen = 0
    bits = range(0, 8 * len(content), 173)
    for bit in bits:
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        shard.write_bytes(flipped)
        try:
            assert rows(shard.parent) == whole
        except DataError as error:
            seen += str(shard) in str(error)
    assert seen > 0.98 * len(bits), "all but the letters that mark the kind of file"


def test_a_damaged_shard_is_counted_with_its_name_and_the_others_are_read(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[-20] ^= 1
    shard.write_bytes(content)
    found = load_samples(shard.parent.parent)
    assert found.problem_ids == ("whole",)
    assert found.left_out_at == {"unreadable shard": ("samples/shard-00000000.parquet",)}


def test_only_columns_that_are_read_are_verified(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    with open_parquet(shard) as file:
        chunk = file.metadata.row_group(0).column(SCHEMA.get_field_index("completion"))
    content[chunk.data_page_offset + 2] ^= 1
    shard.write_bytes(content)
    store = RolloutStore.open(shard.parent)
    assert len(store.keys()) == 41
    with pytest.raises(DataError, match="completion"):
        list(store.iter_batches(["completion"]))


def test_shards_without_checksums_are_read(shard: Path) -> None:
    whole = rows(shard.parent)
    pq.write_table(pq.read_table(shard), shard, compression="zstd")
    assert rows(shard.parent) == whole


def test_bytes_that_are_no_text_are_seen_without_checksums(shard: Path) -> None:
    content = pq.read_table(shard)
    texts = pa.array([b"\xff"] * content.num_rows).view(pa.string())
    place = SCHEMA.get_field_index("completion")
    pq.write_table(content.set_column(place, SCHEMA.field(place), texts), shard)
    with pytest.raises(DataError, match=shard.name):
        rows(shard.parent)


@pytest.mark.parametrize("row_count", [0, 1, 3])
def test_other_readers_read_what_is_written(row_count: int) -> None:
    table = pa.Table.from_pylist(GOOD).slice(0, row_count)
    buffer = io.BytesIO()
    write_parquet(table, buffer)
    assert pq.read_table(io.BytesIO(buffer.getvalue())).equals(table)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 100, b"PAR1" + b"\xff" * 50 + b"PAR1"])
def test_what_is_no_parquet_is_one_line(shard: Path, content: bytes) -> None:
    shard.write_bytes(content)
    with pytest.raises(DataError, match=shard.name):
        rows(shard.parent)
