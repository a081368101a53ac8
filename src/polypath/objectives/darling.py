r"""DARLING: a reward times, or plus, the share of the group that is unlike the completion.

Li 2025, "Jointly Reinforcing Diversity and Quality in Language Model Generations", arXiv:2509.02534.
Authors' code: facebookresearch/darling@c07a323, verl/verl/utils/reward_score/
partition_reward_vllm_serve.py:212-249 and verl/verl/trainer/ppo/ray_trainer.py:1201-1263.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from polypath.checks import check_shapes
from polypath.errors import ConfigError
from polypath.objectives.advantages import check_finite_rewards
from polypath.objectives.clusters import THRESHOLD, cluster_sizes
from polypath.objectives.correct_part import weigh_correct
from polypath.objectives.entries import RewardAdjustment
from polypath.settings import check_settings, setting

if TYPE_CHECKING:
    from torch import Tensor

Combine = Literal["multiply", "add"]


@dataclass(frozen=True, kw_only=True)
class DARLINGConfig:
    """Settings of DARLING."""

    combine: Combine = setting(
        "multiply",
        "How diversity and reward become one. multiply (paper): the reward of a correct completion times its "
        "diversity. add: every reward plus weight times diversity, of wrong completions, too.",
    )
    threshold: float = setting(0.5, THRESHOLD, within="[-1, 1)")
    floor: float = setting(
        0.1,
        "Lowest diversity, in [0, 1] (authors' code): the factor of a completion that all others resemble.",
        within="[0, 1]",
    )
    weight: float = setting(
        1.0, "Weight of the diversity, at least 0; for add only.", within="[0, inf)"
    )

    def __post_init__(self) -> None:
        check_settings(self, "darling")
        if self.combine == "multiply" and self.weight != 1.0:
            raise ConfigError(
                f"darling_weight is for darling_combine add, got {self.weight:g} with multiply. Set "
                "darling_combine to add, or leave darling_weight out."
            )


def darling_rewards(
    config: DARLINGConfig,
    rewards_P_G: Tensor,
    similarity_P_G_G: Tensor,
    correct_rewards_P_G: Tensor | None = None,
) -> Tensor:
    r"""Return adjusted rewards of shape ``(P, G)``, in float64.

    .. math:: \tilde r_i = r_i \max\left( \frac{n - |c_i|}{n - 1}, floor \right)

    with :math:`c_i` the cluster of the completion among the n scored ones of its group, right or wrong. For
    ``add``, the second factor is added, times ``weight``. A group with one scored completion stays as it
    is. NaN stays NaN.

    Args:
        config: settings.
        rewards_P_G: rewards; NaN if nothing scored the completion. No gradient reaches them.
        similarity_P_G_G: symmetric, 1 on the diagonal, in [-1, 1].
        correct_rewards_P_G: as in ``polypath.objectives.correct_part``; for ``multiply``.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.
        ConfigError: the similarity holds NaN or infinity.

    Differs from the authors' code: a trained classifier says what is alike; here any similarity does.
    ``multiply`` leaves rewards for form, and those of wrong completions, as they are.
    """
    check_shapes(rewards_P_G=rewards_P_G, similarity_P_G_G=similarity_P_G_G)
    scored_P_G = ~rewards_P_G.isnan()
    sizes_P_G = cluster_sizes(similarity_P_G_G, scored_P_G, config.threshold)
    n_P_1 = scored_P_G.sum(dim=1, keepdim=True)
    diversity_P_G = ((n_P_1 - sizes_P_G) / (n_P_1 - 1).clamp(min=1)).clamp(min=config.floor)
    alone_P_1 = n_P_1 < 2
    if config.combine == "add":
        bonus_P_G = (config.weight * diversity_P_G).masked_fill(alone_P_1, 0.0)
        check_finite_rewards(rewards_P_G)
        return rewards_P_G.detach().double() + bonus_P_G
    weights_P_G = diversity_P_G.masked_fill(alone_P_1, 1.0)
    return weigh_correct(rewards_P_G, weights_P_G, correct_rewards_P_G)


DARLING = RewardAdjustment(
    name="darling",
    config=DARLINGConfig,
    function=darling_rewards,
    family="pay less for copies",
    line="Multiplies (or adds to) a reward the share of the group that is unlike the completion.",
    paper="Li 2025, Jointly Reinforcing Diversity and Quality (DARLING), arXiv:2509.02534",
)
