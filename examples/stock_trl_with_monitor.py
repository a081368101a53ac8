"""See collapse in a stock TRL run: nothing is changed but one callback.

python examples/stock_trl_with_monitor.py --steps 40
"""

import argparse

from trl import GRPOConfig, GRPOTrainer

from polypath import CollapseMonitor, TaskReward, task_dataset
from polypath.tasks import get_task
from polypath.tasks.shipped import base_model_dir


def main() -> None:
    """Train, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40, help="optimizer steps")
    parser.add_argument("--probe", type=int, default=64, help="held-out problems to probe")
    parser.add_argument("--out", default="runs/stock_trl_with_monitor")
    options = parser.parse_args()
    task = get_task("countdown")
    trainer = GRPOTrainer(
        model=str(base_model_dir()),
        reward_funcs=TaskReward(task),
        args=GRPOConfig(
            output_dir=options.out,
            per_device_train_batch_size=128,
            num_generations=16,
            max_completion_length=task.max_completion_length,
            max_steps=options.steps,
            learning_rate=1e-4,
            logging_steps=10,
            save_strategy="no",
            bf16=False,
            report_to="none",
        ),
        train_dataset=task_dataset(task, "train"),
    )
    monitor = CollapseMonitor(trainer, task, task.problems("dev", options.probe), every=20)
    trainer.add_callback(monitor)
    trainer.train()
    for probe in monitor.history:
        print(
            f"step {probe['step']:4.0f}: pass@1 {probe['pass@1']:.3f}, pass@16 {probe['pass@16']:.3f}, "
            f"distinct correct {probe['distinct_correct']:.2f}"
        )


if __name__ == "__main__":
    main()
