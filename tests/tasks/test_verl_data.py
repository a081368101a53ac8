"""A task's problems as verl reads them."""

import pyarrow.parquet as pq
import pytest

from polypath.errors import ConfigError
from polypath.tasks import get_task
from polypath.tasks.verl_data import write_task


def test_rows_hold_prompt_gold_and_the_name_of_the_task(tmp_path):
    task = get_task("countdown")
    assert write_task(task, tmp_path / "new" / "train.parquet", split="train", limit=3) == 3
    rows = pq.read_table(tmp_path / "new" / "train.parquet").to_pylist()
    problems = task.problems("train", 3)
    assert [row["data_source"] for row in rows] == ["countdown"] * 3
    assert [row["prompt"] for row in rows] == [
        [{"content": problem.prompt, "role": "user"}] for problem in problems
    ]
    assert [row["reward_model"]["ground_truth"] for row in rows] == [p.gold for p in problems]


def test_a_split_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError):
        write_task(get_task("countdown"), tmp_path / "x.parquet", split="trian")
