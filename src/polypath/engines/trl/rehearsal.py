"""The rehearsal term as the trainer sees it: which rows now, and what they add to the loss."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate.utils import DistributedType
from torch import Tensor
from transformers.training_args import OptimizerNames

from polypath.engines.trl.config import DiversityGRPOConfig
from polypath.errors import ConfigError
from polypath.objectives.aggregate import token_sum
from polypath.objectives.divergences import capped, divergence
from polypath.rehearsal import RehearsalSchedule, RehearsalSet, prompt_key


@dataclass(frozen=True, kw_only=True)
class RehearsalBatch:
    """The rows of one micro-step on one process.

    Attributes:
        prompt_ids: ``(B, L)``, left-padded; prompt_mask likewise.
        completion_ids: ``(B, T)``, right-padded; completion_mask likewise.
        ref_logp_B_T: stored reference log-probabilities.
        step_tokens: completion tokens of all rows of the optimizer step, over all processes.
    """

    prompt_ids: Tensor
    prompt_mask: Tensor
    completion_ids: Tensor
    completion_mask: Tensor
    ref_logp_B_T: Tensor
    step_tokens: int


@dataclass
class Rehearsal:
    """Serves the rows of a rehearsal set to the processes of a run.

    Which rows come next is a pure function of the seed, the optimizer step, the micro-step and the
    rank, so nothing of it needs saving in a checkpoint.

    Attributes:
        config: settings of the run.
        stored: the rehearsal set.
        rows_per_step: rehearsal rows of one optimizer step over all processes.
        pad_token_id: fills the padding.
    """

    config: DiversityGRPOConfig
    stored: RehearsalSet
    rows_per_step: int
    pad_token_id: int
    _schedule: RehearsalSchedule = field(init=False)
    _step: int = field(default=-1, init=False)
    _micro_step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Build the schedule."""
        self._schedule = RehearsalSchedule(
            num_rows=len(self.stored), rows_per_step=self.rows_per_step, seed=self.config.seed
        )

    def next_batch(
        self, *, step: int, micro_steps: int, rank: int, world: int, device: torch.device
    ) -> RehearsalBatch:
        """Return the rows for the next micro-step of optimizer step ``step`` on this process."""
        self._micro_step = self._micro_step + 1 if step == self._step else 0
        self._step = step
        step_rows = self._schedule.rows(step)
        rows = self._schedule.shard(step, self._micro_step % micro_steps, micro_steps, rank, world)
        tensors = self.stored.batch(rows, self.pad_token_id)
        lengths = self.stored.completion_lengths
        return RehearsalBatch(
            prompt_ids=tensors["prompt_ids"].to(device),
            prompt_mask=tensors["prompt_mask"].to(device),
            completion_ids=tensors["completion_ids"].to(device),
            completion_mask=tensors["completion_mask"].to(device),
            ref_logp_B_T=tensors["ref_logps"].to(device),
            step_tokens=sum(lengths[row] for row in step_rows),
        )

    def loss(self, logp_B_T: Tensor, batch: RehearsalBatch) -> Tensor:
        """Return this micro-step's part of the divergence's mean over the step's tokens."""
        log_ratio_B_T = logp_B_T - batch.ref_logp_B_T
        values_B_T = divergence(self.config.divergence_config, log_ratio_B_T, batch.completion_mask)
        return token_sum(values_B_T, batch.completion_mask, tokens=float(batch.step_tokens))

    def statistics(self, logp_B_T: Tensor, batch: RehearsalBatch) -> dict[str, Tensor]:
        """Return sums over this micro-step's tokens: log-ratio, its size, capped tokens, tokens."""
        mask_B_T = batch.completion_mask.bool()
        # Not by index, which would make a GPU wait.
        log_ratio = torch.where(mask_B_T, logp_B_T.detach() - batch.ref_logp_B_T, 0.0)
        over_B_T = capped(self.config.divergence_config, log_ratio) & mask_B_T
        return {
            "log_ratio": log_ratio.sum(),
            "log_ratio_abs": log_ratio.abs().sum(),
            "capped": over_B_T.sum(),
            "tokens": mask_B_T.sum(),
        }

    def check_start(self, mean_abs_log_ratio: float) -> None:
        """Refuse to go on when the first forward does not reproduce the stored log-probabilities.

        Raises:
            ConfigError: naming the size of the difference and what can cause it.
        """
        if not mean_abs_log_ratio <= self.config.rehearsal_tolerance:
            raise ConfigError(
                f"The log-ratio to the rehearsal set {self.config.rehearsal_set} must be 0 before the "
                f"first update, but its mean size is {mean_abs_log_ratio:.4g} (rehearsal_tolerance "
                f"{self.config.rehearsal_tolerance}): this model, its dtype or its dropout is not "
                "what made the set. Run `polypath presample` with the settings of this run."
            )


def two_backwards(trainer: Any) -> bool:
    """Return whether the policy's gradients may be computed before the rehearsal forward.

    The sum of the gradients is the same, and the activations of only one forward are in memory. Not
    with FSDP, which would gather and scatter the parameters' gradients twice, nor where a backward
    already moves parameters (LOMO) or counts as a step (DeepSpeed).
    """
    plain = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
    return (
        trainer.accelerator.distributed_type in plain
        and trainer.args.n_gpu <= 1
        and trainer.args.optim not in (OptimizerNames.LOMO, OptimizerNames.ADALOMO)
    )


def rows_per_step(config: DiversityGRPOConfig, world: int) -> int:
    """Return rehearsal rows per optimizer step: the configured share, rounded up to fit evenly."""
    pieces = world * int(config.gradient_accumulation_steps)
    rows = int(config.per_device_train_batch_size) * config.rehearsal_share
    return pieces * max(1, math.ceil(rows))


def exploration_rows(dataset: Any, excluded: frozenset[str]) -> Any:
    """Return the dataset without the problems that are rehearsed (or dropped) instead of explored.

    Raises:
        ConfigError: nothing would be left to explore.
    """
    if dataset is None or not excluded:
        return dataset
    # The cache of filter() would pickle this module's state for a pass of a few seconds.
    options = {"load_from_cache_file": False} if hasattr(dataset, "num_rows") else {}
    kept = dataset.filter(lambda row: prompt_key(row["prompt"]) not in excluded, **options)
    if hasattr(kept, "num_rows") and kept.num_rows == 0:
        raise ConfigError(
            f"The rehearsal set takes all {dataset.num_rows} training problems out of exploration. "
            "Raise the presample threshold, or set rehearsal_explore_only to false."
        )
    return kept
