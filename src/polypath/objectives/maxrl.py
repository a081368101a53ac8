"""MaxRL: divide centred rewards by the mean reward of the group, so that hard problems weigh more.

Tajwar 2026, "Maximum Likelihood Reinforcement Learning", arXiv:2602.02710. Authors' code:
tajwarfahim/maxrl.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.errors import DataError
from polypath.objectives.advantages import check_finite_rewards, constant_groups
from polypath.objectives.entries import Advantage
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MaxRLConfig:
    """Settings of MaxRL."""

    eps: float = setting(
        0.0,
        "Added to the group's mean reward in the denominator, at least 0. The authors' code "
        "adds a small number.",
        within="[0, inf)",
    )

    def __post_init__(self) -> None:
        check_settings(self, "maxrl")


def maxrl_advantages(config: MaxRLConfig, rewards_P_G: Tensor) -> Tensor:
    r"""Return advantages of shape ``(P, G)``, in float64.

    .. math:: A_i = \frac{r_i - \mathrm{mean}(r)}{\mathrm{mean}(r) + \epsilon}

    With rewards of 0 and 1, success probability p and :math:`\epsilon = 0`, the mean over a group of
    :math:`A_i \nabla \log \pi(o_i)` is an unbiased estimate of the gradient of
    :math:`-\sum_{k=1}^{G-1} (1 - p)^k / k`, the first G - 1 terms of the series of :math:`\log p`. (The
    last of G terms goes with the groups that have no reward, which get 0.)

    A group whose rewards are all equal gets exactly 0. NaN marks a completion that no reward function
    scored: it is left out of the mean and gets 0.

    Args:
        config: settings.
        rewards_P_G: rewards of at least 0, one row per prompt. Any float type. No gradient reaches them.

    Raises:
        ShapeError: the rewards are not 2-D.
        DataError: a reward is infinite or below 0.
    """
    check_shapes(rewards_P_G=rewards_P_G)
    check_finite_rewards(rewards_P_G)
    rewards_P_G = rewards_P_G.detach().double()
    if (rewards_P_G < 0).any():
        lowest = rewards_P_G[~rewards_P_G.isnan()].min().item()
        raise DataError(
            f"advantage maxrl divides by the mean reward of a group, so rewards must be at least 0, got "
            f"{lowest:g}. Shift the reward functions, or use another advantage."
        )
    mean_P_1 = rewards_P_G.nanmean(dim=1, keepdim=True)
    silent_P_G = rewards_P_G.isnan() | constant_groups(rewards_P_G)
    advantages_P_G = (rewards_P_G - mean_P_1) / (mean_P_1 + config.eps)
    return torch.where(silent_P_G, 0.0, advantages_P_G)


MAXRL = Advantage(
    name="maxrl",
    config=MaxRLConfig,
    function=maxrl_advantages,
    line="Divides centred rewards by the group's mean reward, so that problems solved rarely weigh more.",
    paper="Tajwar 2026, Maximum Likelihood Reinforcement Learning, arXiv:2602.02710",
)
