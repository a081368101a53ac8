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
        self._parts: dict[str, tuple[float, float]] = {}  # of the micro-steps so far

    def _append(self, name: str, value: float) -> None:
        mode = "train" if self._trainer.model.training else "eval"
        self._trainer._metrics[mode][name].append(value)

    def _append_mean(self, name: str, total: float, count: float) -> None:
        """Add to a step's mean, and log it when this is the step's last micro-step."""
        so_far = self._parts.pop(name, (0.0, 0.0))
        total, count = so_far[0] + total, so_far[1] + count
        if self._trainer.model.training and not self._trainer.accelerator.sync_gradients:
            self._parts[name] = (total, count)
        else:
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
        values: list[Tensor] = list(gradients.values())
        with_entropy = entropy_B_T is not None and correct_B is not None
        if entropy_B_T is not None and correct_B is not None:
            right_B_T = mask_B_T.bool() & correct_B.bool().unsqueeze(1)
            wrong_B_T = mask_B_T.bool() & ~correct_B.bool().unsqueeze(1)
            entropy = entropy_B_T.detach()
            for chosen_B_T in (right_B_T, wrong_B_T):
                values += [entropy[chosen_B_T].sum(), chosen_B_T.sum()]
        if not values:
            return
        sums = self._sum(values)
        total = np.nansum(sums[: len(gradients)])
        if len(gradients) > 1:
            for name, size in zip(gradients, sums, strict=False):
                self._append_mean(f"gradient_share/{name}", size, float(total))
        if with_entropy:
            right, num_right, wrong, num_wrong = sums[len(gradients) :]
            self._append_mean("diversity/entropy_correct", right, num_right)
            self._append_mean("diversity/entropy_wrong", wrong, num_wrong)

    def mean(self, name: str, values_B_T: Tensor, mask_B_T: Tensor) -> None:
        """Log the mean over all masked tokens."""
        total, count = self._sum([(values_B_T * mask_B_T).sum(), mask_B_T.sum()])
        self._append_mean(name, total, count)

    def rehearsal(
        self, rehearsal: Rehearsal, logp_B_T: Tensor, batch: RehearsalBatch, loss: Tensor
    ) -> float:
        """Log the rehearsal term and return the mean size of the log-ratio over all processes."""
        parts = rehearsal.statistics(logp_B_T, batch)
        *sums, tokens, part, step_tokens, world = self._sum(
            [
                parts["log_ratio"],
                parts["log_ratio_abs"],
                parts["capped"],
                parts["tokens"],
                loss,
                loss.new_tensor(float(batch.step_tokens)),
                loss.new_ones(()),
            ]
        )
        log_ratio, log_ratio_abs, over = sums
        # The loss of a micro-step is its part of the step's mean; rescale it to its own tokens.
        divergence = part / world * (step_tokens / world)
        self._append_mean("rehearsal/divergence", divergence, tokens)
        self._append_mean("rehearsal/log_ratio", log_ratio, tokens)
        self._append_mean("rehearsal/log_ratio_abs", log_ratio_abs, tokens)
        self._append_mean("rehearsal/cap_fraction", over, tokens)
        return log_ratio_abs / max(tokens, 1.0)
