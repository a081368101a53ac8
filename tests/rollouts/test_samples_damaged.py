"""Reading what is damaged, or no sample: the good rows count, and the rest is told."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypath.errors import DataError, MissingFileError
from polypath.rollouts import load_samples
from polypath.rollouts.transfer import import_run
from tests.rollouts.rows import manifest
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


DEEP = "[" * 100_000 + "]" * 100_000
ODD = [
    '"reward": [1.0]',
    '"reward": {"a": 1}',
    '"reward": Infinity',
    f'"reward": {"9" * 400}',
    f'"correct": {"9" * 400}',
    f'"sample_id": {"9" * 5000}',
    '"correct": [true]',
    '"status": {"a": 1}',
    '"status": ["timeout"]',
    '"completion": {"role": "assistant", "content": null}',
    '"completion": [{"role": "assistant", "content": [{"type": "image"}]}]',
    '"completion": ["a", "b"], "correct": true',
    '"completion": ["a", "b"], "reward": [1.0]',
    '"problem_id": 9007199254740993.0',
    f'"gold": {DEEP}',
    f'"prompt": [{{"role": "user", "content": {DEEP}}}]',
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[:40])
def test_one_odd_value_costs_its_row_only(tmp_path: Path, odd: str) -> None:
    row = '{"problem_id": "a", "completion": "x", ' + odd + "}"
    found = load_samples(lines(tmp_path / "r.jsonl", [GOOD[0], row, *GOOD[1:]]))
    assert found.completions == (("a0", "a1"), ("b0",))
    assert [*found.left_out.values()] == [1]
    assert [*found.left_out_at.values()] == [("line 2 of r.jsonl",)]


@pytest.mark.parametrize(
    "row",
    [
        '"gold": NaN, "answer": NaN, "prompt": NaN',
        '"gold": [NaN], "answer": {"a": NaN}',
        f'"sample_id": {"9" * 400}',
        '"sample_id": {"a": 1}, "greedy": [1]',
        '"correct": true, "reward": "high"',
        '"status": null, "problem_id": ""',
        '"status": "\\ud800"',
    ],
)
def test_an_odd_value_that_says_nothing_of_the_verdict_costs_nothing(
    tmp_path: Path, row: str
) -> None:
    path = lines(
        tmp_path / "r.jsonl", ['{"problem_id": "z", "completion": "x", ' + row + "}", *GOOD]
    )
    found = load_samples(path)
    assert found.num_samples_N.tolist() == [1, 2, 1]
    assert found.left_out == {}
    assert import_run(path, tmp_path / "run", manifest()).num_rows >= 3, (
        "a store holds no such number"
    )


@pytest.mark.parametrize(
    "odd", ['{"x": 1}', '{"completion": "of what?"}', '{"score": 1}', "[]", "{"]
)
def test_an_odd_first_row_does_not_decide_what_the_file_is(tmp_path: Path, odd: str) -> None:
    rows = [{"input": "q", "output": "x", "score": 1.0, "step": 0}] * 2
    found = load_samples(lines(tmp_path / "r.jsonl", [odd, *rows]))
    assert found.correct == ((True, True),)
    assert [*found.left_out.values()] == [1]


def test_every_row_may_call_its_reward_as_it_likes(tmp_path: Path) -> None:
    told = [{"correct": True}, {"score": 1.0}, {"reward": 0.0, "score": 1.0}, {"score": [1.0]}]
    rows = [{"problem_id": "a", "completion": "x", **row} for row in told]
    found = load_samples(lines(tmp_path / "r.jsonl", rows))
    assert found.correct == ((True, True, False),)
    assert found.left_out == {"reward is not a number": 1}


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_ids_of_any_size_stay_apart(tmp_path: Path, suffix: str) -> None:
    numbers = [2**53, 2**53 + 1, 2**64 - 1, 2**64 - 2]
    rows = [{"problem_id": n, "sample_id": m, "completion": "x"} for n in numbers for m in numbers]
    path = tmp_path / f"r.{suffix}"
    if suffix == "parquet":
        columns = {"problem_id": pa.array([r["problem_id"] for r in rows], pa.uint64())}
        columns |= {"sample_id": pa.array([r["sample_id"] for r in rows], pa.uint64())}
        pq.write_table(pa.table(columns | {"completion": ["x"] * 16}), path)
    else:
        path.write_text(json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows)))
    found = load_samples(path)
    assert found.problem_ids == tuple(map(str, numbers))
    assert found.num_samples_N.tolist() == [4] * 4


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        (
            [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"text": "b"}]}],
            "a\nb",
        ),
        ({"content": ["a", {"type": "reasoning", "reasoning": "hm"}]}, "a"),
        ([{"type": "text", "text": "a"}], "a"),
        ([{"role": "user", "content": "q"}, {"role": "assistant", "content": ""}], ""),
        (["a"], "a"),
        ([[{"role": "assistant", "content": [{"type": "text", "text": "a"}]}]], "a"),
    ],
)
def test_parts_of_a_message_are_read(tmp_path: Path, completion: Any, text: str) -> None:
    row = {"problem_id": "p", "sample_id": 3, "completion": completion, "correct": True}
    found = load_samples(lines(tmp_path / "r.jsonl", [row]))
    assert (found.completions, found.correct) == (((text,),), ((True,),))


def test_what_is_no_text_in_parquet_costs_its_row_only(tmp_path: Path) -> None:
    bad = pa.array([b"good", b"\xff", b"fine"])
    decimals = pa.array([Decimal(2**60), Decimal(2**60), Decimal(2**60 + 1)])
    columns = {"problem_id": decimals, "completion": bad}
    pq.write_table(pa.table(columns), tmp_path / "binary.parquet")
    pq.write_table(
        pa.table(columns | {"completion": bad.view(pa.string())}), tmp_path / "string.parquet"
    )
    for name in ("binary", "string"):
        found = load_samples(tmp_path / f"{name}.parquet")
        assert found.completions == (("good",), ("fine",))
        assert found.problem_ids == (str(2**60), str(2**60 + 1))
        assert [*found.left_out_at.values()] == [(f"row 2 of {name}.parquet",)]


def test_numbers_that_no_store_holds_are_left_out_of_an_import(tmp_path: Path) -> None:
    rows = [{**GOOD[0], "sample_id": n} for n in (2**63, -2, 10**30)]
    odd = {**GOOD[1], "n_tokens": 10**400, "token_ids": [2**40], "finish_reason": ["x"]}
    path = lines(tmp_path / "r.jsonl", [*rows, GOOD[0], odd])
    done = import_run(path, tmp_path / "run", manifest())
    assert (done.num_rows, sum(done.left_out.values())) == (2, 3)
    assert [*done.left_out_at.values()] == [tuple(f"line {n} of r.jsonl" for n in (1, 2, 3))]


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
        (
            "no json",
            "holds no usable sample (2 not JSON (line 1 of x.jsonl, line 2 of x.jsonl)). Its keys are: none",
        ),
        (
            "other keys",
            "holds no usable sample (1 no completion (line 1 of x.jsonl)). Its keys are: x",
        ),
        ("truncated parquet", "cannot be read"),
        ("parquet without rows", "is empty"),
        ("other suffix", ".jsonl, .ndjson, .parquet, .eval, .json"),
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


def odd_json(depth: int = 3) -> st.SearchStrategy[Any]:
    """What JSON can hold, and what only Python's reader takes for JSON."""
    numbers = st.integers() | st.floats() | st.sampled_from([2**53 + 1, 10**400, -1])
    leaves = st.none() | st.booleans() | numbers | st.text(max_size=4) | st.sampled_from(
        ["timeout", "true", "[1, 2", "{[]: 1}", "{(1, 2): 3}", "\ud800"]
    )  # fmt: skip
    keys = st.sampled_from(["role", "content", "text", "value", "message", "choices", "a"])
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner),
        max_leaves=depth,
    )


GOOD_OF = {  # a good row of each tool, and the keys of its rows
    "own": {"problem_id": "g", "completion": "good", "correct": True, "gold": "5"},
    "verl": {"input": "g", "output": "good", "score": 1.0, "step": 1, "acc": True},
    "harness": {
        "doc_id": 0, "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": {}}}, "resps": [["good"]],
        "filtered_resps": ["5"], "filter": "a", "metrics": ["m"], "m": 1.0, "target": "5",
    },
    "inspect": {
        "id": "g", "epoch": 1, "input": "q", "target": "5", "scores": {"s": {"value": 1.0}},
        "output": {"choices": [{"message": {"role": "assistant", "content": "good"}}]},
    },
}  # fmt: skip


@settings(max_examples=30)
@given(st.sampled_from(sorted(GOOD_OF)), st.data())
def test_no_odd_row_raises_or_loses_a_good_one(
    tmp_path_factory: pytest.TempPathFactory, tool: str, data: st.DataObject
) -> None:
    good = GOOD_OF[tool]
    names = st.sampled_from(
        [*good, "completion", "sample_id", "reward", "status", "answer", "greedy"]
    )
    changes = data.draw(
        st.lists(st.dictionaries(names, odd_json(), min_size=1), min_size=1, max_size=4)
    )
    changes = [{k: v for k, v in change.items() if k != "filter"} for change in changes]
    odd = [{**(good if data.draw(st.booleans()) else {}), "id": "odd", **c} for c in changes]
    rows = data.draw(st.permutations([good, *odd]))
    folder = tmp_path_factory.mktemp("rows")
    path = lines(folder / "r.jsonl", [json.dumps(r) for r in rows])
    found = load_samples(path)
    assert any("good" in texts for texts in found.completions)
    assert import_run(path, folder / "run", manifest()).num_rows > 0


@settings(max_examples=30)
@given(st.binary(max_size=30), st.integers(0, 10**6), st.booleans())
def test_a_damaged_file_is_read_in_part_or_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, is_shard: bool
) -> None:
    folder = tmp_path_factory.mktemp("shard")
    write_run(folder)
    shard = folder / "samples" / "shard-00000001.parquet"
    if not is_shard:
        shard = lines(folder / "r.jsonl", GOOD)
    content = shard.read_bytes()
    at %= len(content)
    shard.write_bytes(content[:at] + noise + content[at + len(noise) :])
    try:
        found = load_samples(folder if is_shard else shard)
    except DataError:
        assert not is_shard
        return
    if is_shard:
        assert found.completions[0][:1] == ("5",), "the other shards are whole"
