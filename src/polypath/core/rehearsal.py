"""The rehearsal term of a step: which stored rows it uses, and what they add to the loss."""

import warnings
from dataclasses import dataclass, field
from typing import Any, ClassVar

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


@dataclass
class MicroSteps:
    """Counts the micro-steps of each optimizer step."""

    _step: int = field(default=-1, init=False)
    _micro_step: int = field(default=0, init=False)

    def __call__(self, step: int) -> int:
        """Return the number of the micro-step of this optimizer step that begins, from 0."""
        self._micro_step = self._micro_step + 1 if step == self._step else 0
        self._step = step
        return self._micro_step


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

    name: ClassVar = "rehearsal"

    config: RehearsalConfig
    member: Active[Divergence]
    stored: RehearsalSet
    rows_per_step: int
    pad_token_id: int
    seed: int
    _schedule: RehearsalSchedule = field(init=False)
    _micro_steps: MicroSteps = field(default_factory=MicroSteps, init=False)

    def __post_init__(self) -> None:
        self._schedule = RehearsalSchedule(
            num_rows=len(self.stored), rows_per_step=self.rows_per_step, seed=self.seed
        )

    def next_batch(
        self, *, step: int, micro_steps: int, processes: Processes, device: torch.device
    ) -> RehearsalBatch:
        """Return the rows for the next micro-step of optimizer step ``step`` on this process."""
        micro_step = self._micro_steps(step) % micro_steps
        rows = self._schedule.part(step, micro_step, micro_steps, processes.rank, processes.world)
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
        total, known_B_T = rehearsal_term(
            self.member,
            logp_B_T,
            batch.ref_logp_B_T,
            batch.completion_mask,
            step_tokens=float(batch.step_tokens),
            means=means,
        )
        if first:
            tokens = batch.completion_mask.sum()
            sums = processes.sum(torch.stack([known_B_T.abs().sum().float(), tokens.float()]))
            check_start(self.config, float(sums[0]) / max(float(sums[1]), 1.0))
        return total * processes.world


def rehearsal_term(
    member: Active[Divergence],
    logp_B_T: Tensor,
    ref_logp_B_T: Tensor,
    mask_B_T: Tensor,
    *,
    step_tokens: Tensor | float,
    means: TokenMeans,
    name: str = "rehearsal",
) -> tuple[Tensor, Tensor]:
    """Return a part of the divergence's mean over a step's stored tokens, and log it.

    Args:
        member: the divergence.
        logp_B_T: log-probabilities of stored completions under the policy, with gradient.
        ref_logp_B_T: those that are stored.
        mask_B_T: 1 on the tokens of stored completions.
        step_tokens: stored tokens of the whole optimizer step, over all processes.
        means: where ``rehearsal/...`` is logged.
        name: logged instead of ``rehearsal``.

    Returns:
        The sum over these tokens divided by ``step_tokens``, and the log-ratios, 0 outside the mask.
    """
    log_ratio_B_T = logp_B_T - ref_logp_B_T
    term = divergence(member.entry, member.config, log_ratio_B_T, mask_B_T)
    total = token_sum(term.loss_B_T, mask_B_T, tokens=step_tokens)
    # Not by index, because that would make a GPU wait.
    known_B_T = torch.where(mask_B_T.bool(), log_ratio_B_T.detach(), 0.0)
    tokens = mask_B_T.sum()
    means.add(f"{name}/divergence", total.detach() * step_tokens, tokens)
    means.add(f"{name}/log_ratio", known_B_T.sum(), tokens)
    means.add(f"{name}/log_ratio_abs", known_B_T.abs().sum(), tokens)
    for statistic, values_B_T in term.statistics.items():
        means.add_tokens(f"{name}/{statistic}", values_B_T, mask_B_T)
    return total, known_B_T


def check_start(config: RehearsalConfig, mean_abs_log_ratio: float) -> None:
    """Refuse to continue if the first forward does not reproduce the stored log-probabilities.

    Args:
        config: settings of the term.
        mean_abs_log_ratio: mean size of the log-ratio over the rehearsal tokens, before any update.

    Raises:
        ConfigError: it is above ``rehearsal_tolerance``.
    """
    if not mean_abs_log_ratio <= config.tolerance:
        raise ConfigError(
            f"The log-ratio to the rehearsal set {config.folder} must be 0 before the first "
            f"update, but its mean size is {mean_abs_log_ratio:.4g} (rehearsal_tolerance "
            f"{config.tolerance}): this model, its dtype or its dropout is not what made the "
            "set. Run `polypath presample` with the settings of this run."
        )


def exploration_rows(dataset: Any, excluded: frozenset[str]) -> Any:
    """Return the dataset without the problems that are rehearsed (or dropped) and not explored.

    Warns when none of them is in the dataset.

    Args:
        dataset: of the library ``datasets``, with a column ``prompt``; ``None`` is returned as it is.
        excluded: ``RehearsalSet.excluded_prompts``.

    Raises:
        ConfigError: nothing would be left to explore.
    """
    if dataset is None or not excluded:
        return dataset
    # filter() would pickle this module's state for its cache, which is not worth it for a few seconds.
    options = {"load_from_cache_file": False} if hasattr(dataset, "num_rows") else {}
    kept = dataset.filter(lambda row: not _is_excluded(row["prompt"], excluded), **options)
    if hasattr(kept, "num_rows") and kept.num_rows == 0:
        raise ConfigError(
            f"The rehearsal set takes all {dataset.num_rows} training problems out of exploration. "
            "Raise the presample threshold, or set rehearsal_explore_only to false."
        )
    if hasattr(kept, "num_rows") and kept.num_rows == dataset.num_rows:
        warnings.warn(
            f"rehearsal_explore_only: none of the {len(excluded)} problems that the rehearsal set takes out "
            "of exploration is in the training data, so all of it is explored. If it should be there, "
            "presample with the prompts of the training data.",
            stacklevel=3,
        )
    return kept


def _is_excluded(prompt: Any, excluded: frozenset[str]) -> bool:
    """Return whether a prompt is one of these; a chat of one user message is also its text."""
    if prompt_key(prompt) in excluded:
        return True
    alone = not isinstance(prompt, str) and len(prompt) == 1 and prompt[0].get("role") == "user"
    text = prompt[0].get("content") if alone else None
    return isinstance(text, str) and prompt_key(text) in excluded
