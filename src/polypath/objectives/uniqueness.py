r"""Uniqueness-aware RL: an advantage is divided by the size of the cluster of its completion.

Hu 2026, "Rewarding the Rare: Uniqueness-Aware RL for Creative Problem Solving in LLMs",
arXiv:2601.08763. The abstract and others' summaries of its equations were read; no code was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from polypath.checks import check_shapes
from polypath.objectives.advantages import check_finite_rewards
from polypath.objectives.clusters import THRESHOLD, cluster_sizes
from polypath.objectives.entries import Advantage
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

Weighted = Literal["correct", "all"]


@dataclass(frozen=True, kw_only=True)
class UniquenessConfig:
    """Settings of uniqueness-aware advantages."""

    alpha: float = setting(
        1.0,
        "Alpha, exponent of the cluster's size, in [0, 1]. 0 changes nothing. Summaries of the paper give no "
        "value.",
        within="[0, 1]",
    )
    threshold: float = setting(0.5, THRESHOLD, within="[-1, 1)")
    weighted: Weighted = setting(
        "correct",
        "Advantages that are weighted: positive ones of correct completions, or all. With all, a wrong "
        "completion that resembles others is punished less than a rare one.",
    )

    def __post_init__(self) -> None:
        check_settings(self, "uniqueness")


def uniqueness_advantages(
    config: UniquenessConfig,
    rewards_P_G: Tensor,
    base_advantages_P_G: Tensor,
    similarity_P_G_G: Tensor,
    correct_P_G: Tensor,
) -> Tensor:
    r"""Return advantages of shape ``(P, G)``, in float64.

    .. math:: A_i = f_i^{-\alpha} A_i^{base}

    with :math:`f_i` the size of the completion's cluster: among the correct ones for ``correct``, among
    all scored ones for ``all``. NaN (not scored) is left out and gets 0.

    Args:
        config: settings.
        rewards_P_G: rewards, one row per prompt; NaN if nothing scored the completion.
        base_advantages_P_G: advantages by the engine's own rule (TRL: ``scale_rewards``); 0 if nothing scored
            the completion.
        similarity_P_G_G: symmetric, 1 on the diagonal, in [-1, 1].
        correct_P_G: which completions are correct.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.
        ConfigError: the similarity holds NaN or infinity.

    Differs from the paper: a language model makes its clusters; here any similarity does.
    """
    check_shapes(
        rewards_P_G=rewards_P_G,
        base_advantages_P_G=base_advantages_P_G,
        similarity_P_G_G=similarity_P_G_G,
        correct_P_G=correct_P_G,
    )
    check_finite_rewards(rewards_P_G)
    base_P_G = base_advantages_P_G.detach().double()
    members_P_G = ~rewards_P_G.isnan()
    weighted_P_G = members_P_G
    if config.weighted == "correct":
        members_P_G = members_P_G & correct_P_G.to(members_P_G.device).bool()
        weighted_P_G = members_P_G & (base_P_G > 0)
    sizes_P_G = cluster_sizes(similarity_P_G_G, members_P_G, config.threshold)
    return torch.where(weighted_P_G, base_P_G * sizes_P_G**-config.alpha, base_P_G)


UNIQUENESS = Advantage(
    name="uniqueness",
    config=UniquenessConfig,
    function=uniqueness_advantages,
    family="pay less for copies",
    line="Divides the advantage of a correct completion by the size of its cluster.",
    paper="Hu 2026, Rewarding the Rare: Uniqueness-Aware RL, arXiv:2601.08763",
)
