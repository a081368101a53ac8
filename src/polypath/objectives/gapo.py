r"""GAPO: rewards that favour a uniform distribution over valid answers.

Anschel 2025, "Group-Aware Reinforcement Learning for Output Diversity in Large Language Models",
arXiv:2511.12596, its frequency-aware reward. The abstract and others' copies of its equations were read;
no code was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.objectives.clusters import THRESHOLD, cluster_sizes
from polypath.objectives.correct_part import correct_part
from polypath.objectives.entries import RewardAdjustment
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GAPOConfig:
    """Settings of the frequency-aware reward."""

    threshold: float = setting(0.5, THRESHOLD, within="[-1, 1)")
    answers: int = setting(
        0,
        "L, number of valid answers of a problem, at least 1. 0: as many as the group has clusters of "
        "correct completions.",
        within="[0, inf)",
    )
    invalid: float = setting(
        -1.0,
        "Added to the reward of a wrong completion, in [-10, 0]; -1 is the paper's, whose invalid answers "
        "have no reward.",
        within="[-10, 0]",
    )

    def __post_init__(self) -> None:
        check_settings(self, "gapo")


def gapo_rewards(
    config: GAPOConfig,
    rewards_P_G: Tensor,
    similarity_P_G_G: Tensor,
    correct_P_G: Tensor,
    correct_rewards_P_G: Tensor | None = None,
) -> Tensor:
    r"""Return adjusted rewards of shape ``(P, G)``, in float64.

    .. math:: \tilde r_i = r_i \left( 1 - \left( f_i - \frac{1}{L} \right) \right)
              \text{ where correct, } r_i + invalid \text{ where wrong}

    with :math:`f_i` the share of the group's correct completions that are in the cluster of i. At
    :math:`f_i = 1 / L`, the uniform distribution, a correct completion keeps its reward. Only the correct
    part of a reward is weighted. NaN (not scored) stays NaN and is in no share.

    Args:
        config: settings.
        rewards_P_G: rewards; NaN if nothing scored the completion. No gradient reaches them.
        similarity_P_G_G: symmetric, 1 on the diagonal, in [-1, 1].
        correct_P_G: which completions are correct.
        correct_rewards_P_G: as in ``polypath.objectives.correct_part``.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.
        ConfigError: the similarity holds NaN or infinity.

    Differs from the paper: its valid answers are a known list, and every valid answer has reward 1.
    """
    check_shapes(
        rewards_P_G=rewards_P_G, similarity_P_G_G=similarity_P_G_G, correct_P_G=correct_P_G
    )
    part_P_G = correct_part(rewards_P_G, correct_rewards_P_G)
    right_P_G = correct_P_G.to(rewards_P_G.device).bool() & ~rewards_P_G.isnan()
    sizes_P_G = cluster_sizes(similarity_P_G_G, right_P_G, config.threshold)
    n_P_1 = right_P_G.sum(dim=1, keepdim=True).clamp(min=1)
    clusters_P_1 = torch.where(right_P_G, 1.0 / sizes_P_G, 0.0).sum(dim=1, keepdim=True)
    answers_P_1 = torch.full_like(clusters_P_1, config.answers) if config.answers else clusters_P_1
    excess_P_G = sizes_P_G / n_P_1 - 1.0 / answers_P_1.clamp(min=1.0)
    change_P_G = torch.where(right_P_G, -part_P_G * excess_P_G, config.invalid)
    return rewards_P_G.detach().double() + change_P_G


GAPO = RewardAdjustment(
    name="gapo",
    config=GAPOConfig,
    function=gapo_rewards,
    family="pay less for copies",
    line="Pays a correct completion more if its answer is rarer than a uniform share.",
    paper="Anschel 2025, Group-Aware Policy Optimization (GAPO), arXiv:2511.12596",
)
