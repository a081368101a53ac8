import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rehearsal.dataset import RehearsalSet
from polypath.rehearsal.presample import PresampleSummary
from polypath.rehearsal.settings import PresampleSettings
from polypath.rollouts import RolloutStore
from polypath.tasks.base import Problem
from polypath.verify.base import Verdict
from tests.forks import python
from tests.presampling import presample
from tests.refusals import refused
from tests.rehearsal.adder import Addition, save_adder
from tests.rehearsal.conftest import SETTINGS

ROOT = Path(__file__).parents[2]
Finished = tuple[Path, PresampleSummary]


class AnyNumber(Addition):
    """Takes any number for right, since the model knows no additions asked in a chat."""

    def verify(self, completion: str, gold: str) -> Verdict:
        return replace(super().verify(completion, gold), reward=1.0)


def rows_of(folder: Path) -> list[dict[str, Any]]:
    store = RolloutStore.open(folder / "samples")
    rows = [r for batch in store.iter_batches() for r in batch.to_pylist()]
    return sorted(rows, key=lambda r: (r["problem_id"], r["sample_id"]))


def run(adder: Path, out: Path, **changes: Any) -> PresampleSummary:
    return presample(adder, Addition(), out=out, settings=replace(SETTINGS, **changes))


def copy_of(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


def test_the_sets_follow_from_the_stored_samples(finished: Finished) -> None:
    out, summary = finished
    rows = rows_of(out)
    stored = RehearsalSet.load(out)
    assert len(stored.partition) == summary.num_problems == 40
    assert summary.counts["near_perfect"] > 3
    assert summary.counts["exploration"] > 3
    for problem in stored.partition:
        mine = [r for r in rows if r["problem_id"] == problem.problem_id]
        correct = sum(r["correct"] for r in mine if r["sample_id"] < 8)
        assert (problem.correct, problem.sampled) == (correct, 8)
        assert {r["sample_id"] for r in mine} == set(range(9 if correct >= 6 else 8))
        confirmed = correct >= 6 and any(
            r["sample_id"] == 8 and r["correct"] and r["finish_reason"] == "stop" for r in mine
        )
        assert (problem.problem_set == "near_perfect") == confirmed == bool(problem.rows)


def test_the_set_holds_the_stored_tokens_of_right_and_ended_answers(finished: Finished) -> None:
    out, summary = finished
    stored = RehearsalSet.load(out)
    rows = rows_of(out)
    assert sum(len(p.rows) for p in stored.partition) == len(stored) == summary.num_rows
    for problem in stored.partition:
        usable = [
            r["token_ids"]
            for r in rows
            if r["problem_id"] == problem.problem_id
            and r["correct"]
            and r["finish_reason"] == "stop"
        ]
        for row in problem.rows:
            batch = stored.batch([row], 0)
            assert batch["completion_ids"][0].tolist() in usable


def test_the_summary_counts_what_there_is(finished: Finished) -> None:
    out, summary = finished
    assert sum(summary.histogram) == sum(summary.counts.values()) == 40
    assert summary.new_samples == len(rows_of(out))
    assert sum(summary.histogram[6:]) == summary.new_samples - 320
    assert summary.num_tokens == sum(RehearsalSet.load(out).completion_lengths)
    assert not summary.already_complete


def test_killed_again_and_again_it_ends_with_the_same_files(
    adder: Path, finished: Finished, tmp_path: Path
) -> None:
    # Kills fall on loading, sampling, confirming, scoring and writing.
    arguments = [str(adder), str(tmp_path), "--seed", "0", "--kills", "9"]
    loop = subprocess.run(
        [*python(), "-m", "tests.rehearsal.kill_loop", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loop.returncode == 0, loop.stderr
    shards = [int(line) for line in loop.stdout.split()]
    assert len(set(shards)) >= 3, f"shards after each kill: {shards}; too few kills hit the work"
    keys = [(r["problem_id"], r["sample_id"]) for r in rows_of(tmp_path)]
    assert len(set(keys)) == len(keys)
    assert rows_of(tmp_path) == rows_of(finished[0])
    for name in ("rehearsal.safetensors", "partition.parquet", "manifest.json"):
        assert (tmp_path / name).read_bytes() == (finished[0] / name).read_bytes()
    assert not list(tmp_path.rglob(".writing-*"))


@pytest.mark.parametrize("lost", ["manifest.json", "partition.parquet", "rehearsal.safetensors"])
def test_a_kill_while_writing_leaves_a_set_that_is_written_anew(
    adder: Path, finished: Finished, tmp_path: Path, lost: str
) -> None:
    copy = copy_of(finished, tmp_path)
    order = ["rehearsal.safetensors", "partition.parquet", "manifest.json"]
    for name in order[order.index(lost) :]:
        (copy / name).unlink()
    (copy / f".writing-1-{lost}").write_bytes(b"half")
    assert run(adder, copy).new_samples == 0
    for name in order:
        assert (copy / name).read_bytes() == (finished[0] / name).read_bytes()
    assert not list(copy.rglob(".writing-*"))


def test_a_finished_set_is_left_alone_and_says_so(
    adder: Path, finished: Finished, tmp_path: Path
) -> None:
    copy = copy_of(finished, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*")}
    text = io.StringIO()
    summary = presample(
        adder, Addition(), out=copy, settings=SETTINGS, console=Console(file=text, width=500)
    )
    assert summary.already_complete
    assert summary.new_samples == 0
    assert (summary.counts, summary.histogram) == (finished[1].counts, finished[1].histogram)
    assert "complete" in text.getvalue()
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*")} == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("threshold", 7), ("k", 9), ("temperature", 0.9), ("seed", 5), ("hopeless", "drop")],
)
def test_a_finished_set_refuses_other_settings(
    adder: Path, finished: Finished, name: str, value: object
) -> None:
    with pytest.raises(ConfigError) as caught:
        run(adder, finished[0], **{name: value})
    message = str(caught.value)
    assert f"{name}={getattr(SETTINGS, name)!r}" in message
    assert f"{name}={value!r}" in message


def test_a_finished_set_refuses_other_problems(adder: Path, finished: Finished) -> None:
    with refused(ConfigError, "limit"):
        presample(adder, Addition(), out=finished[0], limit=10, settings=SETTINGS)


def test_a_finished_set_does_not_mind_another_batch_size(adder: Path, finished: Finished) -> None:
    assert run(adder, finished[0], batch_size=3).already_complete


def test_a_set_made_before_there_were_repeated_answers_is_one_that_keeps_them(
    adder: Path, finished: Finished, tmp_path: Path
) -> None:
    copy = copy_of(finished, tmp_path)
    manifest = json.loads((copy / "manifest.json").read_text())
    assert manifest["settings"].pop("repeated_answers") == "keep"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert run(adder, copy, repeated_answers="keep").already_complete
    with refused(ConfigError, "repeated_answers='keep'", "repeated_answers='drop'"):
        run(adder, copy, repeated_answers="drop")


def test_a_set_without_repeats_has_a_row_for_every_answer(adder: Path, tmp_path: Path) -> None:
    # Every number is right, so that problems have several right answers.
    changes = {"answers_per_problem": 16, "threshold": 4, "confirm": 0}
    settings = replace(SETTINGS, repeated_answers="drop", **changes)
    summary = presample(adder, AnyNumber(), out=tmp_path, settings=settings)
    stored = RehearsalSet.load(tmp_path)
    assert stored.manifest.settings["repeated_answers"] == "drop"
    rows = rows_of(tmp_path)
    answers = {
        p.problem_id: {
            r["answer"]
            for r in rows
            if r["problem_id"] == p.problem_id and r["correct"] and r["finish_reason"] == "stop"
        }
        for p in stored.partition
        if p.problem_set == "near_perfect"
    }
    found = {p.problem_id: len(p.rows) for p in stored.partition if p.rows}
    assert found == {problem_id: len(texts) for problem_id, texts in answers.items()}
    assert max(found.values()) > 1
    assert summary.num_rows == sum(found.values()) < 8 * len(found)


@pytest.mark.parametrize(("name", "value"), [("temperature", 0.9), ("seed", 5), ("top_p", 0.9)])
def test_an_unfinished_set_refuses_other_samples(
    adder: Path, finished: Finished, tmp_path: Path, name: str, value: object
) -> None:
    copy = copy_of(finished, tmp_path)
    (copy / "manifest.json").unlink()
    with refused(ConfigError, f"{name}="):
        run(adder, copy, **{name: value})


def test_an_unfinished_set_refuses_another_model(finished: Finished, tmp_path: Path) -> None:
    copy = copy_of(finished, tmp_path)
    (copy / "manifest.json").unlink()
    save_adder(tmp_path / "other", steps=3)
    with refused(ConfigError, "model_fingerprint="):
        run(tmp_path / "other", copy)


def test_an_unfinished_set_takes_another_threshold_without_sampling_anew(
    adder: Path, finished: Finished, tmp_path: Path
) -> None:
    copy = copy_of(finished, tmp_path)
    (copy / "manifest.json").unlink()
    summary = run(adder, copy, threshold=7)
    assert summary.new_samples == 0
    fresh = run(adder, tmp_path / "fresh", threshold=7)
    for name in ("rehearsal.safetensors", "partition.parquet"):
        assert (copy / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()
    assert fresh.num_rows < finished[1].num_rows


def test_a_problem_that_changed_under_its_id_is_refused(
    adder: Path, finished: Finished, tmp_path: Path
) -> None:
    copy = copy_of(finished, tmp_path)
    (copy / "manifest.json").unlink()
    problems = list(Addition().problems("train"))
    problems[3] = Problem(problem_id=problems[3].problem_id, prompt="solve 9 + 9 =", gold="18")
    with refused(ConfigError, "'0+3'"):
        presample(adder, Addition(), out=copy, problems=problems, settings=SETTINGS)


def test_nothing_near_perfect_is_an_error_with_the_counts_and_a_threshold(tmp_path: Path) -> None:
    save_adder(tmp_path / "weak", steps=3)
    settings = PresampleSettings(threshold=8)
    with pytest.raises(ConfigError, match="threshold=8") as caught:
        presample(tmp_path / "weak", Addition(), out=tmp_path / "set", settings=settings)
    message = str(caught.value)
    assert "0 of 8: " in message
    best = int(message.split("threshold=")[2].split()[0])
    again = replace(settings, threshold=best, confirm=0)
    summary = presample(tmp_path / "weak", Addition(), out=tmp_path / "set", settings=again)
    assert summary.new_samples == 0, "the samples are kept"
    assert summary.counts["near_perfect"] >= 1


def test_chat_prompts_go_all_the_way(adder: Path, tmp_path: Path) -> None:
    problems = [
        Problem(
            problem_id=p.problem_id,
            prompt=[{"role": "user", "content": str(p.prompt)}],
            gold=p.gold,
        )
        for p in Addition().problems("train", 12)
    ]
    settings = PresampleSettings(threshold=1, confirm=0, truncated="allow")
    presample(adder, AnyNumber(), out=tmp_path, problems=problems, settings=settings)
    stored = RehearsalSet.load(tmp_path)
    text = json.loads(stored.partition[0].prompt)
    assert text == problems[0].prompt
    assert stored.prompt_ids[:2].tolist() == [4, 34]  # <user> solve


def test_no_problems_no_model_and_a_foreign_folder_are_told_apart(
    adder: Path, tmp_path: Path
) -> None:
    with refused(ConfigError):
        presample(adder, Addition(), out=tmp_path / "a", problems=[])
    with refused(MissingFileError, tmp_path / "none"):
        presample(tmp_path / "none", Addition(), out=tmp_path / "a")
    (tmp_path / "manifest.json").write_text("{}")
    with refused(DataError, "None", "'rehearsal_set'"):
        presample(adder, Addition(), out=tmp_path)
