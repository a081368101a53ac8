"""Reading what is damaged, or no sample: the good rows count, and the rest is told."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import DataError, MissingFileError
from polypath.rollouts import load_samples
from tests.rollouts.sample_files import GOOD, lines, write_run


def test_bad_rows_are_counted_and_good_ones_kept(tmp_path: Path) -> None:
    bad = [
        '{"problem_id": "a", "completion": "cut off he',
        "[1, 2]",
        "",
        {"problem_id": "a", "correct": True},
        {"problem_id": None, "completion": "whose?", "correct": True},
        {"problem_id": "a", "completion": "x", "reward": float("nan")},
        {"problem_id": "a", "completion": "x", "reward": float("nan"), "correct": False},
        {"problem_id": "a", "completion": "x", "reward": "high"},
        {"problem_id": "a", "completion": "x", "correct": "perhaps"},
        {"problem_id": "a", "sample_id": 1, "completion": "again", "correct": True},
    ]
    mixed = lines(tmp_path / "run.jsonl", [bad[0], GOOD[0], *bad[1:6], GOOD[1], *bad[6:], GOOD[2]])
    mixed.write_bytes(mixed.read_bytes() + b'\n{"completion": "\xff"}')
    found = load_samples(mixed)
    assert found.completions == (("a0", "a1"), ("b0",))
    assert found.left_out == {
        "not JSON": 2,
        "not a JSON object": 1,
        "no completion": 1,
        "no problem_id and no prompt": 1,
        "NaN reward": 2,
        "reward is not a number": 1,
        "correct is not true or false": 1,
        "duplicate sample": 1,
    }


def test_a_truncated_shard_costs_its_own_rows(tmp_path: Path) -> None:
    write_run(tmp_path)
    shard = tmp_path / "samples" / "shard-00000001.parquet"
    shard.write_bytes(shard.read_bytes()[:100])
    found = load_samples(tmp_path)
    assert found.left_out == {"unreadable shard": 1, "NaN reward": 1}
    assert found.num_samples_N.tolist() == [1, 1]


def test_a_damaged_row_group_costs_its_own_rows(tmp_path: Path) -> None:
    rows = [{"problem_id": str(n), "completion": f"text {n} " * 50} for n in range(30)]
    path = tmp_path / "r.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=10, compression="zstd")
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\0" * column.total_compressed_size
    path.write_bytes(content)
    found = load_samples(path)
    assert found.left_out == {"unreadable row group": 10}
    assert found.problem_ids == tuple(str(n) for n in [*range(10), *range(20, 30)])


def test_rows_before_the_damage_of_a_row_group_are_kept_and_not_counted(tmp_path: Path) -> None:
    rows = [{"problem_id": str(n), "completion": f"text {n} " * 20} for n in range(4000)]
    path = tmp_path / "r.parquet"
    small_pages = {"use_dictionary": False, "data_page_size": 2000, "write_batch_size": 10}
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd", **small_pages)
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    end = column.data_page_offset + column.total_compressed_size
    content = bytearray(path.read_bytes())
    content[end - 300 : end - 100] = b"\0" * 200
    path.write_bytes(content)
    found = load_samples(path)
    assert found.num_problems >= 2000
    assert found.num_problems + found.left_out["unreadable row group"] == 4000


def test_a_folder_of_parquet_is_one_run_and_a_truncated_file_is_left_out(tmp_path: Path) -> None:
    for n, good in enumerate(GOOD):
        pq.write_table(pa.Table.from_pylist([good]), tmp_path / f"part-{n}.parquet")
    whole = load_samples(tmp_path)
    assert whole.num_samples_N.tolist() == [2, 1]
    broken = tmp_path / "part-1.parquet"
    broken.write_bytes(broken.read_bytes()[:-20])
    found = load_samples(tmp_path)
    assert found.completions == (("a0",), ("b0",))
    assert found.left_out == {"unreadable file": 1}


def make_nothing(folder: Path, case: str) -> Path:
    path = folder / ("x.parquet" if "parquet" in case else "x.jsonl")
    if case == "truncated parquet":
        pq.write_table(pa.Table.from_pylist(GOOD), path)
        path.write_bytes(path.read_bytes()[:-30])
    elif case == "parquet without rows":
        pq.write_table(pa.table({"problem_id": pa.array([], pa.string())}), path)
    elif case == "other suffix":
        path = folder / "x.csv"
        path.write_text("a,b")
    elif case == "empty folder":
        path = folder / "nothing"
        path.mkdir()
    elif case == "several dumps":
        lines(folder / "dumps" / "9.jsonl", GOOD)
        path = lines(folder / "dumps" / "10.jsonl", GOOD).parent
    else:
        text = {
            "empty file": "",
            "blank lines": "\n\n",
            "no json": "a\nb\n",
            "other keys": '{"x": 1}',
        }
        path.write_text(text[case])
    return path


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("empty file", "is empty"),
        ("blank lines", "is empty"),
        ("no json", "holds no usable sample (2 not JSON). Its keys are: none"),
        ("other keys", "holds no usable sample (1 no completion). Its keys are: x"),
        ("truncated parquet", "cannot be read"),
        ("parquet without rows", "is empty"),
        ("other suffix", "neither .jsonl nor .parquet"),
        ("empty folder", "holds no samples: expected manifest.json"),
        ("several dumps", "10.jsonl for instance"),
    ],
)
def test_nothing_usable_is_one_clear_line(tmp_path: Path, case: str, text: str) -> None:
    path = make_nothing(tmp_path, case)
    with pytest.raises(DataError) as caught:
        load_samples(path)
    assert text in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        load_samples(tmp_path / "x")


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "problem_id": st.sampled_from(["a", "b", "c", None]),
            "completion": st.one_of(st.text(max_size=5), st.none(), st.integers()),
            "correct": st.one_of(st.booleans(), st.none(), st.just(float("nan"))),
        },
        optional={"sample_id": st.integers(0, 3), "reward": st.floats(), "answer": st.text()},
    ),
    max_size=12,
)


@given(ROWS, st.data())
def test_every_row_is_read_or_counted(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    texts = [json.dumps(r) for r in rows]
    cut = data.draw(st.lists(st.sampled_from(range(len(texts))), unique=True)) if texts else []
    for place in cut:
        texts[place] = texts[place][:-1]
    path = tmp_path_factory.mktemp("rows") / "r.jsonl"
    path.write_text("\n".join(texts))
    try:
        found = load_samples(path)
    except DataError:
        return
    assert found.num_samples_N.sum() + sum(found.left_out.values()) == len(rows)
