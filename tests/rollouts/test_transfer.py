import json
from pathlib import Path

import pytest

from polypath.errors import ConfigError, DataError
from polypath.rollouts import RolloutStore, load_samples
from polypath.rollouts.transfer import export_jsonl, import_run
from polypath.tasks import get_task
from tests.rollouts.rows import manifest, row


def rows_of(folder: Path) -> list[dict[str, object]]:
    store = RolloutStore.open(folder)
    return [r for batch in store.iter_batches() for r in batch.to_pylist()]


def make_run(folder: Path) -> None:
    with RolloutStore.create_or_open(folder / "samples", manifest()) as store:
        store.append([row("a", 0), row("b", 3, answer=None, correct=False, reward=0.25)])
        store.append([row("a", 7, token_ids=None, n_tokens=None, finish_reason=None)])
        store.append([row("a", 1, status="timeout", correct=False, completion="naïve ∑\n\"'")])
    with RolloutStore.create_or_open(folder / "greedy", manifest(temperature=0.0)) as store:
        store.append([row("a", 0)])


def test_there_and_back_nothing_changes(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    assert export_jsonl(tmp_path / "run", tmp_path / "out" / "run.jsonl") == 5
    done = import_run(tmp_path / "out" / "run.jsonl", tmp_path / "back", manifest())
    assert (done.num_rows, done.new_rows, done.num_greedy, done.left_out) == (4, 4, 1, {})
    for name in ("samples", "greedy"):
        assert rows_of(tmp_path / "back" / name) == rows_of(tmp_path / "run" / name)
    exported, run = load_samples(tmp_path / "out" / "run.jsonl"), load_samples(tmp_path / "run")
    assert exported == run


def test_tokens_may_stay_behind(tmp_path: Path) -> None:
    make_run(tmp_path)
    export_jsonl(tmp_path, tmp_path / "x.jsonl", token_ids=False)
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert all("token_ids" not in r for r in rows)
    assert [r["sample_id"] for r in rows] == [0, 3, 7, 1, -1]


def test_a_damaged_store_is_not_half_exported(tmp_path: Path) -> None:
    make_run(tmp_path)
    (tmp_path / "samples" / "shard-00000001.parquet").write_bytes(b"x")
    with pytest.raises(DataError, match="shard-00000001"):
        export_jsonl(tmp_path, tmp_path / "x.jsonl")
    assert not (tmp_path / "x.jsonl").exists()
    assert list(tmp_path.glob(".writing*")) == []


def test_only_stores_are_exported(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}")
    with pytest.raises(DataError):
        export_jsonl(tmp_path / "x.jsonl", tmp_path / "y.jsonl")


def test_a_file_is_verified_with_the_problems_of_a_task(tmp_path: Path) -> None:
    task = get_task("countdown")
    one, two, three = task.problems("test", 3)
    rows: list[dict[str, object]] = [
        {"problem_id": one.problem_id, "completion": "1 + 1"},
        {"problem_id": one.problem_id, "completion": "nothing"},
        {"problem_id": two.problem_id, "completion": "1", "correct": True},
        {"problem_id": "unheard-of", "completion": "1"},
        {"problem_id": "own", "completion": "4 + 1", "gold": "5 from 1 4"},
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + '\n{"problem_id"')
    problems = {p.problem_id: (str(p.prompt), p.gold) for p in (one, two, three)}
    out = tmp_path / "run"
    done = import_run(path, out, manifest(), verify_batch=task.verify_batch, problems=problems)
    assert done.num_rows == 4
    assert done.left_out == {"unknown problem_id and no gold": 1, "not JSON": 1}
    found = load_samples(out)
    assert found.prompts == (one.prompt, two.prompt, None)
    assert found.correct == ((False, False), (False,), (True,))
    assert found.golds == (one.gold, two.gold, "5 from 1 4")
    again = import_run(path, out, manifest(), verify_batch=task.verify_batch, problems=problems)
    assert (again.num_rows, again.new_rows) == (4, 0)


def test_rows_without_numbers_get_free_ones(tmp_path: Path) -> None:
    rows = [{"problem_id": "a", "completion": "x", "sample_id": n} for n in (0, 2)]
    rows += [{"problem_id": "a", "completion": f"y{n}"} for n in range(3)]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    done = import_run(path, tmp_path / "run", manifest())
    assert (done.num_rows, done.left_out) == (5, {})
    found = load_samples(tmp_path / "run")
    assert found.completions == (("x", "y0", "x", "y1", "y2"),)
    assert found.correct == ((None,) * 5,), "nobody verified them"


def test_a_null_reward_is_not_wrong(tmp_path: Path) -> None:
    rows = [
        {"problem_id": "a", "completion": str(n), "status": "graded", "reward": reward}
        for n, reward in enumerate([1.0, 0.0, None])
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_run(path, tmp_path / "run", manifest())
    assert [r["status"] for r in rows_of(tmp_path / "run" / "samples")] == [
        "graded",
        "graded",
        "error",
    ]


def test_a_folder_of_other_samples_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    export_jsonl(tmp_path / "run", tmp_path / "x.jsonl")
    with pytest.raises(ConfigError, match=r"temperature=1\.0"):
        import_run(tmp_path / "x.jsonl", tmp_path / "run", manifest(temperature=None))


def test_a_file_without_samples_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}\n")
    with pytest.raises(DataError):
        import_run(tmp_path / "x.jsonl", tmp_path / "run", manifest())
