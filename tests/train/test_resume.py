"""A run that is killed and started again ends where an uninterrupted one does."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.train.callbacks import read_log
from polypath.train.checkpoints import COMPLETE
from polypath.train.config import load_recipe
from polypath.train.run import run
from tests.forks import python
from tests.refusals import refused
from tests.train.conftest import WriteRecipe

ROOT = Path(__file__).parents[2]
KEY = "SeCr3tV4lue99"
# Something to learn from on a random model; every method that needs no rehearsal set is on.
METHODS: dict[str, Any] = {
    "task": None,
    "dra": True,
    "positive_entropy_coef": 0.1,
    "average_weights_from": 0.4,
    "max_steps": 14,  # epochs have 6
    "save_strategy": "steps",
    "save_steps": 2,
    "steps_per_generation": 2,
    "lr_scheduler_type": "cosine",
}


def data_and_reward(folder: Path) -> dict[str, Any]:
    """Write a data set and a reward function, and return the settings that name them."""
    rows = [{"prompt": f"solve {i} + {i % 3} =", "gold": str(i)} for i in range(6)]
    data, code = folder / "data.jsonl", folder / "my_rewards.py"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code.write_text(
        "import zlib\n\n\n"
        "def coin(completions, **columns):\n"
        "    return [float(zlib.crc32(text.encode()) % 2) for text in completions]\n"
    )
    return {"dataset_name": str(data), "reward_funcs": [f"{code}:coin"]}


def say_nothing(message: str) -> None:
    del message


def test_kills_at_random_moments_leave_no_trace(
    write_recipe: WriteRecipe, tmp_path: Path, rehearsal: dict[str, str]
) -> None:
    settings = {**METHODS, **data_and_reward(tmp_path), **rehearsal}
    straight = tmp_path / "straight"
    started = time.monotonic()
    run(load_recipe(write_recipe(**settings, output_dir=str(straight))), progress=say_nothing)
    seconds = time.monotonic() - started
    recipe = write_recipe(**settings)
    process = subprocess.run(
        [*python(), "-m", "tests.train.killed", str(recipe), "1", str(seconds * 0.6)],
        cwd=ROOT,
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    told = json.loads(process.stdout.splitlines()[-1])
    assert told["status"] == 0, process.stderr[-3000:]
    assert told["killed"] >= 2
    assert any(told["found"])  # at least one start went on from a checkpoint

    expected = load_file(straight / "model.safetensors")
    got = load_file(tmp_path / "run" / "model.safetensors")
    assert expected.keys() == got.keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    kept = ("loss", "reward", "diversity/accuracy", "diversity/similarity", "rehearsal/divergence")
    lines = [
        [
            (line["step"], *(line.get(name) for name in kept))
            for line in read_log(folder / "log.jsonl")
            if "loss" in line
        ]
        for folder in (straight, tmp_path / "run")
    ]
    assert [line[0] for line in lines[0]] == list(range(1, 15))
    assert lines[1] == lines[0]
    whole = read_log(tmp_path / "run" / "log.jsonl")
    spent = [line["cpu_seconds"] for line in whole]
    assert spent == sorted(spent)  # goes on where the kept steps end
    summaries = [line for line in whole if "train_runtime" in line]
    assert len(summaries) == 1
    assert json.loads((tmp_path / "run" / "finished.json").read_text())["global_step"] == 14


def test_every_checkpoint_of_every_epoch_resumes_to_the_same_parameters(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    settings = {**METHODS, **data_and_reward(tmp_path)}
    recipe, folder = write_recipe(**settings), tmp_path / "run"
    run(load_recipe(recipe), progress=say_nothing)
    expected = load_file(folder / "model.safetensors")
    for step in (4, 6, 8, 12):  # inside the first epoch, at its end, inside the second, at its end
        copy = tmp_path / f"from-{step}"
        shutil.copytree(folder, copy)
        (copy / "finished.json").unlink()
        for checkpoint in copy.glob("checkpoint-*"):
            if int(checkpoint.name.removeprefix("checkpoint-")) > step:
                shutil.rmtree(checkpoint)
        told: list[str] = []
        run(load_recipe(recipe, ["--output_dir", str(copy)]), progress=told.append)
        assert told[0].endswith(f"checkpoint-{step}.")
        got = load_file(copy / "model.safetensors")
        assert all(torch.equal(got[name], expected[name]) for name in expected), step


def short(write_recipe: WriteRecipe, folder: Path, **options: Any) -> Path:
    """Write a recipe of four steps that saves at every second."""
    settings = {**METHODS, **data_and_reward(folder), "max_steps": 4, **options}
    return write_recipe(**settings)


def interrupted(recipe: Path, folder: Path) -> None:
    """Leave a run as a kill after its last step would: trained, saved, not finished."""
    run(load_recipe(recipe), progress=say_nothing)
    (folder / "finished.json").unlink()
    (folder / "model.safetensors").unlink()


def test_a_checkpoint_that_was_not_written_to_its_end_is_ignored(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    recipe, folder = short(write_recipe, tmp_path), tmp_path / "run"
    run(load_recipe(recipe), progress=say_nothing)
    expected = load_file(folder / "model.safetensors")
    (folder / "finished.json").unlink()
    (folder / "checkpoint-4" / COMPLETE).unlink()
    (folder / "checkpoint-4" / "optimizer.pt").write_bytes(b"half")
    (folder / "checkpoint-9").mkdir()
    told: list[str] = []
    run(load_recipe(recipe), progress=told.append)
    assert told[0].endswith("checkpoint-2.")
    got = load_file(folder / "model.safetensors")
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert (folder / "checkpoint-4" / COMPLETE).is_file()


def test_a_checkpoint_without_the_mean_of_its_weights_is_not_marked_as_whole(
    write_recipe: WriteRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = short(write_recipe, tmp_path), tmp_path / "run"
    run(load_recipe(recipe), progress=say_nothing)
    expected = load_file(folder / "model.safetensors")
    shutil.rmtree(folder)

    def fail_at_the_last(tensors: Any, path: str, **options: Any) -> None:
        if "checkpoint-4" in path:
            raise OSError("No space left on device")
        save_file(tensors, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("polypath.core.weight_average.save_file", fail_at_the_last)
        with pytest.raises(OSError, match="No space left"):
            run(load_recipe(recipe), progress=say_nothing)
    assert (folder / "checkpoint-4" / "model.safetensors").is_file()
    assert not (folder / "checkpoint-4" / COMPLETE).exists()
    told: list[str] = []
    run(load_recipe(recipe), progress=told.append)
    assert told[0].endswith("checkpoint-2.")
    got = load_file(folder / "model.safetensors")
    assert all(torch.equal(got[name], expected[name]) for name in expected)


@pytest.mark.parametrize("average", [None, 0.4])
def test_killed_between_last_checkpoint_and_end_takes_no_further_step(
    average: float | None, write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    recipe = short(write_recipe, tmp_path, average_weights_from=average)
    folder = tmp_path / "run"
    run(load_recipe(recipe), progress=say_nothing)
    expected = load_file(folder / "model.safetensors")
    finished = (folder / "finished.json").read_text()
    (folder / "finished.json").unlink()
    (folder / "model.safetensors").unlink()
    told: list[str] = []
    run(load_recipe(recipe), progress=told.append)
    assert "All steps were done in" in told[0]
    got = load_file(folder / "model.safetensors")
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    last = load_file(folder / "checkpoint-4" / "model.safetensors")
    averaged = any(not torch.equal(got[name], last[name]) for name in last)
    assert averaged == (average is not None)
    assert (folder / "finished.json").read_text() == finished


def test_a_setting_of_infinity_is_recorded_and_resumed(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    settings = {"positive_entropy_coef": 0.1, "positive_entropy_max_ratio": float("inf")}
    recipe, folder = short(write_recipe, tmp_path, max_steps=2, **settings), tmp_path / "run"
    run(load_recipe(recipe), progress=say_nothing)
    told: list[str] = []
    run(load_recipe(recipe), progress=told.append)
    assert "already finished" in told[0]
    assert (
        json.loads((folder / "run.json").read_text())["settings"]["positive_entropy_max_ratio"]
        == "Infinity"
    )


def test_a_finished_run_says_so_and_is_not_repeated(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    recipe, folder = short(write_recipe, tmp_path, max_steps=2), tmp_path / "run"
    run(load_recipe(recipe), progress=say_nothing)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    told: list[str] = []
    run(load_recipe(recipe), progress=told.append)
    assert "already finished" in told[0]
    assert len(told) == 1
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_other_settings_are_refused_by_name_and_free_ones_are_not(
    write_recipe: WriteRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"hub_token": KEY, "model_init_kwargs": {"token": KEY}, "env": {"MY_API_KEY": KEY}}
    monkeypatch.setenv("MY_API_KEY", "")  # set by the recipe: unset again after the test
    recipe, folder = short(write_recipe, tmp_path, max_steps=2, **secrets), tmp_path / "run"
    run(load_recipe(recipe), progress=say_nothing)
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "training_args.bin" for path in left)
    assert [path.name for path in left if KEY.encode() in path.read_bytes()] == []
    for unfinished in (False, True):
        if unfinished:
            (folder / "finished.json").unlink()
        with refused(ConfigError, "learning_rate", "0.01", "0.02"):
            run(load_recipe(recipe, ["--learning_rate", "0.02"]))
        with refused(ConfigError, "dra", "True", "false"):
            run(load_recipe(recipe, ["--dra", "false"]))
        with pytest.raises(ConfigError, match="model_init_kwargs") as error:
            run(
                load_recipe(
                    recipe, ["--model_init_kwargs", f'{{"token": "{KEY}", "revision": "x"}}']
                )
            )
        assert KEY not in str(error.value)
    told: list[str] = []
    free = ["--logging_steps", "2", "--hub_token", "hf_another"]
    run(load_recipe(recipe, free), progress=told.append)
    assert "All steps were done" in told[0]
    assert "hf_another" not in (folder / "run.json").read_text()


def test_a_start_that_trained_nothing_binds_nobody(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    (tmp_path / "rewards.py").write_text(
        "def later(completions, **columns):\n    raise KeyError('answer')\n"
    )
    later = str(tmp_path / "rewards.py:later")
    broken = short(write_recipe, tmp_path, max_steps=2, reward_funcs=[later])
    with refused(DataError, "later", "answer"):
        run(load_recipe(broken), progress=say_nothing)
    assert (tmp_path / "run" / "run.json").is_file()
    told: list[str] = []
    mended = short(write_recipe, tmp_path, max_steps=2)
    run(load_recipe(mended), progress=told.append)
    assert str(tmp_path / "run") in told[0]
    assert "run.json" in told[0]
    assert "Trained 2 steps" in told[1]
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert "coin" in str(record["settings"]["reward_funcs"])


def test_a_run_can_be_moved_and_goes_on(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    recipe, folder = short(write_recipe, tmp_path), tmp_path / "run"
    interrupted(recipe, folder)
    folder.rename(tmp_path / "moved")
    told: list[str] = []
    run(load_recipe(recipe, ["--output_dir", str(tmp_path / "moved")]), progress=told.append)
    assert told[0].endswith("checkpoint-4.")
    assert (tmp_path / "moved" / "model.safetensors").is_file()
    log = read_log(tmp_path / "moved" / "log.jsonl")
    assert sum("train_runtime" in line for line in log) == 1  # not the first run's as well


def test_another_number_of_processes_is_refused(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    recipe, folder = short(write_recipe, tmp_path, max_steps=2), tmp_path / "run"
    interrupted(recipe, folder)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "processes": 2}))
    with refused(ConfigError, "processes", 2, 1):
        run(load_recipe(recipe))


def test_a_damaged_record_is_named(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    recipe, folder = short(write_recipe, tmp_path, max_steps=2), tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text("{")
    with refused(DataError, folder / "run.json"):
        run(load_recipe(recipe))


def test_a_checkpoint_may_be_asked_for(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    recipe, folder = short(write_recipe, tmp_path), tmp_path / "run"
    interrupted(recipe, folder)
    told: list[str] = []
    asked = str(folder / "checkpoint-2")
    run(load_recipe(recipe, ["--resume_from_checkpoint", asked]), progress=told.append)
    assert told[0].endswith("checkpoint-2.")
    (folder / "finished.json").unlink()
    with refused(MissingFileError, "resume_from_checkpoint", "checkpoint-3"):
        run(load_recipe(recipe, ["--resume_from_checkpoint", str(folder / "checkpoint-3")]))


def test_saving_inside_a_generation_cycle_warns_with_the_right_multiple(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    inside = short(write_recipe, tmp_path, save_steps=3, max_steps=1)
    with pytest.warns(UserWarning, match=r"save_steps=3\b.*\b2\b"):
        run(load_recipe(inside), progress=say_nothing)


def test_saving_at_the_end_of_cycles_does_not_warn(
    write_recipe: WriteRecipe, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    run(load_recipe(short(write_recipe, tmp_path, max_steps=1)), progress=say_nothing)
    assert not [w for w in recwarn if "generation cycle" in str(w.message)]


def test_a_torn_last_line_of_the_log_is_dropped(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    recipe, folder = short(write_recipe, tmp_path), tmp_path / "run"
    interrupted(recipe, folder)
    (folder / "checkpoint-4" / COMPLETE).unlink()
    log = folder / "log.jsonl"
    log.write_text(log.read_text()[:-25])
    run(load_recipe(recipe), progress=say_nothing)
    lines = [json.loads(text) for text in log.read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert sum("train_runtime" in line for line in lines) == 1
    numbers = [value for line in lines for value in line.values() if value is not None]
    assert all(isinstance(number, int | float) for number in numbers)
