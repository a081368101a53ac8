"""Two runs in one folder, damaged checkpoints, and weights that are gone: named, never ignored."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from polypath.errors import ConfigError, DataError, PolypathError
from polypath.rollouts.locks import WHOLE, WriterLock
from polypath.train.checkpoints import COMPLETE, mark, weights_fault
from polypath.train.config import load_recipe
from polypath.train.run import LOCK_FILE, run
from tests.forks import python
from tests.train.conftest import WriteRecipe

ROOT = Path(__file__).parents[2]
SAVED: dict[str, Any] = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}


def start(recipe: Path, told: Callable[[str], None] = lambda _: None, *overrides: str) -> None:
    run(load_recipe(recipe, overrides), progress=told)


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Read tensors that stay when the file is cut; safetensors maps it."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


@pytest.fixture
def stopped(write_recipe: WriteRecipe, tmp_path: Path) -> tuple[Path, Path]:
    """Return recipe and folder of a run of four steps that was killed after the third."""
    recipe, folder = write_recipe(**SAVED), tmp_path / "run"
    start(recipe)
    state = folder / "checkpoint-4" / "trainer_state.json"
    found = json.loads(state.read_text())
    assert (found["global_step"], found["max_steps"]) == (4, 4)
    for name in ("checkpoint-4/model.safetensors", "checkpoint-2/optimizer.pt"):
        assert (folder / name).is_file()
    (folder / "finished.json").unlink()
    shutil.copytree(folder / "checkpoint-2", folder / "checkpoint-3")
    state = folder / "checkpoint-3" / "trainer_state.json"
    state.write_text(state.read_text().replace('"global_step": 2', '"global_step": 3'))
    mark(folder / "checkpoint-3")
    shutil.rmtree(folder / "checkpoint-4")
    return recipe, folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def garble(path: Path) -> None:
    """Change bytes in the middle: the size stays."""
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(
        whole[:half] + bytes(255 - b for b in whole[half : half + 64]) + whole[half + 64 :]
    )


def flip(path: Path) -> None:
    """Change the lowest bit of one byte near the end."""
    whole = bytearray(path.read_bytes())
    whole[-8] ^= 1
    path.write_bytes(whole)


def empty(path: Path) -> None:
    path.write_bytes(b"")


BY_HASH = ("model.safetensors", "config.json")  # no checksum of their own
DAMAGE = [
    *[
        (name, Path.unlink)
        for name in (
            "model.safetensors",
            "optimizer.pt",
            "scheduler.pt",
            "rng_state.pth",
            "trainer_state.json",
            "config.json",
        )
    ],
    *[(name, cut) for name in ("model.safetensors", "optimizer.pt", "trainer_state.json")],
    *[(name, garble) for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth")],
    *[(name, flip) for name in BY_HASH],
    *[(name, empty) for name in ("model.safetensors", "rng_state.pth", "trainer_state.json")],
]


@pytest.mark.parametrize("sized", [True, False])
def test_what_is_damaged_is_named_and_a_whole_checkpoint_beside_it(
    sized: bool, stopped: tuple[Path, Path], tmp_path: Path
) -> None:
    recipe, folder = stopped
    newest, kept = folder / "checkpoint-3", tmp_path / "kept"
    if not sized:  # the mark of a version that recorded no sizes
        (newest / COMPLETE).write_bytes(b"")
    shutil.copytree(newest, kept)
    for name, damage in DAMAGE:
        if not sized and (name == "config.json" or damage is flip):
            continue
        damage(newest / name)
        with pytest.raises(DataError) as error:
            start(recipe)
        told = str(error.value)
        assert str(newest) in told, name
        assert name in told
        assert f"--resume_from_checkpoint {folder / 'checkpoint-2'}" in told
        assert "\n" not in told
        shutil.rmtree(newest)
        shutil.copytree(kept, newest)


def test_an_older_checkpoint_is_gone_on_from_and_the_damaged_one_replaced(
    stopped: tuple[Path, Path],
) -> None:
    recipe, folder = stopped
    expected = weights(folder / "model.safetensors")
    (folder / "checkpoint-3" / "optimizer.pt").unlink()
    told: list[str] = []
    start(recipe, told.append, "--resume_from_checkpoint", str(folder / "checkpoint-2"))
    assert told[0].endswith("checkpoint-2.")
    assert not (folder / "checkpoint-3" / COMPLETE).exists()
    got = weights(folder / "model.safetensors")
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    (folder / "finished.json").unlink()
    start(recipe, told.append)  # without the setting: from the new one
    assert "checkpoint-4" in told[2]


def test_a_damaged_checkpoint_without_a_whole_one_is_refused(stopped: tuple[Path, Path]) -> None:
    recipe, folder = stopped
    for name in ("checkpoint-2", "checkpoint-3"):
        (folder / name / "scheduler.pt").unlink()
    with pytest.raises(DataError, match=r"scheduler\.pt") as error:
        start(recipe)
    assert "--resume_from_checkpoint" not in str(error.value)
    with pytest.raises(DataError, match=r"checkpoint-2.*scheduler\.pt"):
        start(recipe, lambda _: None, "--resume_from_checkpoint", str(folder / "checkpoint-2"))


def test_a_checkpoint_that_was_not_written_to_its_end_is_named(
    stopped: tuple[Path, Path],
) -> None:
    recipe, folder = stopped
    (folder / "checkpoint-3" / COMPLETE).unlink()
    told: list[str] = []
    start(recipe, told.append)
    assert "checkpoint-3" in told[0]
    assert told[0].endswith("checkpoint-2.")


def test_checkpoints_of_models_alone_are_no_way_to_go_on(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    recipe, folder = write_recipe(**SAVED, save_only_model=True), tmp_path / "run"
    start(recipe)
    (folder / "finished.json").unlink()
    told: list[str] = []
    start(recipe, told.append)  # all steps are done: the weights are enough
    assert "checkpoint-4" in told[0]
    (folder / "finished.json").unlink()
    shutil.rmtree(folder / "checkpoint-4")
    with pytest.raises(DataError, match=r"optimizer\.pt"):
        start(recipe)


def test_a_model_that_changed_under_a_run_is_named(
    write_recipe: WriteRecipe, tiny_model_dir: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model_dir, model)
    recipe = write_recipe(**SAVED, model_name_or_path=str(model))
    start(recipe)
    (tmp_path / "run" / "finished.json").unlink()
    flip(model / "model.safetensors")
    with pytest.raises(DataError, match=r"model\.safetensors of the model"):
        start(recipe)
    flip(model / "model.safetensors")
    start(recipe)


@pytest.mark.parametrize("damage", [Path.unlink, cut, empty, flip])
def test_a_finished_run_is_believed_with_its_weights_only(
    damage: Callable[[Path], None], write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    recipe, folder = write_recipe(**SAVED), tmp_path / "run"
    start(recipe)
    expected = weights(folder / "model.safetensors")
    damage(folder / "model.safetensors")
    told: list[str] = []
    start(recipe, told.append)
    assert "finished.json" in told[0]
    assert "model.safetensors" in told[0]
    assert "checkpoint-4" in told[1]
    got = weights(folder / "model.safetensors")
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    (folder / "finished.json").write_text("{")
    start(recipe, told.append)
    assert json.loads((folder / "finished.json").read_text())["global_step"] == 4


def test_every_shard_of_a_model_is_looked_at(tmp_path: Path) -> None:
    assert "no weights" in str(weights_fault(tmp_path))
    index = tmp_path / "model.safetensors.index.json"
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index.write_text(json.dumps({"weight_map": {"a": shards[0], "b": shards[1]}}))
    save_file({"a": torch.ones(2)}, tmp_path / shards[0])
    assert shards[1] in str(weights_fault(tmp_path))
    save_file({"b": torch.ones(2)}, tmp_path / shards[1])
    assert weights_fault(tmp_path) is None
    cut(tmp_path / shards[0])
    assert shards[0] in str(weights_fault(tmp_path))
    index.write_text("{")
    assert index.name in str(weights_fault(tmp_path))


@pytest.mark.parametrize("name", ["global_step4", "pytorch_model_fsdp_0"])
def test_weights_that_are_split_over_processes_are_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert weights_fault(tmp_path) is None


# --- two runs in one folder ---------------------------------------------------------------------------


@contextmanager
def training(recipe: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a recipe in a process of its own; inside, it has logged a step."""
    process = subprocess.Popen(
        [sys.executable, "-m", "polypath", "train", "--config", str(recipe)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        log = folder / "log.jsonl"
        while process.poll() is None and not (log.is_file() and log.stat().st_size):
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_second_run_is_refused_with_the_first_ones_process_until_it_dies(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    # A worker that loads data outlives its parent for some seconds.
    endless = write_recipe(
        max_steps=100_000, save_strategy="steps", save_steps=2, dataloader_num_workers=1
    )
    folder = tmp_path / "run"
    with training(endless, folder) as first:
        done = subprocess.run(
            [*python(), "-m", "polypath", "train", "--config", str(endless)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2
        told = [line for line in done.stderr.splitlines() if line.startswith("polypath: ")]
        assert len(told) == 1
        assert f"pid {first.pid} " in told[0]
        assert str(folder) in told[0]
        assert first.poll() is None
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with WriterLock(folder, WHOLE, name=LOCK_FILE):
            pass


def test_a_run_that_ends_or_fails_lets_others_in(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    with pytest.raises(PolypathError):
        start(write_recipe(task_split="no such"))
    recipe = write_recipe(max_steps=1)
    start(recipe)
    start(recipe)
    with (
        WriterLock(tmp_path / "run", WHOLE, name=LOCK_FILE),
        pytest.raises(ConfigError, match=f"pid {os.getpid()} "),
    ):
        start(recipe)


def test_a_folder_that_cannot_be_made_is_named(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/run") as error:
        start(write_recipe(output_dir=str(tmp_path / "file" / "run")))
    assert "\n" not in str(error.value)
