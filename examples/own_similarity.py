"""Your own idea of resemblance: DRA with a similarity of yours.

    python examples/own_similarity.py --steps 20

A similarity is a function from texts, one list per prompt, to one square matrix per prompt: symmetric,
1 on the diagonal, in [-1, 1]. The trainer calls it with whole groups, however many processes there are.
"""

import argparse

import numpy as np

from polypath import DiversityGRPOConfig, DiversityGRPOTrainer, TaskReward, task_dataset
from polypath.tasks import get_task
from polypath.tasks.shipped import base_model_dir


def same_operators(texts_P_G: list[list[str]]) -> np.ndarray:
    """Return how much of their operators two expressions share (Jaccard), ``(P, G, G)``."""
    bags = [[set(text) & set("+-*/") for text in group] for group in texts_P_G]
    return np.array(
        [
            [[1.0 if a == b else len(a & b) / len(a | b) for b in group] for a in group]
            for group in bags
        ]
    )


def main() -> None:
    """Train, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="optimizer steps")
    parser.add_argument("--out", default="runs/own_similarity")
    options = parser.parse_args()
    task = get_task("countdown")
    trainer = DiversityGRPOTrainer(
        model=str(base_model_dir()),
        reward_funcs=TaskReward(task),
        args=DiversityGRPOConfig(
            output_dir=options.out,
            dra=True,
            per_device_train_batch_size=64,
            num_generations=16,
            max_completion_length=task.max_completion_length,
            max_steps=options.steps,
            learning_rate=1e-4,
            logging_steps=1,
            save_strategy="no",
            bf16=False,
            report_to="none",
        ),
        train_dataset=task_dataset(task, "train"),
        similarity=same_operators,
    )
    trainer.train()
    last = [line for line in trainer.state.log_history if "diversity/similarity" in line][-1]
    print(
        f"mean similarity {last['diversity/similarity']:.3f}, accuracy {last['diversity/accuracy']:.3f}"
    )


if __name__ == "__main__":
    main()
