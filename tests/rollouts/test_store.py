import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rollouts import SCHEMA, RolloutStore
from tests.refusals import refused
from tests.rollouts.rows import manifest, row

ROOT = Path(__file__).parents[2]


def rows_of(store: RolloutStore) -> list[dict[str, object]]:
    return [r for batch in store.iter_batches() for r in batch.to_pylist()]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    with RolloutStore.create_or_open(tmp_path / "s", manifest()) as store:
        store.append([row("a", 0), row("a", 1, answer=None, token_ids=None)])
        store.append([row("b", 0, completion="naïve ∑\n", correct=False, reward=0.25)])
    found = rows_of(RolloutStore.open(tmp_path / "s"))
    assert [(r["problem_id"], r["sample_id"]) for r in found] == [("a", 0), ("a", 1), ("b", 0)]
    assert found[0]["token_ids"] == [5, 2]
    assert found[1]["answer"] is None
    assert found[1]["token_ids"] is None
    assert found[2]["completion"] == "naïve ∑\n"
    assert found[2]["reward"] == 0.25


def test_one_append_is_one_shard_with_a_number_of_eight_digits(tmp_path: Path) -> None:
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        store.append([row("a", 0)])
        store.append([])
        store.append([row("a", 1)])
    names = sorted(p.name for p in tmp_path.glob("*.parquet"))
    assert names == ["shard-00000000.parquet", "shard-00000001.parquet"]
    shard = pq.ParquetFile(tmp_path / names[0])
    assert shard.schema_arrow.equals(SCHEMA)
    assert shard.metadata.row_group(0).column(0).compression == "ZSTD"


def test_keys_and_chosen_columns(tmp_path: Path) -> None:
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        store.append([row("a", 3), row("b", 1)])
        assert store.keys() == {("a", 3), ("b", 1)}
        (batch,) = store.iter_batches(columns=("correct", "problem_id"))
    assert batch.schema.names == ["correct", "problem_id"]


def test_batches_are_no_larger_than_asked(tmp_path: Path) -> None:
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        store.append([row("a", n) for n in range(10)])
        sizes = [batch.num_rows for batch in store.iter_batches(batch_size=4)]
    assert sizes == [4, 4, 2]


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with (
        RolloutStore.create_or_open(tmp_path, manifest()) as store,
        pytest.raises(ConfigError, match="'score'"),
    ):
        next(store.iter_batches(columns=("score",)))


@pytest.mark.parametrize("in_one_call", [True, False])
def test_a_row_cannot_be_stored_twice(tmp_path: Path, in_one_call: bool) -> None:
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        first = [row("a", 0)]
        if not in_one_call:
            store.append(first)
            first = []
        with pytest.raises(DataError, match=r"0.*'a'"):
            store.append([*first, row("a", 0)])
        assert len(rows_of(store)) == (0 if in_one_call else 1)


def test_a_row_of_an_earlier_process_cannot_be_stored_again(tmp_path: Path) -> None:
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        store.append([row("a", 0)])
    with (
        RolloutStore.create_or_open(tmp_path, manifest()) as store,
        pytest.raises(DataError),
    ):
        store.append([row("b", 0), row("a", 0)])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_fingerprint", "other"),
        ("tokenizer_fingerprint", "other"),
        ("template_fingerprint", "other"),
        ("temperature", 0.7),
        ("top_p", 0.9),
        ("top_k", 20),
        ("max_new_tokens", 8),
        ("seed", 1),
        ("task", "math"),
        ("split", "dev"),
    ],
)
def test_other_settings_are_refused_naming_field_and_values(
    tmp_path: Path, field: str, value: object
) -> None:
    RolloutStore.create_or_open(tmp_path, manifest()).close()
    with pytest.raises(ConfigError) as caught:
        RolloutStore.create_or_open(tmp_path, manifest(**{field: value}))
    message = str(caught.value)
    assert f"{field}={getattr(manifest(), field)!r}" in message
    assert f"{field}={value!r}" in message
    assert "\n" not in message
    # The refusal leaves the store usable.
    RolloutStore.create_or_open(tmp_path, manifest()).close()


def test_another_state_of_the_tasks_file_is_refused_naming_it(tmp_path: Path) -> None:
    options = {"level": "2", "hash": "aaa"}
    made = manifest(task="/data/own.py:mine", task_options=options)
    RolloutStore.create_or_open(tmp_path, made).close()
    with refused(ConfigError, tmp_path, "/data/own.py:mine", "aaa", "bbb"):
        RolloutStore.create_or_open(
            tmp_path, replace(made, task_options={**options, "hash": "bbb"})
        )
    with refused(ConfigError, "task_options", "'level': '3'"):
        RolloutStore.create_or_open(tmp_path, replace(made, task_options={"level": "3"}))


def test_versions_and_the_path_of_one_model_may_differ(tmp_path: Path) -> None:
    RolloutStore.create_or_open(tmp_path, manifest()).close()
    moved = manifest(model="/elsewhere/base", versions={"torch": "99"})
    with RolloutStore.create_or_open(tmp_path, moved) as store:
        assert store.manifest == manifest()


def test_without_fingerprints_the_model_name_decides(tmp_path: Path) -> None:
    RolloutStore.create_or_open(tmp_path, manifest(model_fingerprint=None)).close()
    with pytest.raises(ConfigError, match="model='base'"):
        RolloutStore.create_or_open(tmp_path, manifest(model="x", model_fingerprint=None))


def test_the_manifest_says_what_made_the_rows(tmp_path: Path) -> None:
    RolloutStore.create_or_open(tmp_path, manifest()).close()
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert content["kind"] == "rollouts"
    assert content["schema_version"] == 1
    assert content["temperature"] == 1.0
    assert set(content["versions"]) == {"polypath", "torch", "transformers"}


def test_a_missing_store_and_a_foreign_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="manifest"):
        RolloutStore.open(tmp_path / "nowhere")
    (tmp_path / "manifest.json").write_text('{"kind": "rehearsal_set"}')
    with pytest.raises(DataError, match=r"'rehearsal_set'.*'rollouts'"):
        RolloutStore.open(tmp_path)
    (tmp_path / "manifest.json").write_text("no json")
    with pytest.raises(DataError, match="manifest"):
        RolloutStore.open(tmp_path)


def test_a_newer_schema_and_odd_fields_are_refused(tmp_path: Path) -> None:
    RolloutStore.create_or_open(tmp_path, manifest()).close()
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "schema_version": 2}))
    with pytest.raises(DataError, match=r"schema_version 2.* 1\."):
        RolloutStore.open(tmp_path)
    path.write_text(json.dumps({**content, "colour": "red"}))
    with pytest.raises(DataError, match="colour"):
        RolloutStore.open(tmp_path)


def test_shards_without_a_manifest_are_not_adopted(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "shard-00000000.parquet")
    with pytest.raises(DataError, match=r"manifest\.json"):
        RolloutStore.create_or_open(tmp_path, manifest())


@pytest.mark.parametrize("damage", ["truncated", "noise", "empty", "columns"])
def test_a_damaged_shard_is_named_or_skipped_and_counted(tmp_path: Path, damage: str) -> None:
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        for n in range(3):
            store.append([row("a", n)])
    shard = tmp_path / "shard-00000001.parquet"
    whole = shard.read_bytes()
    if damage == "columns":
        pq.write_table(pa.table({"x": [1]}), shard)
    else:
        shard.write_bytes(
            {"truncated": whole[: len(whole) // 2], "noise": b"x" * 99}.get(damage, b"")
        )
    with pytest.raises(DataError, match=r"shard-00000001\.parquet") as caught:
        RolloutStore.open(tmp_path).keys()
    assert "\n" not in str(caught.value)
    store = RolloutStore.open(tmp_path, on_corrupt="skip")
    assert store.keys() == {("a", 0), ("a", 2)}
    assert store.skipped == {"shard-00000001.parquet"}
    shard.unlink()  # as the refusal says
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        store.append([row("a", 1)])  # the lost row may come again
        assert store.keys() == {("a", 0), ("a", 1), ("a", 2)}


def test_what_a_killed_writer_left_is_ignored_and_removed(tmp_path: Path) -> None:
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        store.append([row("a", 0)])
    leftover = tmp_path / ".writing-123-shard-00000001.parquet"
    leftover.write_bytes(b"half a shard")
    assert RolloutStore.open(tmp_path).keys() == {("a", 0)}
    assert leftover.exists(), "a reader must not touch what a writer may be writing"
    RolloutStore.create_or_open(tmp_path, manifest()).close()
    assert not leftover.exists()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    RolloutStore.create_or_open(tmp_path, manifest()).close()
    with pytest.raises(ConfigError, match="create_or_open"):
        RolloutStore.open(tmp_path).append([row("a", 0)])


def test_there_is_one_writer_at_a_time(tmp_path: Path) -> None:
    with (
        RolloutStore.create_or_open(tmp_path, manifest()),
        pytest.raises(ConfigError),
    ):
        RolloutStore.create_or_open(tmp_path, manifest())
    RolloutStore.create_or_open(tmp_path, manifest()).close()


def test_a_writer_killed_at_any_moment_leaves_whole_shards_and_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, itertools\n"
        "from polypath.rollouts import RolloutStore\n"
        "from tests.rollouts.rows import manifest, row\n"
        "store = RolloutStore.create_or_open(sys.argv[1], manifest())\n"
        "start = len(store.keys())\n"
        "for n in itertools.count(start):\n"
        "    store.append([row('a', n, completion='x' * 5000)])\n"
        "    print('written', flush=True)\n"
    )
    before = 0
    for wait in (0.003, 0.02, 0.05):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with RolloutStore.create_or_open(tmp_path, manifest()) as store:
            found = rows_of(store)
        assert sorted(r["sample_id"] for r in found) == list(range(len(found)))
        assert len(found) > before, "the writer should have got on"
        before = len(found)


def test_the_store_does_not_import_torch() -> None:
    code = "import sys, polypath.rollouts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_shards_come_in_any_order_where_their_numbers_are_given(tmp_path: Path) -> None:
    with RolloutStore.create_or_open(tmp_path, manifest()) as store:
        store.append([row("first", 0)])
        start = store.next_number()
        for place in (2, 0, 1):
            store.append([row(f"p{place}", 0)], number=start + place)
        store.append([row("last", 0)])
        order = [found["problem_id"] for found in rows_of(store)]
        assert order == ["first", "p0", "p1", "p2", "last"]
        with pytest.raises(FileExistsError):
            store.append([row("again", 0)], number=start)
