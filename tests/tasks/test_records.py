"""Rows are read from every format, and what cannot be used is an error that says where."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import DataError, PolypathError
from polypath.tasks.records import gold_of, last_boxed, problem_ids, read_file
from tests.tasks.data import write_rows

ROWS = [{"problem": "What is 1 + 1? é", "answer": "2"}, {"problem": "And 2 + 2?", "answer": "4"}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "a.parquet"])
def test_every_format_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    assert list(read_file(write_rows(tmp_path / name, ROWS))) == ROWS


def test_json_may_be_lines_or_hold_its_list_under_data(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    assert list(read_file(path)) == ROWS
    path.write_text(json.dumps(ROWS[0]))  # one line is a row, too
    assert list(read_file(path)) == ROWS[:1]
    path.write_text(json.dumps({"version": 1, "data": ROWS}))
    assert list(read_file(path)) == ROWS
    path.write_text("\ufeff" + json.dumps(ROWS), encoding="utf-8")
    assert list(read_file(path)) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"problem": "x"}\n{"prob', "line 2: not JSON"),
        ("a.jsonl", b'{"problem": "x"}\n[1]', "row 2: expected an object, got list"),
        ("a.jsonl", b"\xff\xfe", "cannot be read as jsonl"),
        ("a.json", b'{\n "a": 1\n}', "must hold a list of objects, got dict"),
        ("a.json", b"[1, 2]", "row 1: expected an object, got int"),
        ("a.json", b"[{]", "cannot be read as json"),
        ("a.parquet", b"PAR1", "cannot be read as parquet"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_the_place(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        list(read_file(path))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "gold"),
    [
        ("answer", "so\n#### 1,234", "1234"),
        ("answer", "#### 1\n#### 2 ", "2"),
        ("answer", 27.0, "27"),
        ("answer", 0.5, "0.5"),
        ("answer", 7, "7"),
        ("answer", "27.0", "27.0"),
        ("answer", " $\\frac{1}{2}$ ", "\\frac{1}{2}"),
        ("answer", "$1$ and $2$", "$1$ and $2$"),
        ("answer", "$$x$$", "x"),
        ("answer", "\\boxed{3}", "3"),
        ("final_answer", ["4"], "4"),
        ("final_answer", ["1", "$-1$"], "1, -1"),
        ("solution", "first \\boxed{1}, then \\boxed{\\frac{a}{b}} .", "\\frac{a}{b}"),
    ],
)
def test_the_gold_is_the_final_answer_as_text(field: str, value: Any, gold: str) -> None:
    assert gold_of({field: value}, field, "f, row 1") == gold


@pytest.mark.parametrize("value", [None, "", "  ", [], [None], ["1", ""], True, float("nan"), {}])
def test_a_row_without_an_answer_is_named(value: Any) -> None:
    with pytest.raises(DataError, match=r"f\.jsonl, row 3, field 'answer'"):
        gold_of({"answer": value}, "answer", "f.jsonl, row 3")


def test_a_solution_needs_a_box() -> None:
    with pytest.raises(DataError, match=r"'solution'.*\\boxed"):
        gold_of({"solution": "It is 5."}, "solution", "f, row 1")


def test_boxes_close_where_their_braces_do() -> None:
    assert last_boxed(r"\boxed{a_{1} + \{b\}}") == r"a_{1} + \{b\}"
    assert last_boxed(r"\boxed {5}") == "5"
    assert last_boxed(r"\boxed{1} and \boxed{2") == "1"
    assert last_boxed(r"\boxed 5") is None
    assert last_boxed(r"\boxed{}") is None
    assert last_boxed(r"\boxed") is None


@given(st.text(alphabet="ab{}\\ ", max_size=12).filter(lambda t: t.strip()), st.text(max_size=5))
def test_a_balanced_content_comes_back(content: str, after: str) -> None:
    balanced = content.replace("\\", "").replace("{", "").replace("}", "")
    wrapped = "{" + balanced + "}x"
    assert last_boxed(f"\\boxed{{{wrapped}}}{after.replace('boxed', '')}") == wrapped


@given(st.text(max_size=40))
def test_any_text_has_a_box_or_none(text: str) -> None:
    found = last_boxed(text)
    assert found is None or found in text


def test_ids_are_the_data_sets_own_where_they_tell_rows_apart() -> None:
    keys = ["a", "b"]
    assert problem_ids([{"id": 3}, {"id": 4}], keys, None, where="f") == ["3", "4"]
    assert problem_ids([{"id": 3, "idx": 0}, {"id": 3, "idx": 1}], keys, None, where="f") == [
        "0",
        "1",
    ]
    hashed = problem_ids([{"id": 3}, {"id": 3}], keys, None, where="f")
    assert hashed == problem_ids([{}, {}], keys, None, where="elsewhere")
    assert len(set(hashed)) == 2
    assert problem_ids([{}, {}], ["a", "a"], None, where="f") == [hashed[0], f"{hashed[0]}-2"]


def test_a_chosen_id_must_tell_rows_apart() -> None:
    with pytest.raises(PolypathError, match=r"'id' \(id_field\).*'3'"):
        problem_ids([{"id": 3}, {"id": 3}], ["a", "b"], "id", where="f")
    with pytest.raises(PolypathError, match="'name'"):
        problem_ids([{"name": "x"}, {}], ["a", "b"], "name", where="f")
