r"""Outcome-based exploration within the batch: a penalty on answers that repeat in the group.

Song 2025, "Outcome-based Exploration for LLM Reasoning", arXiv:2509.06941, its batch exploration. The
abstract and summaries were read. Its historical form is in ``history_exploration``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.objectives.advantages import check_finite_rewards
from polypath.objectives.clusters import THRESHOLD, cluster_sizes
from polypath.objectives.entries import RewardAdjustment
from polypath.settings import check_settings, setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class BatchExplorationConfig:
    """Settings of batch exploration."""

    c: float = setting(
        0.5,
        "c, weight of the penalty, at least 0. The default is ours: below 1, a correct answer that all "
        "others give keeps more reward than a rare wrong one.",
        within="[0, inf)",
    )
    threshold: float = setting(0.5, THRESHOLD, within="[-1, 1)")

    def __post_init__(self) -> None:
        check_settings(self, "batch_exploration")


def batch_exploration_rewards(
    config: BatchExplorationConfig, rewards_P_G: Tensor, similarity_P_G_G: Tensor
) -> Tensor:
    r"""Return adjusted rewards of shape ``(P, G)``, in float64.

    .. math:: \tilde r_i = r_i - c \frac{1}{n} \sum_{j \ne i} 1(a_j = a_i)

    over the n scored completions of the group, right or wrong; two have the same answer where they are in
    one cluster. NaN (not scored) stays NaN and is not counted.

    Args:
        config: settings.
        rewards_P_G: rewards; NaN if nothing scored the completion. No gradient reaches them.
        similarity_P_G_G: symmetric, 1 on the diagonal, in [-1, 1]. ``similarity: answer`` is the paper's.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.
        ConfigError: the similarity holds NaN or infinity.
    """
    check_shapes(rewards_P_G=rewards_P_G, similarity_P_G_G=similarity_P_G_G)
    check_finite_rewards(rewards_P_G)
    scored_P_G = ~rewards_P_G.isnan()
    again_P_G = cluster_sizes(similarity_P_G_G, scored_P_G, config.threshold) - 1.0
    n_P_1 = scored_P_G.sum(dim=1, keepdim=True).clamp(min=1)
    return rewards_P_G.detach().double() - config.c * again_P_G / n_P_1


BATCH_EXPLORATION = RewardAdjustment(
    name="batch_exploration",
    config=BatchExplorationConfig,
    function=batch_exploration_rewards,
    family="pay less for copies",
    line="Subtracts a penalty from a reward for each other completion with the same answer.",
    paper="Song 2025, Outcome-based Exploration for LLM Reasoning, arXiv:2509.06941",
)
