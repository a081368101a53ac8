"""What is logged live. Everything here is measured over all processes and changes no number of training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor

from polypath.engines.trl.rehearsal import Rehearsal, RehearsalBatch
from polypath.metrics.group import group_statistics
from polypath.metrics.solutions import encode_solutions

if TYPE_CHECKING:
    from polypath.engines.trl.trainer import DiversityGRPOTrainer

T = TypeVar("T")


def in_groups(rows: Sequence[T], group_size: int) -> list[list[T]]:
    """Cut rows in group order into groups."""
    return [list(rows[start : start + group_size]) for start in range(0, len(rows), group_size)]


class Telemetry:
    """Appends to the trainer's metrics under ``diversity/``, ``rehearsal/`` and the like.

    docs/metrics.md explains each name. NaN means that there was nothing to measure (no wrong
    completion in the batch, say); TRL leaves it out of the average.

    Means over tokens are taken over an optimizer step, not over its micro-steps: which rows are in
    one micro-step depends on the number of processes, which rows are in the step does not.
    """

    def __init__(self, trainer: "DiversityGRPOTrainer") -> None:
        self._trainer = trainer
        self._pending: dict[str, tuple[Tensor, Tensor]] = {}

    def _append(self, name: str, value: float) -> None:
        mode = "train" if self._trainer.model.training else "eval"
        self._trainer._metrics[mode][name].append(value)

    def _add(self, name: str, total: Tensor, count: Tensor) -> None:
        """Add this process's part of a mean; it stays on the device until ``flush``."""
        so_far = self._pending.get(name)
        if so_far is not None:
            total, count = so_far[0] + total, so_far[1] + count
        self._pending[name] = (total.detach(), count.detach())

    def flush(self) -> None:
        """Log the means that are complete: after a step's last micro-step, or an evaluation batch.

        One collective and one wait for the device in a step, whatever is on.
        """
        training = self._trainer.model.training
        if not self._pending or (training and not self._trainer.accelerator.sync_gradients):
            return
        pending, self._pending = self._pending, {}
        sums = self._sum([value for pair in pending.values() for value in pair])
        for name, total, count in zip(pending, sums[::2], sums[1::2], strict=True):
            self._append(name, total / count if count else np.nan)

    def _sum(self, values: Sequence[Tensor]) -> list[float]:
        """Sum scalars over all processes, in one collective."""
        stacked = torch.stack([value.detach().float() for value in values])
        total: Tensor = self._trainer.accelerator.reduce(stacked, reduction="sum")
        return [float(value) for value in total.tolist()]

    def groups(
        self,
        *,
        correct_P_G: Tensor,
        rewards_P_G: Tensor,
        adjusted_P_G: Tensor,
        similarity_P_G_G: Tensor | None,
        solutions: list[str | None],
    ) -> None:
        """Log what the generated groups look like; the arguments hold all processes' groups."""
        group_size = correct_P_G.shape[1]
        statistics = group_statistics(
            encode_solutions(in_groups(solutions, group_size)),
            correct_P_G.cpu().numpy(),
            None if similarity_P_G_G is None else similarity_P_G_G.cpu().numpy(),
        )
        self._append("diversity/accuracy", float(correct_P_G.float().mean()))
        for name, value in statistics.items():
            self._append(f"diversity/{name}", value)
        self._append("diversity/adjusted_reward", float(adjusted_P_G.nanmean()))
        rewards = rewards_P_G.double()
        weights = (adjusted_P_G.double() / rewards)[(rewards != 0) & ~rewards.isnan()].cpu().numpy()
        self._append(
            "diversity/reward_weight_mean", float(np.mean(weights)) if weights.size else np.nan
        )
        self._append(
            "diversity/reward_weight_std", float(np.std(weights)) if weights.size else np.nan
        )

    def gradient_sizes(
        self, terms: dict[str, Tensor], logp_B_T: Tensor, mask_B_T: Tensor
    ) -> dict[str, Tensor]:
        r"""Return for each term the sum over tokens of :math:`|\partial term / \partial \log \pi|`.

        The value of a policy loss says nothing (on-policy it is 0 whatever its gradient), so terms
        are compared by how hard they pull on the log-probabilities. A term without a path through
        them (the exact entropy) has size NaN. Cheap: nothing is propagated into the model.
        """
        sizes = {}
        for name, term in terms.items():
            (gradient,) = (
                torch.autograd.grad(term, logp_B_T, retain_graph=True, allow_unused=True)
                if term.requires_grad
                else (None,)
            )
            if gradient is None:
                sizes[name] = logp_B_T.new_full((), torch.nan)
            else:
                sizes[name] = (gradient.abs() * mask_B_T).sum().detach()
        return sizes

    def forward(
        self,
        entropy_B_T: Tensor | None,
        mask_B_T: Tensor,
        correct_B: Tensor | None,
        gradients: dict[str, Tensor],
    ) -> None:
        """Log entropy on correct and on wrong completions, and each term's share of the gradient."""
        if len(gradients) > 1:
            total = torch.stack(list(gradients.values())).nansum()
            for name, size in gradients.items():
                self._add(f"gradient_share/{name}", size, total)
        if entropy_B_T is not None and correct_B is not None:
            # A product with the mask would keep a NaN of a masked token; indexing waits for the device.
            entropy = torch.where(mask_B_T.bool(), entropy_B_T.detach(), 0.0)
            right_B_1 = correct_B.bool().unsqueeze(1)
            for name, chosen_B_1 in (("correct", right_B_1), ("wrong", ~right_B_1)):
                self._add(
                    f"diversity/entropy_{name}",
                    (entropy * chosen_B_1).sum(),
                    (mask_B_T * chosen_B_1).sum(),
                )

    def mean(self, name: str, values_B_T: Tensor, mask_B_T: Tensor) -> None:
        """Log the mean over all masked tokens."""
        self._add(name, (values_B_T * mask_B_T).sum(), mask_B_T.sum())

    def rehearsal(
        self, rehearsal: Rehearsal, logp_B_T: Tensor, batch: RehearsalBatch, loss: Tensor
    ) -> None:
        """Log the rehearsal term. ``loss`` is this process's part of a mean over processes."""
        parts = rehearsal.statistics(logp_B_T, batch)
        tokens = parts["tokens"]
        # The loss of a micro-step is its part of the step's mean over tokens; here its sum over tokens.
        world = self._trainer.accelerator.num_processes
        self._add("rehearsal/divergence", loss.detach() / world * batch.step_tokens, tokens)
        self._add("rehearsal/log_ratio", parts["log_ratio"], tokens)
        self._add("rehearsal/log_ratio_abs", parts["log_ratio_abs"], tokens)
        self._add("rehearsal/cap_fraction", parts["capped"], tokens)
        if self._trainer.state.global_step == 0:
            size, count = self._sum([parts["log_ratio_abs"], tokens])
            rehearsal.check_start(size / max(count, 1.0))
