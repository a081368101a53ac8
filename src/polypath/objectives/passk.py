r"""Pass@k training: the advantage of a completion is its contribution to the largest reward of k.

Chen 2025, "Pass@k Training for Adaptively Balancing Exploration and Exploitation", arXiv:2508.10751,
"analytical derivation". Authors' code: RUCAIBox/Passk_Training@00474d7, code/passk_adv.py. The formula is
the code's; of the paper, summaries were read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypath.objectives.advantages import ROUNDING, constant_groups
from polypath.objectives.entries import Advantage
from polypath.objectives.subsets import by_scored_groups, largest_of_subsets
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PassKConfig:
    """Settings of pass@k training."""

    k: int = setting(
        4,
        "k of pass@k, at least 2 and at most num_generations. The paper uses several; the default is ours.",
        within="[2, inf)",
    )

    def __post_init__(self) -> None:
        check_settings(self, "passk")


def passk_advantages(config: PassKConfig, rewards_P_G: Tensor) -> Tensor:
    r"""Return advantages of shape ``(P, G)``, in float64.

    .. math:: A_i = \frac{\mathrm{mean}_{S \ni i} \max_S r - \mathrm{mean}_S \max_S r}
                         {\mathrm{std}_S \max_S r}

    over the subsets S of k completions of the group. With rewards of 0 and 1 and c right ones of n, the
    mean is :math:`\rho = 1 - C(n-c, k) / C(n, k)`, the deviation :math:`\sqrt{\rho (1 - \rho)}`, and the
    first mean is 1 for a right one and :math:`1 - C(n-c-1, k-1) / C(n-1, k-1)` for a wrong one.

    A group in which every subset has the same largest reward gets exactly 0: also one with right and
    wrong completions, where fewer than k are wrong. NaN marks a completion that no reward function
    scored: it is left out and gets 0.

    Args:
        config: settings.
        rewards_P_G: rewards, one row per prompt. Any float type. No gradient reaches them.

    Raises:
        ShapeError: the rewards are not 2-D.
        DataError: a reward is infinite.

    Differs from the authors' code:
        1. Theirs takes rewards of exactly 0 and 1; here any rewards, as their largest is all that counts.
        2. They add 1e-6 to the deviation. Here nothing is added, and a deviation of 0 gives 0.
    """
    advantages_P_G = by_scored_groups(rewards_P_G, config.k, _standardised)
    return advantages_P_G.masked_fill(constant_groups(rewards_P_G), 0.0)


def _standardised(rewards_R_n: Tensor, k: int) -> Tensor:
    mean_R_1, variance_R_1, own_R_n = largest_of_subsets(rewards_R_n, k)
    std_R_1 = variance_R_1.sqrt()
    silent_R_1 = std_R_1 <= ROUNDING * rewards_R_n.abs().amax(dim=1, keepdim=True)
    return torch.where(silent_R_1, 0.0, (own_R_n - mean_R_1) / std_R_1)


PASSK = Advantage(
    name="passk",
    config=PassKConfig,
    function=passk_advantages,
    least_group=lambda config: config.k,
    line="Rewards a completion for its contribution to pass@k, over all subsets of k with it.",
    paper="Chen 2025, Pass@k Training, arXiv:2508.10751",
)
