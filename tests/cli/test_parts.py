"""Several processes that share a command, as a user starts them with torchrun."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from polypath.cli.main import run
from polypath.engines.trl import completion_logps
from polypath.rehearsal.dataset import RehearsalSet
from polypath.rollouts import Rollout, RolloutStore
from polypath.sampling.loading import load_model
from polypath.tasks.shipped import base_model_dir
from tests.forks import python

ROOT = Path(__file__).parents[2]
# torchrun would take --n for its own; --num-samples is the same.
SMALL = ["--num-samples", "2", "--limit", "6", "--batch-size", "4"]


@pytest.fixture(scope="module")
def words() -> list[str]:
    return ["--model", str(base_model_dir()), "--task", "countdown", "--split", "test", *SMALL]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> Path:
    out = tmp_path_factory.mktemp("runs") / "alone"
    assert run(["sample", *words, "--out", str(out)]) == 0
    return out


def rows_of(out: Path) -> list[dict[str, Any]]:
    store = RolloutStore.open(out / "samples")
    rows = [r for batch in store.iter_batches() for r in batch.to_pylist()]
    return sorted(rows, key=lambda r: (r["problem_id"], r["sample_id"]))


def test_torchrun_evaluates_as_one_process_does_and_reports_once(
    alone: Path, words: list[str], tmp_path: Path
) -> None:
    out, told = tmp_path / "run", tmp_path / "told.json"
    done = subprocess.run(
        [
            *[*python(), "-m", "torch.distributed.run", "--nproc-per-node", "2"],
            *["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"],
            *["-m", "tests.forks", "-m", "polypath", "eval", *words],
            *["--out", str(out), "--json", str(told)],
        ],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert rows_of(out) == rows_of(alone)
    assert done.stdout.count("6 problems x 2 samples = 12") == 1
    assert done.stdout.count("pass@2") >= 1
    assert json.loads(told.read_text())["runs"]
    assert json.loads((out / "samples" / "manifest.json").read_text())["backend"] == "transformers"


def spoil(alone: Path, out: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows to a run like another, a shard each, with the wrong verdict."""
    manifest = RolloutStore.open(alone / "samples").manifest
    with RolloutStore.create_or_open(out / "samples", manifest) as store:
        for row in rows:
            store.append([Rollout(**{**row, "correct": not row["correct"]})])


def rank_of_two(rank: int, run: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*python(), "-m", "polypath", "score", str(run)],
        cwd=ROOT,
        env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_killed_rank_of_score_is_restarted_alone(alone: Path, tmp_path: Path) -> None:
    spoilt, out, shards = tmp_path / "run", tmp_path / "run-verified", 100
    (row, *_) = rows_of(alone)
    spoil(alone, spoilt, ({**row, "sample_id": number} for number in range(shards)))

    def verified(rank: int) -> int:
        files = (out / "samples").glob("shard-*.parquet")
        return sum(int(file.stem[6:]) % 2 == rank for file in files)

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.001)

    ranks = [rank_of_two(rank, spoilt) for rank in range(2)]
    try:
        until(lambda: verified(1) >= 2)
        ranks[1].kill()
        ranks[1].wait()
        left = verified(1)
        assert 2 <= left < shards // 2
        until(lambda: verified(0) == shards // 2)
        assert ranks[0].poll() is None  # waits for the other
        ranks[1] = rank_of_two(1, spoilt)
        assert [process.wait(timeout=60) for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
    assert all(r["correct"] == row["correct"] for r in rows_of(out))
    assert len(rows_of(out)) == shards


def test_what_cannot_be_shared_is_one_line(
    alone: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"problem_id": "a", "completion": "1", "gold": "1"}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RANK", "0")
        patch.setenv("WORLD_SIZE", "2")
        assert run(["score", str(file), "--task", "countdown"]) == 2
        assert "one process verifies" in capsys.readouterr().err
    assert run(["sample", *words, "--out", str(alone), "--tensor-parallel", "2"]) == 2
    error = capsys.readouterr().err
    assert "--tensor-parallel" in error
    assert "--backend vllm" in error


def test_vllm_is_asked_for_by_name_and_named_when_it_is_missing(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    for command in ("sample", "eval"):
        assert run([command, *words, "--out", str(tmp_path / command), "--backend", "vllm"]) == 2
        assert "pip install vllm" in capsys.readouterr().err
    options = ["--model", str(base_model_dir()), "--out", str(tmp_path / "p"), "--limit", "2"]
    assert run(["presample", *options, "--backend", "vllm"]) == 2
    assert "pip install vllm" in capsys.readouterr().err


def test_presample_draws_with_vllm_and_scores_with_training_s_forward(
    tmp_path: Path, vllm_stand_in: Any
) -> None:
    out = tmp_path / "set"
    options = ["--model", str(base_model_dir()), "--out", str(out), "--limit", "20", "--k", "2"]
    options += ["--threshold", "1", "--confirm", "0", "--precision", "float32"]
    assert run(["presample", *options, "--backend", "vllm", "--gpu-memory", "0.5"]) == 0
    assert vllm_stand_in.STARTED[-1].given["gpu_memory_utilization"] == 0.5
    assert vllm_stand_in.STARTED[-1].given["dtype"] == "float32"
    made = json.loads((out / "samples" / "manifest.json").read_text())
    assert made["backend"] == "vllm"
    stored = RehearsalSet.load(out)
    assert len(stored) > 0
    row = stored.batch([0], 0)
    prompts = [row["prompt_ids"][0][row["prompt_mask"][0].bool()].tolist()]
    answers = [row["completion_ids"][0].tolist()]
    model, _ = load_model(base_model_dir(), dtype=torch.float32, device=torch.device("cpu"))
    expected = completion_logps(model, prompts, answers, temperature=1.0, pad_token_id=0)
    assert torch.allclose(row["ref_logps"][0], expected[0], atol=1e-5)
