"""A store read by columns holds what it holds row by row."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polypath.rollouts import Rollout, RolloutManifest, RolloutStore
from polypath.rollouts.grouped import COLUMNS, UnlikeSchemaError, group_columns, group_rows
from polypath.rollouts.left_out import LeftOut
from polypath.rollouts.schema import to_table
from polypath.rollouts.sources import find_source

ROW = Rollout(
    problem_id="a",
    sample_id=0,
    prompt="",
    completion="x",
    gold="",
    status="graded",
    reward=1.0,
    correct=True,
    answer=None,
    n_tokens=None,
    finish_reason=None,
)
ROWS = [
    replace(ROW, sample_id=3, completion="ü\n", answer=""),
    replace(ROW, problem_id="b", prompt="What?", gold="7"),
    replace(ROW, problem_id="b", sample_id=2, prompt="Other", gold="8", reward=float("nan")),
    replace(ROW, problem_id="c", status="timeout", correct=False),
    replace(ROW, sample_id=1, prompt="late", gold="late", correct=False, answer="5"),
    replace(ROW, problem_id="d", reward=float("inf")),
]


def test_columns_and_rows_give_the_same(tmp_path: Path):
    for folder in ("samples", "greedy"):
        manifest = RolloutManifest(model="m", task="none")
        with RolloutStore.create_or_open(tmp_path / folder, manifest) as store:
            store.append(ROWS[:2] if folder == "greedy" else ROWS)
    # What another tool wrote: a sample twice, and one that is greedy by its number.
    table = to_table([replace(ROW, sample_id=1, completion="again"), replace(ROW, problem_id="e")])
    numbers = pa.array([1, -1], pa.int64())
    place = table.schema.get_field_index("sample_id")
    more = table.set_column(place, table.schema.field(place), numbers)
    by_rows, by_columns = find_source(tmp_path, {}), find_source(tmp_path, {})
    assert by_rows.store is not None
    with (by_rows.store / "shard-00000001.parquet").open("wb") as file:
        pq.write_table(more, file)
    expected = group_rows(by_rows.rows(), by_rows.left_out)
    found = group_columns(
        by_columns.batches(by_columns.store),
        by_columns.batches(by_columns.greedy),
        by_columns.left_out,
    )
    assert found == expected
    assert by_columns.left_out == by_rows.left_out
    assert by_columns.left_out.places == by_rows.left_out.places
    assert by_rows.left_out["duplicate sample"] == by_rows.left_out["NaN reward"] == 1
    assert found.greedy_correct is not None


def test_gaps_are_left_to_the_rows():
    table = to_table([ROW]).select(COLUMNS)
    gap = table.set_column(0, pa.field("problem_id", pa.string()), pa.array([None], pa.string()))
    with pytest.raises(UnlikeSchemaError):
        group_columns(gap.to_batches(), [], LeftOut())
