r"""SetPO: a completion's contribution to the diversity of its group is added to its advantage.

Li 2026, "SetPO: Set-Level Policy Optimization", arXiv:2602.01062. The abstract and others' summaries of
its equations were read; the paper's own text and its code were not available. So this is one member of
the paper's family: the utility g(u) = 1 - u of the mean similarity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from polypath.checks import check_shapes
from polypath.objectives.advantages import check_finite_rewards
from polypath.objectives.clusters import finite_similarity
from polypath.objectives.entries import Advantage
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

Among = Literal["correct", "all"]


@dataclass(frozen=True, kw_only=True)
class SetPOConfig:
    """Settings of the marginal diversity."""

    weight: float = setting(
        1.0,
        "Lambda, weight of the marginal diversity in the advantage, at least 0. The default is ours.",
        within="[0, inf)",
        key="setpo_lambda",
    )
    among: Among = setting(
        "correct",
        "Completions whose diversity counts: the correct ones, or all. With all, a wrong completion is paid "
        "for being unlike the others.",
    )

    def __post_init__(self) -> None:
        check_settings(self, "setpo")


def setpo_advantages(
    config: SetPOConfig,
    rewards_P_G: Tensor,
    base_advantages_P_G: Tensor,
    similarity_P_G_G: Tensor,
    correct_P_G: Tensor,
) -> Tensor:
    r"""Return advantages of shape ``(P, G)``, in float64.

    .. math:: A_i = A_i^{base} + \lambda \left( D(\Omega) - D(\Omega \setminus \{i\}) \right), \qquad
              D(\Omega) = \mathrm{mean}_{i \ne j \in \Omega} (1 - s_{ij})

    over the set of correct (or all scored) completions of the group. The differences sum to 0 over the set,
    so none is preferred on average. A set of fewer than three has none: two are always equally unlike
    each other. The second part also acts in groups whose rewards are all equal. NaN (not scored) is left
    out and gets 0.

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
    if config.among == "correct":
        members_P_G = members_P_G & correct_P_G.to(members_P_G.device).bool()
    return base_P_G + config.weight * marginal_diversity(similarity_P_G_G, members_P_G)


def marginal_diversity(similarity_P_G_G: Tensor, members_P_G: Tensor) -> Tensor:
    """Return the mean dissimilarity of the members minus that without a completion, ``(P, G)``.

    0 for completions that are no members, and where there are fewer than three members. Arguments as in
    ``polypath.objectives.clusters.same_cluster``.
    """
    similarity_P_G_G = finite_similarity(similarity_P_G_G, members_P_G)
    both_P_G_G = members_P_G.unsqueeze(1) & members_P_G.unsqueeze(2)
    # A completion is not unlike itself, so the diagonal adds nothing.
    unlike_P_G = torch.where(both_P_G_G, 1.0 - similarity_P_G_G, 0.0).sum(dim=2)
    n_P_1 = members_P_G.sum(dim=1, keepdim=True).double()
    centred_P_G = unlike_P_G - unlike_P_G.sum(dim=1, keepdim=True) / n_P_1.clamp(min=1.0)
    # With T the sum over pairs and t_i that of i: T / (n (n-1)) - (T - 2 t_i) / ((n-1) (n-2)). Of two
    # members both t are equal, and of one it is 0.
    marginal_P_G = 2.0 * centred_P_G / ((n_P_1 - 1.0) * (n_P_1 - 2.0)).clamp(min=1.0)
    return torch.where(members_P_G, marginal_P_G, 0.0)


SETPO = Advantage(
    name="setpo",
    config=SetPOConfig,
    function=setpo_advantages,
    family="pay less for copies",
    line="Adds a completion's contribution to the diversity of the correct ones to its advantage.",
    paper="Li 2026, SetPO: Set-Level Policy Optimization, arXiv:2602.01062",
)
