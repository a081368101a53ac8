"""Files of other tools, written here as those tools write them."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polypath.errors import DataError
from polypath.rollouts import load_samples
from tests.refusals import refused


def trl_file(folder: Path, step: int, **changes: Any) -> Path:
    """Write what GRPOTrainer.log of TRL 1.16 writes."""
    table = {
        "step": [step] * 4,
        "prompt": ["1 + 1"] * 2 + ["2 + 2"] * 2,
        "completion": [f"{step}a", f"{step}b", f"{step}c", f"{step}d"],
        "accuracy_reward": [1.0, 0.0, None, 1.0],
        "format_reward": [0.0, 1.0, 1.0, 1.0],
        "advantage": [1.0, -1.0, 0.0, 0.0],
        **changes,
    }
    path = folder / "completions" / f"completions_{step:05d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({name: v for name, v in table.items() if v is not None}).to_parquet(path)
    return path


def test_a_trl_file_is_read(tmp_path: Path) -> None:
    found = load_samples(trl_file(tmp_path, 5))
    assert found.prompts == ("1 + 1", "2 + 2")
    assert found.completions == (("5a", "5b"), ("5c", "5d"))
    # pandas writes the NaN of a reward function that returned None as null: nobody verified it.
    assert found.correct == ((True, False), (None, True))
    assert found.left_out == {}


def test_chat_messages_of_trl_become_text(tmp_path: Path) -> None:
    prompts = [[{"role": "user", "content": f"{n}"}] for n in (1, 1, 2, 2)]
    texts = [[{"role": "assistant", "content": f"answer {n}"}] for n in range(4)]
    path = trl_file(tmp_path, 1, prompt=prompts, completion=texts, accuracy_reward=[1.0] * 4)
    found = load_samples(path)
    assert found.completions == (("answer 0", "answer 1"), ("answer 2", "answer 3"))
    assert json.loads(found.prompts[0] or "") == prompts[0]


def test_a_trl_folder_is_one_run_without_batches_logged_twice(tmp_path: Path) -> None:
    batch = {"completion": list("wxyz"), "accuracy_reward": [1.0] * 4}
    for step in (1, 2):
        trl_file(tmp_path, step, **batch)
    trl_file(tmp_path, 3, accuracy_reward=[0.0] * 4)
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2}\n')
    for place in (tmp_path, tmp_path / "completions"):
        found = load_samples(place)
        assert found.name == tmp_path.name
        assert found.completions == (("w", "x", "3a", "3b"), ("y", "z", "3c", "3d"))
        assert found.left_out == {"logged again by TRL": 4}
        assert found.training_log == ({"step": 1.0, "loss": 2.0},)


def test_one_reward_needs_no_telling_name(tmp_path: Path) -> None:
    path = trl_file(tmp_path, 1, format_reward=None, accuracy_reward=None, my_reward=[1, 0, 1, 0])
    assert load_samples(path).correct == ((True, False), (True, False))


def test_of_several_rewards_one_is_to_be_named(tmp_path: Path) -> None:
    path = trl_file(tmp_path, 1, accuracy_reward=None, length=[1.0, 0.0, 0.0, 0.0])
    with pytest.raises(DataError, match="format_reward, length"):
        load_samples(path)
    found = load_samples(path, keys={"reward": "length"})
    assert found.correct == ((True, False), (False, False))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_only_columns_of_numbers_may_be_the_reward(tmp_path: Path, suffix: str) -> None:
    logged = {"note": "seen", "format_reward": None, "tool_calls": [1, 2]}
    rows = [
        {"step": 1, "prompt": "1 + 1", "completion": text, **logged, "length_reward": right}
        for text, right in (("a", True), ("b", False))
    ]
    path = tmp_path / f"completions_00001{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    with refused(DataError, path, "(format_reward, length_reward)", "--key reward="):
        load_samples(path)
    assert load_samples(path, keys={"reward": "length_reward"}).correct == ((True, False),)


def test_a_verl_dump_is_read(tmp_path: Path) -> None:
    rows = [
        {"input": "q1", "output": "x", "gts": "5", "score": -1.0, "step": 0, "acc": False},
        {
            "input": "q1",
            "output": "y",
            "gts": "5",
            "score": 1.0,
            "step": 0,
            "acc": True,
            "pred": "5",
        },
        {"input": "q2", "output": "z", "gts": None, "score": 1.0, "step": 0},
        {"input": "q2", "output": "w", "gts": None, "score": float("nan"), "step": 0},
    ]
    path = tmp_path / "val" / "120.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    found = load_samples(path)
    assert found.completions == (("x", "y"), ("z",))
    assert found.correct == ((False, True), (True,))
    assert found.golds == ("5", None)
    assert found.answers == ((None, "5"), (None,))
    assert found.left_out == {"NaN reward": 1}
    assert load_samples(path.parent).completions == found.completions, "the only dump of a folder"


def lighteval_row(index: str, texts: list[str], metric: dict[str, float]) -> dict[str, Any]:
    return {
        "doc": {
            "query": f"question {index}",
            "choices": ["4", "5"],
            "gold_index": [1],
            "id": index,
            "task_name": "math|0",
        },
        "metric": metric,
        "model_response": {"input": "chat", "text": texts, "output_tokens": [[1]], "logprobs": []},
    }


def test_lighteval_details_are_read(tmp_path: Path) -> None:
    rows = [
        lighteval_row("0", ["five"], {"extractive_match": 1.0}),
        lighteval_row("1", ["six"], {"extractive_match": 0.0}),
        lighteval_row("2", ["a", "b"], {"extractive_match": 0.5}),
    ]
    path = tmp_path / "details_lighteval|math|0_2025-08-01T10-11-12.345678.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    found = load_samples(path)
    task = "lighteval|math|0"
    assert found.problem_ids == (f"{task}:0", f"{task}:1", f"{task}:2")
    assert found.completions == (("five",), ("six",), ("a", "b"))
    assert found.correct == ((True,), (False,), (None, None)), "a mean says nothing of one sample"
    assert found.golds == ("5",) * 3
    assert found.prompts[0] == "question 0"


@pytest.mark.parametrize("as_text", [False, True])
def test_old_lighteval_details_are_read(tmp_path: Path, as_text: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "example": "e",
            "full_prompt": f"question {n}",
            "predictions": [f"it's {n}"] * (n + 1),
            "gold": ["5"],
            "metrics": {"qem": 1 - n},
        }
        for n in range(2)
    ]
    if as_text:  # what lighteval falls back to when the columns do not fit
        rows = [{name: str(value) for name, value in r.items()} for r in rows]
    path = tmp_path / "details_math_2024-08-01T10-11-12.345678.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    found = load_samples(path)
    assert found.problem_ids == ("math:0", "math:1")
    assert found.completions == (("it's 0",), ("it's 1", "it's 1"))
    assert found.correct == ((True,), (None, None))
    assert found.golds == ("5", "5")


def test_a_row_that_is_left_out_does_not_shift_the_ids_of_the_others(tmp_path: Path) -> None:
    prompts = pa.array([b"q0", b"\xff", b"q2"]).view(pa.string())
    columns = {"full_prompt": prompts, "predictions": ["a"] * 3, "metrics": [{"qem": 1}] * 3}
    path = tmp_path / "details_math_2024-08-01T10-11-12.345678.parquet"
    pq.write_table(pa.table(columns), path)
    found = load_samples(path)
    assert found.problem_ids == ("math:0", "math:2")
    assert found.left_out == {"unreadable value": 1}
