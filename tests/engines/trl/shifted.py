"""A sampler in vLLM's place whose log-probabilities are not the trainer's, and the gradient by hand.

``ShiftedSampler`` stands where TRL has its vLLM; all else of TRL's vLLM branch runs: weights are asked
for, log-probabilities padded, ratios formed, rows shuffled and split.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import trl.trainer.grpo_trainer
from torch import Tensor
from torch.distributed.elastic.multiprocessing.errors import record

from polypath import DiversityGRPOTrainer
from polypath.objectives.divergences import divergence
from polypath.train.run import leave_process_group
from tests.engines.trl.helpers import SGD, all_terms, coin, noise, parameters, train

Row = tuple[tuple[int, ...], tuple[int, ...]]  # prompt and completion


def logp_and_entropy(model: Any, prompt: Any, completion: Any) -> tuple[Tensor, Tensor]:
    """Return both for each token of one completion, without padding or batching."""
    ids = torch.tensor([[*prompt, *completion]])
    log_all = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    logp = log_all.gather(1, torch.tensor(completion)[:, None])[:, 0]
    return logp, -(log_all.exp() * log_all).sum(-1)


def shift(row: Row, size: float) -> list[float]:
    """Return how far the sampler's log-probabilities are off: a number for every token of a row."""
    return [size * (noise(f"{row}{place}") % 2001 / 1000 - 1) for place in range(len(row[1]))]


class ShiftedSampler:
    """Takes what ``trl.generation.vllm_generation.VLLMGeneration`` does, and generates as it would.

    A completion is a function of its prompt and place in the group, with 1 to
    ``max_completion_length`` tokens; one of each group is cut off before its end.
    """

    size = 0.5

    def __init__(self, model: Any, accelerator: Any, processing_class: Any, **options: Any) -> None:
        self.model, self.accelerator = model, accelerator
        self.end = processing_class.eos_token_id
        self.longest = options["max_completion_length"]
        self.drawn: list[Row] = []
        self.synced = 0

    def sync_weights(self) -> None:
        self.synced += 1

    @torch.no_grad()
    def generate(
        self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any
    ) -> tuple[list[list[int]], list[list[int]], list[list[list[float]]], None]:
        assert images is None
        del profiler
        first = self.accelerator.process_index * len(prompts)
        made, logps = [], []
        for number, prompt in enumerate(prompts):
            place = (first + number) % num_generations
            generator = torch.Generator().manual_seed(noise(f"{prompt}{place}{self.synced}"))
            length = int(torch.randint(0, self.longest, (1,), generator=generator))
            length = self.longest if place == 0 else length
            tokens = torch.randint(6, 30, (length,), generator=generator).tolist()
            completion = tokens if place == 0 else [*tokens, self.end]
            row = (tuple(prompt), tuple(completion))
            own = logp_and_entropy(self.model, *row)[0].tolist()
            logps.append([[a + b] for a, b in zip(own, shift(row, self.size), strict=True)])
            made.append(completion)
            self.drawn.append(row)
        return prompts, made, logps, None


class Recorded(DiversityGRPOTrainer):
    """Write down the advantages of every row, and the rehearsal batches."""

    advantages: dict[Row, float]
    rehearsed: list[Any]

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        drawn = self.vllm_generation.drawn[-len(batch["advantages"]) :]
        found = zip(drawn, batch["advantages"].tolist(), strict=True)
        self.advantages = {**getattr(self, "advantages", {}), **dict(found)}
        return batch

    def _rehearsal_loss(self, model: Any, rehearsal: Any, batch: Any, sizes: Any) -> Tensor:
        self.rehearsed = [*getattr(self, "rehearsed", []), batch]
        return super()._rehearsal_loss(model, rehearsal, batch, sizes)


@dataclass
class Reference:
    """The loss of an optimizer step by hand, row by row, in float64.

    Attributes:
        trainer: has trained on a generation; gives rows, advantages and settings.
        old: log-probabilities of each row under the policy before the first step.
    """

    trainer: Any
    old: dict[Row, Tensor] = field(default_factory=dict)

    def ratio(self, row: Row) -> Tensor:
        """Return TRL's importance sampling ratio, one number per token."""
        args = self.trainer.args
        if not args.vllm_importance_sampling_correction:
            return torch.ones(len(row[1]), dtype=torch.float64)
        mode = args.vllm_importance_sampling_mode
        log_ratio = -torch.tensor(shift(row, self.trainer.vllm_generation.size)).double()
        if mode.startswith("sequence"):
            log_ratio = log_ratio.sum().expand(len(row[1]))
        ratio = log_ratio.exp()
        low = args.vllm_importance_sampling_clip_min or 0.0
        high = args.vllm_importance_sampling_clip_max
        if mode.endswith("truncate"):
            return ratio.clamp(low, high)
        return torch.where((ratio < low) | (ratio > high), 0.0, ratio)

    def loss(self, model: Any, rehearsed: list[Any]) -> Tensor:
        """Return the loss of a step on all rows, with TRL's ``grpo`` normalisation."""
        args = self.trainer.args
        total = torch.zeros((), dtype=torch.float64)
        rows = self.trainer.vllm_generation.drawn
        for row in rows:
            logp, entropy = logp_and_entropy(model, *row)
            old = self.old.setdefault(row, logp.detach())
            rho, weight, advantage = (
                (logp - old).exp(),
                self.ratio(row),
                self.trainer.advantages[row],
            )
            clipped = rho.clamp(1 - args.epsilon, 1 + args.epsilon)
            tokens = -torch.min(rho * advantage, clipped * advantage) * weight
            text = self.trainer._tokenizer.decode(row[1], skip_special_tokens=True)
            if coin([text]) == [1.0]:
                term = {
                    "paper": rho * logp,
                    "detached": rho * logp.detach(),
                    "exact": -entropy,
                }[args.positive_entropy_form]
                tokens = tokens + args.positive_entropy_coef * weight * term
            total = total + tokens.mean() / len(rows)
        member = args.objectives.divergence
        for batch in rehearsed:
            for prompt, completion, stored in _unpadded(batch):
                logp, _ = logp_and_entropy(model, prompt, completion)
                tokens = divergence(member.entry, member.config, logp - stored).loss_B_T
                total = total + args.rehearsal_coef * tokens.sum() / batch.step_tokens
        return total


def _unpadded(batch: Any) -> Iterator[tuple[list[int], list[int], Tensor]]:
    for row in range(len(batch.prompt_ids)):
        kept = batch.completion_mask[row].bool()
        prompt = batch.prompt_ids[row][batch.prompt_mask[row].bool()].tolist()
        yield prompt, batch.completion_ids[row][kept].tolist(), batch.ref_logp_B_T[row][kept]


def double(folder: Any) -> Any:
    """Load a model in float64."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)


def main(model: Path, rehearsal: Path, out: Path) -> None:
    """Train with everything on in this process's layout; the main process saves the parameters."""
    from safetensors.torch import save_file

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    trl.trainer.grpo_trainer.VLLMGeneration = ShiftedSampler
    for mode in ("token_truncate", "sequence_mask"):
        options = all_terms(rehearsal, rehearsal_share=1.0, max_completion_length=6)
        options.update(
            **SGD,
            rewards=coin,
            use_vllm=True,
            vllm_mode="colocate",
            vllm_importance_sampling_mode=mode,
            vllm_importance_sampling_clip_max=1.3,
            vllm_importance_sampling_clip_min=0.8,
            loss_type="grpo",
            per_device_train_batch_size=4 // processes,
            gradient_accumulation_steps=2,
            max_steps=2,
        )
        trainer = train(double(model), out / "run", **options)
        if trainer.accelerator.is_main_process:
            save_file(parameters(trainer), out / f"{mode}.safetensors")


if __name__ == "__main__":
    record(main)(*map(Path, sys.argv[1:]))  # the launcher then tells why a process failed
    leave_process_group()
