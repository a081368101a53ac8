"""Two GPUs train what one does: DDP over nccl, and FSDP2 through accelerate."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.engines.trl.helpers import largest_difference

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
DDP = ["torch.distributed.run", "--standalone", "--nproc_per_node=2"]
FSDP2 = ["accelerate.commands.launch", "--config_file", "recipes/accelerate/fsdp2.yaml"]
FSDP2 += ["--num_processes", "2", "--mixed_precision", "no"]
LOGGED = ("diversity/", "positive_entropy/", "rehearsal/", "gradient_share/")


def run(launcher: list[str], *folders: Path, on_cpu: bool) -> None:
    env = {**os.environ, "ACCELERATE_USE_CPU": str(on_cpu).lower(), "OMP_NUM_THREADS": "1"}
    module = ["-m", "tests.gpu.two_processes"] if launcher else ["tests.gpu.two_processes"]
    command = [sys.executable, "-m", *launcher, *module, *map(str, folders)]
    if not launcher and not on_cpu:
        env["CUDA_VISIBLE_DEVICES"] = env.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]


def read(folder: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    return load_file(folder / "state.safetensors"), json.loads((folder / "log.json").read_text())


@pytest.fixture(scope="module")
def alone(
    device: torch.device,
    adder_dir: Path,
    full_set: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return what one process trained."""
    if device.type == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    folder = tmp_path_factory.mktemp("alone")
    run([], adder_dir, full_set, folder, on_cpu=device.type == "cpu")
    return folder


@pytest.mark.parametrize("launcher", [DDP, FSDP2], ids=["DDP", "FSDP2"])
def test_two_processes_train_the_parameters_of_one(
    launcher: list[str],
    device: torch.device,
    alone: Path,
    adder_dir: Path,
    full_set: Path,
    tmp_path: Path,
) -> None:
    if launcher is FSDP2 and device.type == "cpu":
        pytest.skip("this test launches accelerate's FSDP on GPUs only")
    run(launcher, adder_dir, full_set, tmp_path, on_cpu=device.type == "cpu")
    (expected, log), (got, other) = read(alone), read(tmp_path)
    assert largest_difference(expected, got) < 1e-5
    for here, there in zip(log, other, strict=True):
        assert here.keys() == there.keys()
        for name in here:
            if name.startswith(LOGGED):
                assert there[name] == (here[name] and pytest.approx(here[name], abs=1e-4)), name
