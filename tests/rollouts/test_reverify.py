"""A run verified again into a new folder: what changes, what stays, kills, and several processes."""

import hashlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rollouts import SCHEMA, RolloutStore, load_samples
from polypath.rollouts.locks import Part
from polypath.rollouts.reverify import compare_verdicts, count_shards, reverify_run
from polypath.verify.base import Status, Verdict
from tests.rollouts.rows import manifest, row

VERDICT = ("status", "reward", "correct", "answer")


def by_length(completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
    return [
        Verdict(status=Status.GRADED, reward=float(len(text) > 1), answer=text)
        for text, _ in zip(completions, golds, strict=True)
    ]


class Killed(Exception):
    pass


class Counting:
    """Verifies by length, counting calls; dies after some."""

    def __init__(self, calls: int | None = None) -> None:
        self.left, self.calls = calls, 0

    def __call__(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        if self.left is not None and self.calls == self.left:
            raise Killed
        self.calls += 1
        return by_length(completions, golds)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 7 shards of 3 rows, all right with the answer 5, and a greedy shard."""
    folder = tmp_path / "run"
    with RolloutStore.create_or_open(folder / "samples", manifest()) as store:
        for n in range(7):
            texts = ("5", "55", "555")
            store.append(row("a", 3 * n + i, completion=text) for i, text in enumerate(texts))
    with RolloutStore.create_or_open(folder / "greedy", manifest(temperature=0.0)) as store:
        store.append([row("a", 0, completion="55", correct=False)])
    return folder


@pytest.fixture
def untouched(run: Path) -> Any:
    """Checks at the end that every file of the run is what it was."""

    def digests() -> dict[str, str]:
        files = [file for file in run.rglob("*") if file.is_file()]
        return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}

    before = digests()
    yield
    assert digests() == before


def rows_of(store: Path) -> list[dict[str, Any]]:
    return [r for b in RolloutStore.open(store).iter_batches() for r in b.to_pylist()]


def verify_alone(run: Path, out: Path, verifier: Callable[..., Any] = by_length) -> None:
    reverify_run(run, out, verifier)
    done, total = count_shards(run, out)
    assert done == total


@pytest.mark.usefixtures("untouched")
def test_all_is_verified_into_the_new_run_and_the_rest_stays(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    assert reverify_run(run, out, by_length) == 8
    found = compare_verdicts(run, out)
    samples, greedy = found["samples"], found["greedy"]
    assert (samples.num_rows, samples.now_right, samples.now_wrong) == (21, 0, 7)
    assert (samples.new_answers, samples.statuses) == (14, {"graded": 21})
    assert (greedy.num_rows, greedy.now_right, greedy.now_wrong) == (1, 1, 0)
    for name in ("samples", "greedy"):
        old, new = rows_of(run / name), rows_of(out / name)
        for column in set(SCHEMA.names) - set(VERDICT):
            assert [r[column] for r in new] == [r[column] for r in old]
    expected = [(False, "5"), (True, "55"), (True, "555")] * 7
    assert [(r["correct"], r["answer"]) for r in rows_of(out / "samples")] == expected
    assert [r["reward"] for r in rows_of(out / "samples")] == [0.0, 1.0, 1.0] * 7


def test_the_new_run_is_one_like_any_other(run: Path, tmp_path: Path) -> None:
    (run / "log.jsonl").write_text('{"loss": 1.5}\n')
    out = tmp_path / "new"
    verify_alone(run, out)
    samples = load_samples(out)
    assert samples.greedy_correct == (True,)
    assert samples.training_log == ({"loss": 1.5},)
    with RolloutStore.create_or_open(out / "samples", manifest()) as store:
        store.append([row("b", 0)])  # it goes on growing


def test_a_store_alone_becomes_a_run(run: Path, tmp_path: Path) -> None:
    alone = (run / "samples").rename(tmp_path / "alone")
    verify_alone(alone, tmp_path / "new")
    assert list(compare_verdicts(alone, tmp_path / "new")) == ["samples"]
    assert len(rows_of(tmp_path / "new" / "samples")) == 21


@pytest.mark.usefixtures("untouched")
def test_the_same_call_resumes_where_a_failing_verifier_stopped(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    with pytest.raises(Killed):
        reverify_run(run, out, Counting(2))
    again = Counting()
    assert reverify_run(run, out, again) == again.calls == 8 - 2
    third = Counting()
    assert reverify_run(run, out, third) == third.calls == 0
    verify_alone(run, tmp_path / "whole")
    assert rows_of(out / "samples") == rows_of(tmp_path / "whole" / "samples")
    assert compare_verdicts(run, out) == compare_verdicts(run, tmp_path / "whole")


@pytest.mark.usefixtures("untouched")
def test_killed_at_any_moment_the_same_call_finishes(run: Path, tmp_path: Path) -> None:
    verify_alone(run, tmp_path / "whole")
    for kill in range(7):
        out = tmp_path / f"new{kill}"
        child = os.fork()
        if child == 0:
            reverify_run(run, out, by_length)
            os._exit(0)
        while len(list(out.glob("samples/shard-*"))) < kill:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        verify_alone(run, out)
        assert rows_of(out / "samples") == rows_of(tmp_path / "whole" / "samples")
        assert not list(out.rglob(".writing-*"))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("of", [2, 3, 9])
def test_parts_make_what_one_process_does(run: Path, tmp_path: Path, of: int) -> None:
    out, whole = tmp_path / "new", tmp_path / "whole"
    for rank in reversed(range(of)):
        reverify_run(run, out, by_length, part=Part(rank, of))
        assert (count_shards(run, out) == (8, 8)) == (rank == 0)
    verify_alone(run, whole)
    for name in ("samples", "greedy"):
        assert rows_of(out / name) == rows_of(whole / name)


def test_another_number_of_parts_does_what_is_missing(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    with pytest.raises(Killed):
        reverify_run(run, out, Counting(2), part=Part(0, 2))
    assert reverify_run(run, out, by_length, part=Part(1, 3)) < 6
    assert reverify_run(run, out, by_length) > 0
    assert count_shards(run, out) == (8, 8)


def test_rows_that_came_meanwhile_are_verified_by_the_next_call(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    verify_alone(run, out)
    with RolloutStore.create_or_open(run / "samples", manifest()) as store:
        store.append([row("new", 0, completion="")])
        assert reverify_run(run, out, by_length) == 1, "though someone is writing to the old run"
    assert not rows_of(out / "samples")[-1]["correct"]


def test_an_unreadable_shard_is_counted_and_left_out(run: Path, tmp_path: Path) -> None:
    damaged, out = run / "samples" / "shard-00000001.parquet", tmp_path / "new"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"damaged")
    verify_alone(run, out)
    found = compare_verdicts(run, out)["samples"]
    assert (found.num_rows, found.unreadable_shards) == (18, 1)
    assert damaged.read_bytes() == b"damaged"
    assert len(rows_of(out / "samples")) == load_samples(out).num_samples_N.sum() == 18
    damaged.write_bytes(whole)  # got back from somewhere: the new run lacks its rows, and says so
    with pytest.raises(DataError, match=damaged.name):
        reverify_run(run, out, by_length)
    (out / "samples" / damaged.name).unlink()
    assert reverify_run(run, out, by_length) == 1
    assert compare_verdicts(run, out)["samples"].num_rows == 21


def test_a_damaged_shard_of_the_new_run_is_named(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    verify_alone(run, out)
    (out / "samples" / "shard-00000002.parquet").write_bytes(b"half")
    with pytest.raises(DataError, match="shard-00000002"):
        compare_verdicts(run, out)


def test_a_store_written_when_token_counts_were_required_is_verified_too(
    run: Path, tmp_path: Path
) -> None:
    shard = run / "samples" / "shard-00000000.parquet"
    place = SCHEMA.get_field_index("n_tokens")
    strict = SCHEMA.set(place, SCHEMA.field("n_tokens").with_nullable(False))
    pq.write_table(pq.read_table(shard).cast(strict), shard)
    verify_alone(run, tmp_path / "new")
    new = tmp_path / "new" / "samples" / shard.name
    assert pq.read_schema(new).equals(SCHEMA)


def test_the_task_is_recorded_and_another_may_not_join(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    reverify_run(run, out, by_length, task="other", task_options={"a": "b"})
    stored = RolloutStore.open(out / "samples").manifest
    assert (stored.task, stored.task_options) == ("other", {"a": "b"})
    with pytest.raises(ConfigError, match="third"):
        reverify_run(run, out, by_length, task="third", task_options={"a": "b"})
    with pytest.raises(ConfigError, match="task_options"):
        reverify_run(run, out, by_length, task="other")


def test_the_run_itself_and_other_runs_are_no_place_for_it(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not changed"):
        reverify_run(run, run, by_length)
    for name, rows in {
        "same_names": [row("a", n, completion="other") for n in range(3)],
        "more": [row("a", n, completion=t) for n, t in enumerate(("5", "55", "555"))],
    }.items():
        with RolloutStore.create_or_open(tmp_path / name / "samples", manifest()) as store:
            store.append(rows)
            for n in range(7 if name == "more" else 0):
                store.append([row("more", n)])
        before = rows_of(tmp_path / name / "samples")
        with pytest.raises((ConfigError, DataError), match=name):
            reverify_run(run, tmp_path / name, by_length)
        assert rows_of(tmp_path / name / "samples") == before


def test_what_is_no_store_is_refused(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"problem_id": "a", "completion": "x"}')
    with pytest.raises(DataError):
        reverify_run(file, tmp_path / "new", by_length)
    with pytest.raises(MissingFileError):
        count_shards(run, tmp_path / "nowhere")


def test_the_same_part_at_work_twice_is_refused(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    part = Part(0, 2)
    with (
        RolloutStore.create_or_open(out / "samples", manifest(), part=part),
        pytest.raises(ConfigError, match="0 of 2"),
    ):
        reverify_run(run, out, by_length, part=part)
