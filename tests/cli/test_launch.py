"""One recipe, started by python, by accelerate, and by torchrun as two machines: one log, one model."""

import json
import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from polypath import DiversityGRPOTrainer
from polypath.cli.main import run
from polypath.rehearsal.settings import PresampleSettings
from polypath.train.callbacks import read_log
from tests.engines.trl.helpers import FixedCompletions, addition_rows, largest_difference
from tests.forks import python
from tests.presampling import presample
from tests.rehearsal.adder import Addition, save_adder

ROOT = Path(__file__).parents[2]
WAYS = ("accelerate", "two machines")
REWARD = """
import zlib


def coin(completions, **columns):
    return [float(zlib.crc32(text.encode()) % 2) for text in completions]
"""
SETTINGS: dict[str, Any] = {
    "per_device_train_batch_size": 4,  # of one process; two have 2
    "num_generations": 4,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 6,
    "max_steps": 2,
    "optim": "sgd",
    "learning_rate": 0.1,
    "lr_scheduler_type": "constant",
    "max_grad_norm": 0.0,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "dra": True,
    "positive_entropy_coef": 0.1,
    "rehearsal_coef": 0.5,
    "rehearsal_explore_only": False,
    "rehearsal_share": 1.0,
}
# TRL's means of micro-steps' means: a micro-step of two processes has other rows than one of one.
BY_MICRO_STEP = ("entropy", "clip_ratio")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model, a rehearsal set, data, a reward and the recipe of them."""
    folder = tmp_path_factory.mktemp("launch")
    save_adder(folder / "model")
    settings = PresampleSettings(k=4, threshold=3, batch_size=256, precision="float32")
    presample(folder / "model", Addition(), out=folder / "set", settings=settings, device="cpu")
    rows = "".join(json.dumps(row) + "\n" for row in addition_rows())
    (folder / "data.jsonl").write_text(rows)
    (folder / "my_rewards.py").write_text(REWARD)
    recipe = {
        "model_name_or_path": str(folder / "model"),
        "dataset_name": str(folder / "data.jsonl"),
        "reward_funcs": [f"{folder / 'my_rewards.py'}:coin"],
        "rehearsal_set": str(folder / "set"),
        **SETTINGS,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


@pytest.fixture(scope="module")
def outs(folder: Path) -> dict[str, Path]:
    """Train the recipe in every way; return the output folders."""
    outs = {way: folder / way.replace(" ", "-") for way in ("alone", *WAYS)}
    torchrun = ["-m", "torch.distributed.run"]
    nodes = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1"]
    nodes.append(f"--master-port={free_port()}")
    accelerate = ["-m", "accelerate.commands.launch", "--main_process_port=0"]
    accelerate.append(f"--config_file={ROOT / 'recipes' / 'accelerate' / 'cpu.yaml'}")
    launchers = [
        ("accelerate", accelerate),
        ("two machines", [*torchrun, *nodes, "--node-rank=0"]),
        ("two machines", [*torchrun, *nodes, "--node-rank=1"]),
    ]
    program = ["-m", "tests.cli.launched"]
    started = [
        start([*words, "-m", "tests.forks", *program, *train(folder, outs[way], batch=2)])
        for way, words in launchers
    ]
    try:
        with pytest.MonkeyPatch.context() as patch:
            name = "_generate_single_turn"
            patch.setattr(DiversityGRPOTrainer, name, FixedCompletions._generate_single_turn)
            assert run(train(folder, outs["alone"], batch=4)) == 0
        for process in started:
            output, _ = process.communicate(timeout=200)
            assert process.returncode == 0, output[-5000:]
    finally:
        for process in started:
            process.kill()
    return outs


def train(folder: Path, out: Path, *, batch: int) -> list[str]:
    words = ["train", "--config", str(folder / "recipe.yaml"), "--output_dir", str(out)]
    return [*words, "--per_device_train_batch_size", str(batch)]


def start(words: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*python(), *words],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "ACCELERATE_USE_CPU"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.mark.parametrize("way", WAYS)
def test_the_weights_do_not_depend_on_the_launcher(way: str, outs: dict[str, Path]) -> None:
    assert json.loads((outs[way] / "run.json").read_text())["processes"] == 2
    alone, there = (load_file(outs[name] / "model.safetensors") for name in ("alone", way))
    assert largest_difference(alone, there) < 1e-6


def test_training_moved_the_weights(folder: Path, outs: dict[str, Path]) -> None:
    before, after = load_file(folder / "model" / "model.safetensors"), outs["alone"]
    assert largest_difference(before, load_file(after / "model.safetensors")) > 1e-2


@pytest.mark.parametrize("way", WAYS)
def test_the_log_does_not_depend_on_the_launcher(way: str, outs: dict[str, Path]) -> None:
    alone, there = (read_log(outs[name] / "log.jsonl") for name in ("alone", way))
    assert [line["step"] for line in alone] == [line["step"] for line in there] == [1, 2, 2]
    compared = set()
    for one, two in zip(alone[:2], there[:2], strict=True):
        assert one.keys() == two.keys()
        for name in one.keys() - {"step_time", "cpu_seconds"}:
            if not name.startswith(BY_MICRO_STEP):
                assert two[name] == pytest.approx(one[name], abs=1e-5, nan_ok=True), name
                compared.add(name)
    assert {"loss", "grad_norm", "reward", "diversity/similarity"} <= compared


def test_two_processes_log_one_thing_however_they_are_started(outs: dict[str, Path]) -> None:
    logs = [read_log(outs[way] / "log.jsonl")[:2] for way in WAYS]
    assert "rehearsal/divergence" in logs[0][1]
    for one, two in zip(*logs, strict=True):
        for name in ("step_time", "cpu_seconds"):
            del one[name], two[name]
        assert two == pytest.approx(one, abs=1e-6, nan_ok=True)
