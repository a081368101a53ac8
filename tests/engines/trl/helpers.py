"""A small training run, in one call: tiny model, few prompts, rewards that vary within groups."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from polypath import DiversityGRPOConfig, DiversityGRPOTrainer
from polypath.core.rewards import TaskReward
from polypath.core.verdicts import completion_text
from tests.rehearsal.adder import Addition
from tests.rounding import F32, rounding

OPTIONS: dict[str, Any] = {
    "per_device_train_batch_size": 4,
    "num_generations": 4,
    "max_completion_length": 6,
    "max_steps": 2,
    "learning_rate": 1e-2,
    "lr_scheduler_type": "constant",
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": [],
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "seed": 1,
}
# Plain gradient descent without clipping: a difference of parameters is a difference of gradients.
SGD: dict[str, Any] = {"optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 0.0}


def rows(count: int = 8, *, chat: bool = False) -> list[dict[str, Any]]:
    """Return rows of a training set: additions of small numbers."""
    texts = [f"solve {i} + {i % 3} =" for i in range(count)]
    return [
        {"prompt": [{"role": "user", "content": text}] if chat else text, "gold": str(i + i % 3)}
        for i, text in enumerate(texts)
    ]


def noise(text: str) -> int:
    """Return a number that depends on the text in no useful way."""
    return zlib.crc32(text.encode())


def coin(completions: Sequence[Any], **_: Any) -> list[float]:
    """Reward about half of all completions."""
    return [float(noise(completion_text(c)) % 2) for c in completions]


def dice(completions: Sequence[Any], **_: Any) -> list[float | None]:
    """Reward in [0, 1); None for a third of all completions."""
    numbers = [noise("dice" + completion_text(c)) % 12 for c in completions]
    return [n / 12 if n % 3 else None for n in numbers]


def few(text: str, row: dict[str, Any]) -> str | None:
    """Return one of three answers, or None, so that answers repeat."""
    del row
    return str(len(text) % 3) if text else None


def make(
    model: Path | str | torch.nn.Module,
    folder: Path,
    *,
    data: Any = None,
    rewards: Any = coin,
    stock: bool = False,
    trainer_class: type[GRPOTrainer] = DiversityGRPOTrainer,
    trainer_options: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Build a trainer; ``stock`` builds trl's own."""
    settings = {"output_dir": str(folder), **OPTIONS, **options}
    functions = rewards if isinstance(rewards, list) else [rewards]
    if not stock and not any(hasattr(function, "solution") for function in functions):
        settings.setdefault("solution_fn", "text")
    config = (GRPOConfig if stock else DiversityGRPOConfig)(**settings)
    return (GRPOTrainer if stock else trainer_class)(
        model=model if isinstance(model, torch.nn.Module) else str(model),
        reward_funcs=rewards,
        args=config,
        train_dataset=Dataset.from_list(rows()) if data is None else data,
        **(trainer_options or {}),
    )


def train(model: Path | str | torch.nn.Module, folder: Path, **options: Any) -> Any:
    """Build a trainer as ``make`` does, train it and return it."""
    trainer = make(model, folder, **options)
    trainer.train()
    return trainer


def parameters(trainer: Any) -> dict[str, torch.Tensor]:
    """Return a copy of all parameters by name."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the largest absolute difference over all parameters."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def step_rounding(parameters: dict[str, torch.Tensor], steps: int = 2) -> float:
    """Return by how much equal runs of plain gradient descent may differ, from rounding alone.

    A gradient sums products over about a hundred tokens and some tens of features in another order:
    about the root of their number, a hundred roundings. A step adds a tenth of it (the learning rate)
    and rounds the parameter.
    """
    size = max(float(tensor.abs().max()) for tensor in parameters.values())
    return rounding(steps * (100 * SGD["learning_rate"] + 1), size, F32)


def logged(trainer: Any, name: str) -> list[float]:
    """Return what was logged under a name, step by step."""
    return [line[name] for line in trainer.state.log_history if name in line]


class FixedCompletions(DiversityGRPOTrainer):
    """Completions are a function of prompt and place in the group, not of process or random state.

    So runs that lay out the same global batch differently train on the same completions. Between 0
    and ``max_completion_length - 1`` tokens and the end; some are equal within their group.
    """

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *_: Any, **__: Any
    ) -> tuple[list[list[int]], None]:
        group = self.num_generations if self.model.training else self.num_generations_eval
        first = self.accelerator.process_index * len(prompt_ids)
        end = self._tokenizer.eos_token_id
        made = []
        for row, prompt in enumerate(prompt_ids):
            place = (first + row) % group
            seed = noise(f"{prompt}{place // 2 if place < 2 else place}{self.state.global_step}")
            generator = torch.Generator().manual_seed(seed)
            size = int(torch.randint(0, self.max_completion_length, (1,), generator=generator))
            tokens = torch.randint(6, 30, (size,), generator=generator).tolist()
            made.append([*tokens, end])
        return made, None


class CountedForwards(FixedCompletions):
    """Count the forwards of training and probes on this process."""

    forwards = 0

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        self.forwards += 1
        return super()._get_per_token_logps_and_entropies(*args, **kwargs)


class Recorder(TrainerCallback):
    """Keep the gradient-free view of every step: parameters before the first and after each."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        del args, state, control
        self.seen.append({n: p.detach().clone() for n, p in model.named_parameters()})


def addition_rows() -> list[dict[str, Any]]:
    """Return the addition task as rows of a training set."""
    return [{"prompt": p.prompt, "gold": p.gold} for p in Addition().problems("train")]


def all_terms(rehearsal: Path, **options: Any) -> dict[str, Any]:
    """Return what ``make`` needs to train the adder with every method on at once."""
    return {
        "data": Dataset.from_list(addition_rows()),
        "rewards": TaskReward(Addition()),
        "max_completion_length": 4,
        "dra": True,
        "dra_negative_reward": "invert",
        "positive_entropy_coef": 0.1,
        "rehearsal_set": str(rehearsal),
        "rehearsal_coef": 0.5,
        "rehearsal_share": 0.5,
        **options,
    }
