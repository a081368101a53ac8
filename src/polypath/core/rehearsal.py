"""The rehearsal term of a step: which stored rows it uses, and what they add to the loss."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polypath.core.processes import Processes
from polypath.core.rehearsal_settings import RehearsalConfig
from polypath.core.statistics import TokenMeans
from polypath.errors import ConfigError
from polypath.objectives import Active, Divergence, divergence
from polypath.objectives.aggregate import token_sum
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


@dataclass(kw_only=True)
class Rehearsal:
    """Gives the rows of a rehearsal set to the processes of a run.

    The next rows are a pure function of the seed, the optimizer step, the micro-step and the
    rank, so a checkpoint need not save anything about them.

    Attributes:
        config: settings of the term.
        member: the divergence.
        stored: the rehearsal set.
        rows_per_step: rehearsal rows of one optimizer step over all processes.
        pad_token_id: id that fills the padding.
        seed: seed of the order of the rows.
    """

    config: RehearsalConfig
    member: Active[Divergence]
    stored: RehearsalSet
    rows_per_step: int
    pad_token_id: int
    seed: int
    _schedule: RehearsalSchedule = field(init=False)
    _step: int = field(default=-1, init=False)
    _micro_step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._schedule = RehearsalSchedule(
            num_rows=len(self.stored), rows_per_step=self.rows_per_step, seed=self.seed
        )

    def next_batch(
        self, *, step: int, micro_steps: int, processes: Processes, device: torch.device
    ) -> RehearsalBatch:
        """Return the rows for the next micro-step of optimizer step ``step`` on this process."""
        self._micro_step = self._micro_step + 1 if step == self._step else 0
        self._step = step
        rows = self._schedule.part(
            step, self._micro_step % micro_steps, micro_steps, processes.rank, processes.world
        )
        tensors = self.stored.batch(rows, self.pad_token_id)
        lengths = self.stored.completion_lengths
        return RehearsalBatch(
            prompt_ids=tensors["prompt_ids"].to(device),
            prompt_mask=tensors["prompt_mask"].to(device),
            completion_ids=tensors["completion_ids"].to(device),
            completion_mask=tensors["completion_mask"].to(device),
            ref_logp_B_T=tensors["ref_logps"].to(device),
            step_tokens=sum(lengths[row] for row in self._schedule.rows(step)),
        )

    def loss(
        self,
        logp_B_T: Tensor,
        batch: RehearsalBatch,
        *,
        first: bool,
        processes: Processes,
        means: TokenMeans,
    ) -> Tensor:
        """Return this micro-step's share of the divergence's mean over the step's tokens, and log it.

        The share is for a loss that is averaged over processes and summed over micro-steps.

        Args:
            logp_B_T: log-probabilities of the stored completions under the policy, with gradient.
            batch: the rows.
            first: whether no update was made yet; the log-ratio must then be 0.
            processes: processes that share the step.
            means: where ``rehearsal/...`` is logged.

        Raises:
            ConfigError: the first log-ratio is not 0 up to ``rehearsal_tolerance``.
        """
        mask_B_T = batch.completion_mask
        log_ratio_B_T = logp_B_T - batch.ref_logp_B_T
        term = divergence(self.member.entry, self.member.config, log_ratio_B_T, mask_B_T)
        total = token_sum(term.loss_B_T, mask_B_T, tokens=float(batch.step_tokens))
        # Not by index, because that would make a GPU wait.
        known_B_T = torch.where(mask_B_T.bool(), log_ratio_B_T.detach(), 0.0)
        tokens = mask_B_T.sum()
        means.add("rehearsal/divergence", total.detach() * batch.step_tokens, tokens)
        means.add("rehearsal/log_ratio", known_B_T.sum(), tokens)
        means.add("rehearsal/log_ratio_abs", known_B_T.abs().sum(), tokens)
        for name, values_B_T in term.statistics.items():
            means.add_tokens(f"rehearsal/{name}", values_B_T, mask_B_T)
        if first:
            sums = processes.sum(torch.stack([known_B_T.abs().sum().float(), tokens.float()]))
            self._check_start(float(sums[0]) / max(float(sums[1]), 1.0))
        return total * processes.world

    def _check_start(self, mean_abs_log_ratio: float) -> None:
        """Refuse to continue if the first forward does not reproduce the stored log-probabilities."""
        if not mean_abs_log_ratio <= self.config.tolerance:
            raise ConfigError(
                f"The log-ratio to the rehearsal set {self.config.folder} must be 0 before the first "
                f"update, but its mean size is {mean_abs_log_ratio:.4g} (rehearsal_tolerance "
                f"{self.config.tolerance}): this model, its dtype or its dropout is not what made the "
                "set. Run `polypath presample` with the settings of this run."
            )


def exploration_rows(dataset: Any, excluded: frozenset[str]) -> Any:
    """Return the dataset without the problems that are rehearsed (or dropped) and not explored.

    Raises:
        ConfigError: nothing would be left to explore.
    """
    if dataset is None or not excluded:
        return dataset
    # filter() would pickle this module's state for its cache, which is not worth it for a few seconds.
    options = {"load_from_cache_file": False} if hasattr(dataset, "num_rows") else {}
    kept = dataset.filter(lambda row: prompt_key(row["prompt"]) not in excluded, **options)
    if hasattr(kept, "num_rows") and kept.num_rows == 0:
        raise ConfigError(
            f"The rehearsal set takes all {dataset.num_rows} training problems out of exploration. "
            "Raise the presample threshold, or set rehearsal_explore_only to false."
        )
    return kept
