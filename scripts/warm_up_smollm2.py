"""Warm a chat model up on word problems: `python scripts/warm_up_smollm2.py MODEL OUT`.

SmolLM2 as it is solves next to no word problems, and where no sample is right, reinforcement learning has
nothing to start from. This is a short supervised training on the demonstrations of
`word_problem_demonstrations.py`, problems of the part `base` only.

The loss is on the completions only. OUT appears when the training is over, whole.
"""

import argparse
import itertools
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from transformers.utils.logging import disable_progress_bar
from trl import SFTConfig, SFTTrainer

from polypath.errors import ConfigError
from word_problem_demonstrations import demonstrations


def rows(seed: int, count: int) -> Dataset:
    """Return demonstrations as TRL takes them: a chat prompt and the message that completes it."""
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": one.problem.text}],
                "completion": [{"role": "assistant", "content": one.completion}],
            }
            for one in itertools.islice(demonstrations(seed), count)
        ]
    )


def warm_up(
    model: Path,
    out: Path,
    *,
    steps: int = 200,
    batch: int = 64,
    learning_rate: float = 1e-4,
    seed: int = 0,
    cpu: bool = False,
) -> list[float]:
    """Train a model on demonstrations and save it with its tokenizer.

    Args:
        model: folder of a model with a chat template.
        out: folder to write.
        steps: optimizer steps; each sees new demonstrations.
        batch: demonstrations of a step.
        learning_rate: the highest; it rises over a tenth of the steps and falls in a cosine.
        seed: of the demonstrations and their order.
        cpu: train on the CPU even if there is a GPU.

    Returns:
        The loss of every step, in nats a token.

    Raises:
        ConfigError: ``out`` exists.
    """
    if out.exists():
        raise ConfigError(
            f"{out} exists already; expected a new folder. Name another, or remove it."
        )
    on_gpu = torch.cuda.is_available() and not cpu
    config = SFTConfig(
        output_dir=str(out.with_name(f"{out.name}.training")),
        model_init_kwargs={"dtype": torch.float32},
        max_steps=steps,
        per_device_train_batch_size=batch,
        learning_rate=learning_rate,
        warmup_steps=steps // 10,
        lr_scheduler_type="cosine",
        max_length=256,  # the longest demonstration has 140 tokens of SmolLM2's
        completion_only_loss=True,
        gradient_checkpointing=False,
        bf16=on_gpu,
        use_cpu=not on_gpu,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=seed,
    )
    disable_progress_bar()
    trainer = SFTTrainer(str(model), args=config, train_dataset=rows(seed, steps * batch))
    trainer.train()
    trainer.model.save_pretrained(config.output_dir)  # without the trainer's pickle
    trainer.processing_class.save_pretrained(config.output_dir)
    Path(config.output_dir).rename(out)
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def main() -> None:
    """Warm up the model that the command names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="folder of a model with a chat template")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=64, help="demonstrations of a step")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu", action="store_true", help="train on the CPU")
    args = vars(parser.parse_args())
    try:
        losses = warm_up(args.pop("model"), args.pop("out"), **args)
    except ConfigError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"loss {losses[0]:.3f} at the first step, {losses[-1]:.3f} at the last of {len(losses)}")


if __name__ == "__main__":
    main()
