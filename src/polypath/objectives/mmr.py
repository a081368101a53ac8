r"""MMR-GRPO: rewards by maximal marginal relevance, the greedy order of search engines.

Wei 2026, "MMR-GRPO: Accelerating GRPO-Style Training through Diversity-Aware Reward Reweighting",
arXiv:2601.09085. Authors' code: WeiKangda/MMR-GRPO@db07f71, src/open_r1/trl/trainer/grpo_trainer.py:85-233.
The formula is the code's; of the paper, the README was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.objectives.advantages import check_finite_rewards
from polypath.objectives.clusters import finite_similarity
from polypath.objectives.entries import RewardAdjustment
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class MMRConfig:
    """Settings of maximal marginal relevance."""

    weight: float | None = setting(
        None,
        "Lambda, weight of the reward against similarity, in [0, 1]. Unset (the authors' recipes): the "
        "sigmoid of the standard deviation of the group's rewards. 0.7 is the authors' fixed value.",
        within="[0, 1]",
        key="mmr_lambda",
    )

    def __post_init__(self) -> None:
        check_settings(self, "mmr")


def mmr_rewards(config: MMRConfig, rewards_P_G: Tensor, similarity_P_G_G: Tensor) -> Tensor:
    r"""Return adjusted rewards of shape ``(P, G)``, in float64.

    The completion with the largest reward comes first and keeps it. Then, again and again, the one with
    the largest

    .. math:: \lambda r_i - (1 - \lambda) \max\left( 0, \max_{j \text{ before } i} s_{ij} \right)

    comes next, and gets this as its reward. Of two with the same value the one that was sampled first
    comes first. NaN (not scored) stays NaN and is in no order.

    Args:
        config: settings.
        rewards_P_G: rewards; NaN if nothing scored the completion. No gradient reaches them.
        similarity_P_G_G: symmetric, 1 on the diagonal, in [-1, 1].

    Returns:
        Adjusted rewards, between the lowest of 0 and the rewards minus 1, and the largest reward.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.
        ConfigError: the similarity holds NaN or infinity.

    Differs from the authors' code: theirs orders all completions of a step together, of whatever prompt;
    here each group has its order and its lambda.
    """
    check_shapes(rewards_P_G=rewards_P_G, similarity_P_G_G=similarity_P_G_G)
    check_finite_rewards(rewards_P_G)
    rewards_P_G = rewards_P_G.detach().double()
    similarity_P_G_G = finite_similarity(similarity_P_G_G, rewards_P_G)
    lambda_P_1 = _lambda(config, rewards_P_G)
    adjusted_P_G = torch.full_like(rewards_P_G, torch.nan)
    left_P_G = ~rewards_P_G.isnan()
    closest_P_G = torch.zeros_like(rewards_P_G)
    prompts = torch.arange(len(rewards_P_G), device=rewards_P_G.device)
    value_P_G = rewards_P_G
    for _ in range(rewards_P_G.shape[1]):
        open_P_G = torch.where(left_P_G, value_P_G, -torch.inf)
        # The first of equals: argmax promises no order.
        best_P = (open_P_G == open_P_G.amax(dim=1, keepdim=True)).int().argmax(dim=1)
        taken_P = left_P_G[prompts, best_P]  # none is left where all others are NaN
        kept_P = torch.where(taken_P, value_P_G[prompts, best_P], adjusted_P_G[prompts, best_P])
        adjusted_P_G[prompts, best_P] = kept_P
        left_P_G[prompts, best_P] = False
        near_P_G = similarity_P_G_G[prompts, best_P]
        closest_P_G = torch.where(
            taken_P.unsqueeze(1), torch.maximum(closest_P_G, near_P_G), closest_P_G
        )
        value_P_G = lambda_P_1 * rewards_P_G - (1.0 - lambda_P_1) * closest_P_G
    return adjusted_P_G


def _lambda(config: MMRConfig, rewards_P_G: Tensor) -> Tensor:
    """Return the weight of the reward for each group, ``(P, 1)``."""
    if config.weight is not None:
        return torch.full_like(rewards_P_G[:, :1], config.weight)
    mean_P_1 = rewards_P_G.nanmean(dim=1, keepdim=True)
    variance_P_1 = (rewards_P_G - mean_P_1).square().nanmean(dim=1, keepdim=True)
    return variance_P_1.nan_to_num(0.0).sqrt().sigmoid()


MMR = RewardAdjustment(
    name="mmr",
    config=MMRConfig,
    function=mmr_rewards,
    family="pay less for copies",
    line="Ranks a group by reward and novelty, and pays less for similarity to higher ranks.",
    paper="Wei 2026, MMR-GRPO, arXiv:2601.09085",
)
