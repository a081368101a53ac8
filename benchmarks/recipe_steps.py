"""CPU time of whole rounds of the shipped recipes, against TRL's own GRPO, generation included.

Trainers of one recipe do one optimizer step each in rotating order, so that what disturbs the machine
disturbs all of them. A round is one generation and the updates that use it; one thread; process time. All
start from the shipped base and have the same seed, so that stock and skipping train the same model, up to
rounding; the largest difference of a parameter at the end is told.

    python benchmarks/recipe_steps.py --out benchmarks/results/recipe_steps.json
    python benchmarks/recipe_steps.py --tasks countdown --rounds 4   # quicker, rougher
"""

import os

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from interleaved_trainers import Turns
from machine import environment
from results_file import at_most, finish, parser, ratio, spread
from training_arms import AGAIN, STOCK
from transformers import PrinterCallback
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig, GRPOTrainer

from polypath import DiversityGRPOConfig, DiversityGRPOTrainer, TaskReward, task_dataset
from polypath.tasks import get_task
from polypath.tasks.shipped import shipped_model
from polypath.yaml_file import read_yaml

SKIP = {"skip_rows_without_gradient": True}
BUCKETS = {**SKIP, "length_buckets": 2}
METHODS = {"dra": True, "similarity": "answer", "positive_entropy_coef": 0.1}
ARMS: dict[str, dict[str, Any] | None] = {
    STOCK: None,
    AGAIN: None,
    "all off": {},
    "skipping": SKIP,
    "skipping, 2 buckets": BUCKETS,
    "skipping, shared prefill": {**SKIP, "shared_prefill": True},
    "DRA and positive entropy": METHODS,
    "DRA and positive entropy, skipping": {**METHODS, **SKIP},
    "DRA and positive entropy, skipping, shared prefill": {
        **METHODS,
        **SKIP,
        "shared_prefill": True,
    },
}
MOST = {"skipping": 0.85, "DRA and positive entropy, skipping": 1.0}
BASES = {"countdown": "countdown-base", "small_sql": "small-sql-base"}
UPDATES = 4  # of a round, in both recipes


def make(arm: str, task_name: str, folder: Path, rounds: int) -> Any:
    recipe = read_yaml(Path(__file__).parents[1] / "recipes" / task_name / "grpo.yaml", "recipe")
    for key in ("model_name_or_path", "task", "task_split", "save_steps", "save_total_limit"):
        recipe.pop(key)
    recipe.update(output_dir=str(folder), save_strategy="no", logging_steps=UPDATES)
    recipe.update(max_steps=(rounds + 1) * UPDATES + 1)
    options, task = ARMS[arm], get_task(task_name)
    stock = options is None
    trainer = (GRPOTrainer if stock else DiversityGRPOTrainer)(
        model=str(shipped_model(BASES[task_name])),
        reward_funcs=TaskReward(task),
        args=(GRPOConfig if stock else DiversityGRPOConfig)(**recipe, **(options or {})),
        train_dataset=task_dataset(task, "train"),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def measure(task_name: str, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each arm; the first round is not measured."""
    trainers = {arm: make(arm, task_name, folder, rounds) for arm in ARMS}
    turns = {arm: Turns(trainer) for arm, trainer in trainers.items()}
    order = list(ARMS)
    for step in range((rounds + 1) * UPDATES):
        first = step % len(order)
        for arm in [*order[first:], *order[:first]]:
            turns[arm].step()
        print(".", end="", flush=True)
    print()
    taken = {
        arm: np.reshape(turn.times, (-1, UPDATES))[1:].sum(axis=1) for arm, turn in turns.items()
    }
    between = (taken[STOCK] + taken[AGAIN]) / 2
    expected = dict(trainers[STOCK].model.named_parameters())
    return [
        {
            "task": task_name,
            "arm": arm,
            "round_seconds": spread(seconds),
            "round_ratio": ratio(seconds, between),
            "rows_skipped": _mean(trainers[arm], "rows_skipped"),
            "equal_rewards": _mean(trainers[arm], "frac_reward_zero_std"),
            "apart_from_stock": max(
                float((value - expected[name]).abs().max())
                for name, value in trainers[arm].model.named_parameters()
            ),
            "rounds": rounds,
        }
        for arm, seconds in taken.items()
    ]


def _mean(trainer: Any, name: str) -> float | None:
    found = [line[name] for line in trainer.state.log_history if name in line]
    return float(np.mean(found)) if found else None


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--tasks", nargs="+", choices=BASES, default=list(BASES))
    made.add_argument("--rounds", type=int, default=12, help="measured rounds of each trainer")
    options = made.parse_args()
    machine = environment("torch", "trl", "transformers", "accelerate", "numpy")
    warnings.simplefilter("ignore")
    disable_progress_bar()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for task in options.tasks:
            rows += measure(task, Path(folder), options.rounds)
    bars = [
        at_most(f"{row['task']}, {row['arm']}: round, times stock", row["round_ratio"][1], limit)
        for row in rows
        for arm, limit in MOST.items()
        if row["arm"] == arm
    ]
    finish(
        options.out,
        benchmark="recipe_steps",
        environment=machine,
        settings={"tasks": options.tasks, "rounds": options.rounds},
        rows=rows,
        bars=bars,
    )


if __name__ == "__main__":
    main()
    os._exit(0)  # the trainers' threads wait for a step that does not come
