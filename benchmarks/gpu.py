"""What the methods cost on one GPU: time and peak memory of a bf16 step, against TRL's own GRPO.

Random-initialised Llamas of about 0.1, 0.35 and 1 billion parameters (float32 weights under bfloat16
autocast, fused AdamW), 64 completions of 256 tokens a step, groups of 8. Steps are timed by the wall
clock with the device synchronised, trainers taking turns within one process, on completions made
up beforehand; ``generate`` is timed by itself, and both ratios are given: without generation, and with
transformers' generation added to both sides. Peak memory is torch.cuda.max_memory_allocated of a
step, one trainer at a time. Results are written after every size, and a size that would go past the
budget, with all larger ones, is left out.

    python benchmarks/gpu.py --out benchmarks/results/gpu.json
    python benchmarks/gpu.py --sizes 0.1b --rounds 5              # quicker
    python benchmarks/gpu.py --device cpu --sizes tiny            # tries the script without a GPU
"""

# ruff: noqa: E402  # the budget covers the imports, which take long on a cold machine
import time

START = time.perf_counter()

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # Trainer would spread over several

import numpy as np
import torch
from gpu_arms import GROUP, ORDER, SIZES, World
from gpu_steps import (
    adjustment_part,
    embedding_part,
    free,
    generation_times,
    peaks,
    rescore_part,
    step_times,
)
from machine import environment
from results_file import at_least, at_most, command, parser, ratio, spread
from tables import everything
from training_arms import AGAIN, STOCK
from transformers.utils.logging import disable_progress_bar

PACKAGES = ("torch", "trl", "transformers", "accelerate", "sentence-transformers", "numpy")


def say(text: str) -> None:
    print(f"[{time.perf_counter() - START:5.0f} s] {text}", file=sys.stderr, flush=True)


def gpu(device: torch.device) -> dict[str, Any]:
    """Describe the GPU, its driver and CUDA; empty on a CPU."""
    if device.type != "cuda":
        return {}
    properties = torch.cuda.get_device_properties(device)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
    except OSError:
        driver = []
    return {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "driver": driver[0] if driver else None,
        "cuda": torch.version.cuda,
    }


# --- one size ----------------------------------------------------------------------------------


def arm_rows(
    peak: dict[str, int | None],
    times: dict[str, list[float]],
    generation: list[float],
) -> list[dict[str, Any]]:
    """Put what was measured of each arm beside the mean of the two stock trainers."""
    stock = np.array([])
    if times:
        stock = (np.array(times[STOCK]) + np.array(times[AGAIN])) / 2
    generated = float(np.median(generation)) if generation else None
    rows = []
    for arm in (name for name in ORDER if name in times or name in peak):
        row: dict[str, Any] = {"part": "step", "arm": arm}
        if arm in times:
            row["seconds"] = spread(times[arm])
            row["ratio"] = ratio(times[arm], stock.tolist())
            if generated is not None:
                with_generation = (np.array(times[arm]) + generated).tolist()
                row["ratio_with_generation"] = ratio(with_generation, (stock + generated).tolist())
        if arm in peak:
            held, alone = peak[arm], peak[STOCK]
            row["peak_bytes"] = held  # None: out of memory
            if held is not None and alone:
                row["peak_ratio"] = held / alone
        rows.append(row)
    return rows


def memory_bars(world: World, peak: dict[str, int | None]) -> list[dict[str, Any]]:
    stock, bars = peak.get(STOCK), []
    for arm in ("positive entropy, paper", "positive entropy, detached"):
        held = peak.get(arm)
        if stock and held:
            apart = abs(held / stock - 1)
            bars.append(at_most(f"{arm}: peak memory, apart from stock", apart, 0.01))
    rehearsal, penalty = peak.get("rehearsal"), peak.get("TRL beta")
    if rehearsal and penalty:
        saved = (penalty - rehearsal) / world.model_bytes
        bars.append(at_least("rehearsal: peak memory below TRL beta, in models", saved, 0.99))
    return bars


def measure(
    name: str, options: argparse.Namespace, folder: Path, deadline: float
) -> Iterator[dict[str, Any]]:
    """Measure one size: peaks and steps, generation, parts; yield all there is after each."""
    size = SIZES[name]
    if options.shape:
        completions, length = map(int, options.shape.split("x"))
        size = replace(size, completions=completions, length=length)
    device = torch.device(options.device)
    free()  # the size before
    world = World(size, device, folder, options.checkpointing)
    say(f"{name}: {world.parameters / 1e6:.0f} M parameters; memory")
    arms = [arm for arm in ORDER if arm in {STOCK, AGAIN, *options.arms}]
    peak = peaks(world, arms)
    fits = [arm for arm in arms if peak.get(arm, 0) is not None]
    say(f"{name}: steps of {len(fits)} arms")
    times: dict[str, list[float]] = {}
    share: list[float] = []
    if {STOCK, AGAIN} <= set(fits):
        try:
            times, share = step_times(world, fits, options.rounds, deadline)
        except torch.OutOfMemoryError:
            say(f"{name}: out of memory with all trainers at once; no times. Ask for fewer --arms.")
    about = {"size": name, "parameters": world.parameters, **asdict(size)}
    about["rounds"] = len(times.get(STOCK, []))
    bars = [{**bar, "name": f"{name}: {bar['name']}"} for bar in memory_bars(world, peak)]

    def found(steps: list[dict[str, Any]], *parts: dict[str, Any]) -> dict[str, Any]:
        return {"rows": [{**about, **row} for row in (*steps, *parts)], "bars": bars}

    steps = arm_rows(peak, times, [])
    yield found(steps)
    say(f"{name}: embedding and rescoring")
    embedding = {"part": "embedding", **embedding_part(world, 10)}
    if share:
        embedding["share_of_step"] = spread(share)
    parts = [embedding, {"part": "rescore", **rescore_part(world, 3)}]
    yield found(steps, *parts)
    if options.no_generation:
        return
    say(f"{name}: generation")
    generation = generation_times(world, 2)
    seconds = spread(generation)
    made = size.completions * size.length / seconds[1]
    parts.append({"part": "generation", "seconds": seconds, "tokens_per_second": made})
    yield found(arm_rows(peak, times, generation), *parts)


# --- all sizes ---------------------------------------------------------------------------------


def would_take(name: str, last: tuple[str, float] | None) -> float:
    """Guess the seconds of a size from those of the one before; building does not grow with it."""
    if last is None:
        return 0.0
    growth = weight(name) / weight(last[0])
    return last[1] * max(1.0, growth**0.7)


def weight(name: str) -> float:
    size = SIZES[name]
    per_layer = 4 * size.hidden**2 + 3 * size.hidden * size.inner
    return float(size.layers * per_layer + size.vocabulary * size.hidden)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every size that fits the budget, writing after each."""
    device = torch.device(options.device)
    result: dict[str, Any] = {
        "benchmark": "gpu",
        "command": command(),
        "environment": {**environment(*PACKAGES), **gpu(device)},
        "settings": {
            "device": device.type,
            "sizes": options.sizes,
            "dropped": [],
            "bf16": device.type == "cuda",
            "gradient_checkpointing": options.checkpointing,
            "group": GROUP,
            "budget": options.budget,
        },
        "rows": [],
        "bars": [],
    }
    last: tuple[str, float] | None = None
    sizes = sorted(options.sizes, key=weight)
    for place, name in enumerate(sizes):
        began = time.perf_counter()
        # With fewer rounds a size takes little more than half of that.
        if began - START + 0.6 * would_take(name, last) > options.budget:
            result["settings"]["dropped"] = sizes[place:]
            print(f"\nLeft out, the budget of {options.budget:.0f} s being short: {sizes[place:]}")
            break
        share = weight(name) ** 0.5 / sum(weight(other) ** 0.5 for other in sizes[place:])
        deadline = began + share * (START + 0.95 * options.budget - began)
        before = {part: list(result[part]) for part in ("rows", "bars")}
        with tempfile.TemporaryDirectory() as folder:
            for found in measure(name, options, Path(folder), deadline):
                result.update({part: before[part] + found[part] for part in before})
                save(options.out, result)
        last = (name, time.perf_counter() - began)
    say("reward adjustment")
    small = device.type == "cpu"
    for row in adjustment_part(device, (32, 16, 64) if small else (512, 64, 1024), 10):
        result["rows"].append({"part": "adjustment", **row})
    result["settings"]["seconds"] = time.perf_counter() - START
    save(options.out, result)
    return result


def save(out: Path | None, result: dict[str, Any]) -> None:
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    read = parser(__doc__)
    read.add_argument("--device", default="cuda", help="cuda (default), or cpu to try the script")
    read.add_argument(
        "--sizes", nargs="+", choices=SIZES, default=[s for s in SIZES if s != "tiny"]
    )
    read.add_argument("--arms", nargs="+", choices=ORDER, default=ORDER, metavar="ARM")
    read.add_argument("--shape", help="completions x tokens of a step, such as 32x128")
    read.add_argument("--rounds", type=int, default=10, help="measured steps of each arm, at most")
    read.add_argument("--budget", type=float, default=520.0, help="seconds for everything")
    read.add_argument("--checkpointing", action="store_true", help="gradient checkpointing")
    read.add_argument("--no-generation", action="store_true", help="do not time generate")
    options = read.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU. Use --device cpu --sizes tiny to try the script.")
    warnings.simplefilter("ignore")
    disable_progress_bar()
    say("start")
    print(f"\n{everything(run(options))}")


if __name__ == "__main__":
    main()
