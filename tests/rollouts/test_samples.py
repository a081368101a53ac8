"""Reading the samples of a run, whatever file they came in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polypath.errors import ConfigError, DataError
from polypath.rollouts import RolloutStore, Samples, load_samples
from tests.rollouts.rows import manifest, row
from tests.rollouts.sample_files import GOOD, lines, write_run


def test_json_lines_become_samples(tmp_path: Path) -> None:
    found = load_samples(lines(tmp_path / "run.jsonl", GOOD))
    assert found.name == "run"
    assert found.problem_ids == ("a", "b")
    assert found.completions == (("a0", "a1"), ("b0",))
    assert found.correct == ((True, False), (True,))
    assert found.answers == (("5", None), ("7",))
    assert found.prompts == found.golds == (None, None)
    assert found.greedy_correct is None
    assert found.left_out == {}
    assert found.num_problems == 2
    for counts, expected in (
        (found.num_samples_N, [2, 1]),
        (found.num_verified_N, [2, 1]),
        (found.num_correct_N, [1, 1]),
    ):
        assert counts.dtype == np.int64
        assert counts.tolist() == expected


def test_parquet_reads_like_json_lines(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(GOOD), tmp_path / "run.parquet")
    assert load_samples(tmp_path / "run.parquet") == load_samples(
        lines(tmp_path / "run.jsonl", GOOD)
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"correct": 1}, True),
        ({"correct": 0.0}, False),
        ({"correct": "True"}, True),
        ({"correct": None, "reward": 0.75}, True),
        ({"reward": 0.5}, False),
        ({"score": 1}, True),
        ({"reward": -1}, False),
        ({"correct": False, "status": "timeout"}, None),
        ({"correct": False, "status": "error"}, None),
        ({"correct": False, "status": "bad_gold"}, None),
        ({"correct": False, "status": "no_answer"}, False),
        ({}, None),
    ],
)
def test_what_counts_as_right(tmp_path: Path, fields: dict[str, Any], expected: Any) -> None:
    found = load_samples(
        lines(tmp_path / "r.jsonl", [{"problem_id": 1, "completion": "", **fields}])
    )
    assert found.correct == ((expected,),)
    assert found.num_verified_N.tolist() == [int(expected is not None)]
    assert found.problem_ids == ("1",)


def test_samples_are_ordered_by_number_however_they_were_drawn(tmp_path: Path) -> None:
    shuffled = [GOOD[1], GOOD[2], GOOD[0], {"problem_id": "a", "completion": "late"}]
    found = load_samples(lines(tmp_path / "r.jsonl", shuffled))
    assert found.completions == (("a0", "a1", "late"), ("b0",))


def test_without_an_id_the_prompt_names_the_problem(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "2 + 2"}]
    rows = [
        {"prompt": "1 + 1", "completion": "2"},
        {"prompt": chat, "completion": [{"role": "assistant", "content": "4"}]},
        {"prompt": "1 + 1", "completion": "3"},
    ]
    found = load_samples(lines(tmp_path / "r.jsonl", rows))
    assert found.completions == (("2", "3"), ("4",))
    assert found.prompts == ("1 + 1", json.dumps(chat))
    again = load_samples(lines(tmp_path / "other.jsonl", rows[1:]))
    assert set(again.problem_ids) == set(found.problem_ids)


def test_a_row_per_problem_is_unrolled(tmp_path: Path) -> None:
    rows = [
        {"idx": 3, "code": ["x", "y"], "score": [True, False], "pred": ["1", ""], "gt": "1"},
        {"idx": 4, "code": ["z"], "score": [True], "pred": ["2"], "gt": "2"},
        {"idx": 5, "code": [], "score": [], "pred": [], "gt": "3"},
    ]
    keys = {"problem_id": "idx", "completion": "code", "correct": "score"}
    keys |= {"answer": "pred", "gold": "gt"}
    found = load_samples(lines(tmp_path / "r.jsonl", rows), keys=keys)
    assert found.problem_ids == ("3", "4")
    assert found.completions == (("x", "y"), ("z",))
    assert found.correct == ((True, False), (True,))
    assert found.golds == ("1", "2")
    assert found.left_out == {"no completion": 1}


def test_keys_may_reach_into_objects(tmp_path: Path) -> None:
    rows = [{"meta": {"id": "p"}, "completion": "x", "eval": {"math": {"ok": True}}}]
    path = lines(tmp_path / "r.jsonl", rows)
    found = load_samples(path, keys={"problem_id": "meta.id", "correct": "eval.math.ok"})
    assert (found.problem_ids, found.correct) == (("p",), ((True,),))


def test_unknown_keys_are_refused_on_either_side(tmp_path: Path) -> None:
    path = lines(tmp_path / "r.jsonl", GOOD)
    with pytest.raises(ConfigError, match="'completion'"):
        load_samples(path, keys={"completions": "x"})
    with pytest.raises(DataError, match=r"'response'.*answer, completion"):
        load_samples(path, keys={"completion": "response"})


@dataclass
class Verified:
    status: str
    correct: bool
    answer: str | None
    reward: float = 1.0


def test_rows_are_verified_where_there_is_a_gold_answer(tmp_path: Path) -> None:
    batches: list[int] = []

    def verify_batch(completions: Sequence[str], golds: Sequence[str]) -> list[Verified]:
        batches.append(len(completions))
        return [
            Verified("timeout", False, None)
            if text == "slow"
            else Verified("graded", text == gold, text)
            for text, gold in zip(completions, golds, strict=True)
        ]

    rows = [
        {"problem_id": "a", "completion": "5", "gold": 5, "correct": False},
        {"problem_id": "a", "completion": "slow", "gold": 5, "correct": True},
        {"problem_id": "a", "completion": "6", "gold": 5, "reward": float("nan")},
        {"problem_id": "b", "completion": "7", "correct": True},
    ]
    found = load_samples(lines(tmp_path / "r.jsonl", rows), verify_batch=verify_batch)
    assert found.correct == ((True, None, False), (True,))
    assert found.answers == (("5", None, "6"), (None,))
    assert found.left_out == {}
    assert batches == [3], "one call for the rows that have a gold answer"


def test_broken_characters_do_not_spoil_a_text(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"problem_id": "a", "completion": "x\\ud800y \\ud83d\\ude00"}')
    assert load_samples(path).completions == (("x�y 😀",),)


def test_a_run_folder_and_its_store_read_alike(tmp_path: Path) -> None:
    write_run(tmp_path / "mine")
    found = load_samples(tmp_path / "mine")
    assert found.name == "mine"
    assert found.problem_ids == ("b", "a")
    assert found.correct == ((False, None), (True,))
    assert found.answers == ((None, "5"), ("5",))
    assert found.prompts == ("solve b", "solve a")
    assert found.golds == ("5", "5")
    assert found.left_out == {"NaN reward": 1}
    assert load_samples(tmp_path / "mine" / "samples") == found
    assert load_samples(tmp_path / "mine", name="base").name == "base"


def test_greedy_samples_stay_apart(tmp_path: Path) -> None:
    write_run(tmp_path)
    with RolloutStore.create_or_open(tmp_path / "greedy", manifest(temperature=0.0)) as store:
        store.append([row("a", 0)])
    found = load_samples(tmp_path)
    assert found.greedy_correct == (None, True)
    assert found.num_samples_N.tolist() == [2, 1]


def test_greedy_rows_of_a_file_stay_apart(tmp_path: Path) -> None:
    greedy = [
        {"problem_id": "a", "sample_id": -1, "completion": "g", "correct": True},
        {"problem_id": "b", "greedy": True, "completion": "g", "correct": False},
        {"problem_id": "b", "greedy": True, "completion": "g2", "correct": False},
    ]
    found = load_samples(lines(tmp_path / "r.jsonl", [*GOOD, *greedy]))
    assert found.greedy_correct == (True, False)
    assert found.completions == (("a0", "a1"), ("b0",))
    assert found.left_out == {"duplicate greedy sample": 1}


def test_the_training_log_beside_a_run_comes_along(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    log = [
        {"step": 1, "loss": 0.5, "note": "x", "bad": float("nan")},
        '{"step": 2, "lo',
        {"step": 2, "large": 10**400},
        "[" * 100_000,
    ]
    lines(tmp_path / "run" / "log.jsonl", log)
    expected = ({"step": 1.0, "loss": 0.5}, {"step": 2.0})
    assert load_samples(tmp_path / "run").training_log == expected
    assert load_samples(tmp_path / "run" / "samples").training_log == expected
    beside = lines(tmp_path / "run" / "other.jsonl", GOOD)
    assert load_samples(beside).training_log == ()


def make(name: str, ids: str) -> Samples:
    n = range(len(ids))
    return Samples(
        name=name,
        problem_ids=tuple(ids),
        prompts=tuple(f"prompt {i}" for i in ids),
        golds=tuple(ids),
        completions=tuple((i,) * (k + 1) for k, i in enumerate(ids)),
        correct=tuple((True,) * (k + 1) for k in n),
        answers=tuple((None,) * (k + 1) for k in n),
        greedy_correct=tuple(k % 2 == 0 for k in n),
    )


def test_a_subset_has_its_problems_in_the_order_asked() -> None:
    run = make("run", "dxbyz")
    assert run.subset("bd").problem_ids == ("b", "d")
    assert run.subset("bd").completions == (("b",) * 3, ("d",))
    assert run.subset("bx").greedy_correct == (True, False)
    with pytest.raises(DataError, match=r"'run'.*'a'"):
        run.subset("ab")


def test_fields_of_different_lengths_are_refused() -> None:
    good = vars(make("x", "ab"))
    for name, value in {
        "golds": ("a",),
        "correct": ((True,), (True,)),
        "problem_ids": ("a", "a"),
    }.items():
        with pytest.raises(DataError, match=r"problem"):
            Samples(**{**good, name: value})
