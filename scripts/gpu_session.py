"""Run what is not yet recorded of a GPU session, within some minutes; `scripts/gpu_session.sh` starts it.

A session is a list of units (`gpu_units.py`). A unit that ended is recorded in OUT/done: exit status,
seconds and machine. It is not run again. To run one again, delete its record. A unit that is cut off
leaves no record, and what it can continue it continues in the next run.

Models are large, and may be lost between runs: one that a unit still needs is then made again. GPUs do not
repeat a training bit for bit, so each record names the weights that were started from.

The exit status is 0 if everything is recorded and succeeded, 1 if a unit failed, 3 if something is left.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from gpu_units import BASE, FULL, LEFT, TOY, Unit, session
from polypath.rollouts.files import write_json

LEAVE = 15.0  # seconds for what follows the last unit
VERSIONS = ("torch", "transformers", "trl", "accelerate", "datasets", "sentence-transformers")


def machine(device: str) -> dict[str, Any]:
    """Check that the device computes, and describe the machine.

    Raises:
        SystemExit: torch sees no GPU, or what it computes is wrong.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            f"torch {torch.__version__} sees no GPU; install a CUDA build of it, or try the session "
            "with DEVICE=cpu."
        )
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(512, 512, generator=generator) for _ in range(2))
    product = (left.to(device, torch.bfloat16) @ right.to(device, torch.bfloat16)).float().cpu()
    error = float((product - left @ right).norm() / (left @ right).norm())
    if not error < 0.02:  # bfloat16 keeps 8 bits: .004 for random matrices
        raise SystemExit(
            f"a product in bfloat16 is off by {error:.1%} on {device}; expected < 2 %."
        )
    found: dict[str, Any] = {
        "device": device,
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONS},
        "bfloat16_error": error,
    }
    if device == "cuda":
        about = torch.cuda.get_device_properties(0)
        found |= {"gpu": about.name, "gpu_memory_bytes": about.total_memory}
        found["cuda"] = torch.version.cuda
    return found


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def missing(unit: Unit) -> list[str]:
    """Return the modules that a unit needs and that are not installed."""
    return [name for name in unit.needs if importlib.util.find_spec(name) is None]


def run(unit: Unit, log: Path, seconds: float) -> int | None:
    """Run a unit's commands with their output in a log; return the exit status, None if cut off."""
    deadline = time.monotonic() + seconds
    with log.open("a") as output:
        for words in unit.commands:
            left = max(deadline - time.monotonic(), 1.0)
            command = [str(int(left - LEAVE)) if word == LEFT else word for word in words]
            print("$", *command, file=output, flush=True)
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **unit.environment},
                start_new_session=True,
            )
            try:
                status = process.wait(left)
            except subprocess.TimeoutExpired:
                return None
            finally:  # also where the session itself is interrupted
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            if status:
                return status
    return 0


def to_run(units: list[Unit], records: dict[str, dict[str, Any]]) -> set[str]:
    """Return the units without a record, and those whose lost models they need."""
    names: set[str] = set()
    for unit in reversed(units):
        wanted = any(unit.name in other.after for other in units if other.name in names)
        lost = any(not path.exists() for path in unit.keeps)
        if unit.name not in records or (lost and wanted):
            names.add(unit.name)
    return names


def weights(models: Path) -> str | None:
    """Return the start of the SHA-256 of the warmed-up weights, None without them."""
    file = models / BASE / "model.safetensors"
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def run_all(
    units: list[Unit], out: Path, models: Path, found: dict[str, Any], deadline: float
) -> dict[str, str]:
    """Run units until the deadline, each after those it depends on; return the state of each."""
    records = read_records(out)
    states = {name: record["state"] for name, record in records.items()}
    todo = to_run(units, records)
    for unit in (unit for unit in units if unit.name in todo):
        waits = [name for name in unit.after if states.get(name) != "done"]
        left = deadline - time.monotonic()
        if absent := missing(unit):
            states[unit.name] = f"left out: {', '.join(absent)} not installed"
        elif waits:
            states[unit.name] = f"waits for {', '.join(waits)}"
        elif left < unit.least:
            states[unit.name] = f"waits: needs {unit.least:.0f} s, {max(left, 0):.0f} s are left"
        else:
            print(f"{unit.name} ({left:.0f} s are left) ...", flush=True)
            start = time.monotonic()
            status = run(unit, out / f"{unit.name}.log", left)
            seconds = time.monotonic() - start
            if status is None:
                states[unit.name] = f"cut off after {seconds:.0f} s: continues in the next run"
                continue
            states[unit.name] = "done" if status == 0 else f"failed with exit status {status}"
            about = {"state": states[unit.name], "seconds": seconds, "weights": weights(models)}
            about |= {"machine": found, "commands": unit.commands}
            write_json(out / "done" / f"{unit.name}.json", about)
            for source, target in unit.copies:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
            print(f"{unit.name}: {states[unit.name]}, {seconds:.0f} s", flush=True)
    return {unit.name: states[unit.name] for unit in units}


def read_records(out: Path) -> dict[str, dict[str, Any]]:
    """Return the record of each unit that ended, by its name."""
    return {file.stem: json.loads(file.read_text()) for file in (out / "done").glob("*.json")}


def several_weights(out: Path) -> str | None:
    """Return a line about methods that did not start from the weights of the base, if there are any."""
    starts = {
        name: record["weights"]
        for name, record in read_records(out).items()
        if name == "sample-base" or name.startswith("train-")
    }
    if len(set(starts.values())) < 2:
        return None
    told = ", ".join(f"{name} {start}" for name, start in starts.items())
    return f"The warm-up was repeated, and its weights differ. Each method's start is: {told}"


def main() -> int:
    """Run the session; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--started", type=float, default=time.time(), help="in seconds of the epoch"
    )
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no unit is left running
    deadline = time.monotonic() + 60 * args.minutes - (time.time() - args.started) - LEAVE
    found = machine(args.device)
    print(f"{found.get('gpu', 'CPU')}, {found['versions']}", flush=True)
    (args.out / "done").mkdir(parents=True, exist_ok=True)
    sizes = FULL if args.device == "cuda" else TOY
    units = session(args.out, args.models, args.device, sizes)
    states = run_all(units, args.out, args.models, found, deadline)
    print("\n".join(f"{name:20} {state}" for name, state in states.items()))
    if told := several_weights(args.out):
        print(told)
    if any(state.startswith("failed") for state in states.values()):
        return 1
    if all(state == "done" for state in states.values()):
        print("All is recorded.")
        return 0
    print("Run the command again for the rest.")
    return 3


if __name__ == "__main__":
    sys.exit(main())
