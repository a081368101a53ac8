"""Runs of ``verl.trainer.main_ppo`` on CPU cores, through the recipe that ships."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

import polypath

RECIPE = Path(polypath.__file__).parent / "assets" / "recipes" / "verl" / "countdown.sh"
PLUGINS = Path(__file__).parent / "plugins"
TIMEOUT = 600  # seconds; a run of two steps takes 40 on two idle cores


@dataclass(frozen=True)
class Run:
    """What a run left behind.

    Attributes:
        folder: checkpoints, dumps and log.
        output: what it printed.
        code: its exit code.
    """

    folder: Path
    output: str
    code: int

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The metrics of each step."""
        lines = (self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["data"] for line in lines]

    def dump(self, step: int) -> dict[str, Any]:
        """What the actor's update was given."""
        found: dict[str, Any] = torch.load(self.folder / f"step{step}.pt", weights_only=False)
        return found

    def parameters(self, step: int) -> dict[str, torch.Tensor]:
        """The parameters after a step, those of all ranks joined."""
        folder = self.folder / "checkpoints" / f"global_step_{step}" / "actor"
        shards = [
            torch.load(path, weights_only=False)
            for path in sorted(folder.glob("model_world_size_*_rank_*.pt"))
        ]
        whole = {}
        for name in shards[0]:
            parts = [getattr(s[name], "_local_tensor", s[name]) for s in shards]
            whole[name] = torch.cat(parts) if len(parts) > 1 else parts[0]
        return whole


def start(data: Path, folder: Path, *overrides: str, workers: int = 1) -> subprocess.Popen[str]:
    """Start a run of two steps with checkpoints and dumps in ``folder``, in a session of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(polypath.__file__).parent.parent
    paths = [str(source), str(PLUGINS), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": ":".join(filter(None, paths)),
        "PLATFORM": "cpu_platform,dumping,",
        "POLYPATH_DUMP": str(folder),
        "VERL_FILE_LOGGER_PATH": str(folder / "log.jsonl"),
        "WORKERS": str(workers),
    }
    return subprocess.Popen(
        [
            str(RECIPE),
            str(data),
            "trainer.v1.trainer_mode=polypath_dump",
            "trainer.total_training_steps=2",
            "trainer.save_freq=1",
            f"trainer.default_local_dir={folder}/checkpoints",
            *overrides,
        ],
        stdout=(folder / "output.txt").open("w"),
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )


def run(data: Path, folder: Path, *overrides: str, workers: int = 1, fails: bool = False) -> Run:
    """Run to the end.

    Raises:
        AssertionError: the run failed and was not to, or the other way round; with its last lines.
    """
    process = start(data, folder, *overrides, workers=workers)
    try:
        code = process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    output = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
    assert (code != 0) is fails, output[-4000:]
    return Run(folder, output, code)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a run and everything it started, Ray's processes included."""
    mine = f"RAY_TMPDIR={_ray_folder(process)}".encode()
    os.killpg(process.pid, 9)
    process.wait()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mine in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), 9)
            except (OSError, ProcessLookupError):
                continue


def _ray_folder(process: subprocess.Popen[str]) -> str:
    """Return Ray's folder, which the recipe sets in what it starts: Python is a child of the script."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and f" {process.pid} " in _read(entry / "stat"):
            for variable in _read(entry / "environ").split("\0"):
                if variable.startswith("RAY_TMPDIR="):
                    return variable.partition("=")[2]
    raise AssertionError("the recipe sets RAY_TMPDIR")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # the process has ended
        return ""


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a run has written a file."""
    end = time.monotonic() + TIMEOUT
    while not path.exists():
        assert process.poll() is None, (path.parent / "output.txt").read_text()[-4000:]
        assert time.monotonic() < end, f"{path} was not written"
        time.sleep(0.05)


def shifted(stored: Path, folder: Path, size: float) -> Path:
    """Copy a rehearsal set with log-probabilities that are off, so that the first step has a divergence."""
    shutil.copytree(stored, folder)
    path, manifest = folder / "rehearsal.safetensors", folder / "manifest.json"
    tensors = load(path.read_bytes())
    waves = torch.sin(torch.arange(len(tensors["ref_logps"])).float())
    content = save({**tensors, "ref_logps": tensors["ref_logps"] + size * waves})
    path.write_bytes(content)
    record = json.loads(manifest.read_text(encoding="utf-8"))
    record["files"][path.name] = hashlib.sha256(content).hexdigest()
    manifest.write_text(json.dumps(record), encoding="utf-8")
    return folder
