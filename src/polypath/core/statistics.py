"""Live statistics: pure functions of arrays, and means over micro-steps and processes.

docs/metrics.md explains each name. NaN means that there was nothing to measure (for example, no wrong
completion in the batch).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from polypath.core.processes import Processes
from polypath.metrics.group import group_statistics
from polypath.metrics.solutions import encode_solutions


def group_metrics(
    solutions_P_G: Sequence[Sequence[str | None]] | None,
    correct_P_G: Tensor | npt.NDArray[np.bool_],
    similarity_P_G_G: Tensor | None = None,
    scored_P_G: Tensor | npt.NDArray[np.bool_] | None = None,
) -> dict[str, float]:
    """Return accuracy and diversity of generated groups, under their logged names.

    Args:
        solutions_P_G: canonical solutions; None for a completion without one. ``None`` as a whole means
            that nothing defines a solution; then everything that counts solutions is left out.
        correct_P_G: which completions are correct.
        similarity_P_G_G: similarities, if they were computed.
        scored_P_G: which completions are known to be correct or wrong; ``None``: all.
    """
    correct = np.asarray(correct_P_G.cpu() if isinstance(correct_P_G, Tensor) else correct_P_G)
    scored = scored_P_G.cpu().numpy() if isinstance(scored_P_G, Tensor) else scored_P_G
    known = solutions_P_G is not None
    statistics = group_statistics(
        encode_solutions(solutions_P_G)
        if solutions_P_G is not None
        else np.zeros(correct.shape, int),
        correct,
        None if similarity_P_G_G is None else similarity_P_G_G.cpu().numpy(),
        scored,
    )
    among = correct if scored is None else correct[scored]
    return {
        "diversity/accuracy": float(among.mean()) if among.size else np.nan,
        **{
            f"diversity/{name}": value
            for name, value in statistics.items()
            if known or not name.startswith(("distinct", "duplicate"))
        },
    }


def adjustment_metrics(rewards_P_G: Tensor, adjusted_P_G: Tensor) -> dict[str, float]:
    """Return the mean adjusted reward, and mean and deviation of adjusted / raw where raw is not 0."""
    rewards_P_G, adjusted_P_G = rewards_P_G.double(), adjusted_P_G.double()
    known_P_G = (rewards_P_G != 0) & ~rewards_P_G.isnan()
    weights = (adjusted_P_G / rewards_P_G)[known_P_G].cpu().numpy()
    return {
        "diversity/adjusted_reward": float(adjusted_P_G.nanmean()),
        "diversity/reward_weight_mean": float(np.mean(weights)) if weights.size else np.nan,
        "diversity/reward_weight_std": float(np.std(weights)) if weights.size else np.nan,
    }


def gradient_sizes(
    terms: Mapping[str, Tensor], logp_B_T: Tensor, mask_B_T: Tensor
) -> dict[str, Tensor]:
    r"""Return for each term the sum over tokens of :math:`|\partial term / \partial \log \pi|`.

    The value of a policy loss says nothing (on-policy it is 0 whatever its gradient). So terms are
    compared by how hard they pull on the log-probabilities. A term without a path through
    them (the exact entropy) has size NaN. This is cheap: nothing is propagated into the model.
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


class TokenMeans:
    """Means over the tokens of an optimizer step, over all its micro-steps and processes.

    Parts stay on the device until ``flush``, which takes one collective for all of them.
    """

    def __init__(self) -> None:
        self._parts: dict[str, tuple[Tensor, Tensor]] = {}

    def add(self, name: str, total: Tensor, count: Tensor) -> None:
        """Add this micro-step's part of a mean: a sum, and the number of values in it."""
        so_far = self._parts.get(name)
        if so_far is not None:
            total, count = so_far[0] + total, so_far[1] + count
        self._parts[name] = (total.detach(), count.detach())

    def add_tokens(self, name: str, values_B_T: Tensor, mask_B_T: Tensor) -> None:
        """Add a value per token. Values outside the mask are ignored."""
        # A product with the mask would keep a NaN of a masked token; indexing waits for the device.
        kept_B_T = torch.where(mask_B_T.bool(), values_B_T.detach(), 0)
        self.add(name, kept_B_T.sum(), mask_B_T.sum())

    def add_shares(self, prefix: str, sizes: Mapping[str, Tensor]) -> None:
        """Add each size as a share of their sum; add nothing if there is only one."""
        if len(sizes) > 1:
            total = torch.stack(list(sizes.values())).nansum()
            for name, size in sizes.items():
                self.add(f"{prefix}/{name}", size, total)

    def add_entropy(
        self, entropy_B_T: Tensor, mask_B_T: Tensor, correct_B: Tensor, scored_B: Tensor
    ) -> None:
        """Add the entropy on tokens of correct and of wrong completions. Unscored ones are left out."""
        right_B = correct_B.bool()
        for name, chosen_B in (("correct", right_B), ("wrong", ~right_B & scored_B)):
            chosen_B_T = mask_B_T * chosen_B.unsqueeze(1)
            self.add_tokens(f"diversity/entropy_{name}", entropy_B_T, chosen_B_T)

    def flush(self, processes: Processes) -> dict[str, float]:
        """Return the means over all processes, and reset their parts. A mean over nothing is NaN."""
        if not self._parts:
            return {}
        parts, self._parts = self._parts, {}
        stacked = torch.stack([value.float() for pair in parts.values() for value in pair])
        sums = processes.sum(stacked).tolist()
        return {
            name: total / count if count else np.nan
            for name, total, count in zip(parts, sums[::2], sums[1::2], strict=True)
        }
