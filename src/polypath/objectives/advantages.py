"""Rewards of a group to advantages: GRPO and Dr. GRPO.

GRPO: Shao 2024, "DeepSeekMath", arXiv:2402.03300, section 4.1. Dr. GRPO: Liu 2025, "Understanding
R1-Zero-Like Training", arXiv:2503.20783, section 3.2, which drops the division by the deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from polypath.checks import check_shapes
from polypath.errors import ConfigError, DataError
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

Scale = Literal["group", "batch", "none"]

# Two rounding steps of float32. Rewards arrive in float32, so a group whose rewards differ by less
# holds one reward, written down twice.
ROUNDING = 2.0**-22


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig:
    """How rewards become advantages.

    Attributes:
        scale: divide by the standard deviation of the ``group`` (GRPO), of the whole ``batch``, or
            by nothing (``none``, Dr. GRPO).
        eps: added to the deviation; >= 0. TRL uses 1e-4, verl 1e-6.
    """

    scale: Scale = "group"
    eps: float = 1e-4

    def __post_init__(self) -> None:
        if self.scale not in get_args(Scale):
            raise ConfigError(
                f"scale must be one of {', '.join(get_args(Scale))}, got {self.scale!r}."
            )
        if not 0 <= self.eps < float("inf"):
            raise ConfigError(f"eps must be a finite number of at least 0, got {self.eps}.")


def group_advantages(config: AdvantageConfig, rewards_P_G: Tensor) -> Tensor:
    r"""Return advantages of shape ``(P, G)``, in float64.

    .. math:: A_i = \frac{r_i - \mathrm{mean}(r)}{\mathrm{std}(r) + \epsilon}

    with the unbiased standard deviation. NaN marks a completion that no reward function scored: it
    is left out of mean and deviation and gets advantage 0.

    A group whose rewards are all equal gets exactly 0, also when they are equal only up to float32
    rounding. In float32 arithmetic, as engines do it, such a group gets a signal out of nothing:
    three equal rewards one rounding step apart have advantages up to -0.03 at ``eps=1e-6``.

    Args:
        config: settings.
        rewards_P_G: rewards, one row per prompt. Any float type. No gradient reaches them.

    Raises:
        ShapeError: the rewards are not 2-D.
        DataError: a reward is infinite.
    """
    check_shapes(rewards_P_G=rewards_P_G)
    check_finite_rewards(rewards_P_G)
    rewards_P_G = rewards_P_G.detach().double()
    scored_P_G = ~rewards_P_G.isnan()
    count_P = scored_P_G.sum(dim=1, keepdim=True)
    filled_P_G = rewards_P_G.masked_fill(~scored_P_G, 0.0)
    mean_P = filled_P_G.sum(dim=1, keepdim=True) / count_P.clamp(min=1)
    centred_P_G = (filled_P_G - mean_P).masked_fill(~scored_P_G | constant_groups(rewards_P_G), 0.0)
    if config.scale == "group":
        variance_P = centred_P_G.square().sum(dim=1, keepdim=True) / (count_P - 1).clamp(min=1)
        return _divide(centred_P_G, variance_P.sqrt() + config.eps)
    if config.scale == "batch":
        scored = rewards_P_G[scored_P_G]
        deviation = scored.std() if scored.numel() > 1 else scored.new_zeros(())
        return _divide(centred_P_G, deviation + config.eps)
    return centred_P_G


def _divide(centred_P_G: Tensor, deviation: Tensor) -> Tensor:
    """Divide, leaving the zeros of constant groups zeros: at ``eps=0`` they would be 0 / 0."""
    return torch.where(centred_P_G == 0, centred_P_G, centred_P_G / deviation)


def check_finite_rewards(rewards_P_G: Tensor) -> None:
    """Raise ``DataError`` on an infinite reward: no mean or deviation of its group exists."""
    infinite_P_G = rewards_P_G.isinf()
    if infinite_P_G.any():
        prompt, completion = infinite_P_G.nonzero()[0].tolist()
        raise DataError(
            f"rewards_P_G[{prompt}, {completion}] is {rewards_P_G[prompt, completion].item()}; "
            "expected finite numbers, or NaN where no reward function scored. "
            "Check the reward functions."
        )


def constant_groups(rewards_P_G: Tensor) -> Tensor:
    """Return ``(P, 1)`` booleans: whether all scored rewards of the group are the same number.

    Numbers closer than ``ROUNDING`` relative to the largest are the same. A group without any scored
    reward counts as constant.
    """
    unscored_P_G = rewards_P_G.isnan()
    highest_P = rewards_P_G.masked_fill(unscored_P_G, -torch.inf).amax(dim=1, keepdim=True)
    lowest_P = rewards_P_G.masked_fill(unscored_P_G, torch.inf).amin(dim=1, keepdim=True)
    size_P = torch.maximum(highest_P.abs(), lowest_P.abs())
    return (highest_P - lowest_P <= ROUNDING * size_P) | unscored_P_G.all(dim=1, keepdim=True)
