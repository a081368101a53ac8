r"""Unlikeliness: among the correct completions of a problem, likely ones are paid less.

He 2025, "Rewarding the Unlikely: Lifting GRPO Beyond Distribution Sharpening", arXiv:2506.02355. Authors'
code: AndreHe02/rewarding-unlikely-release@ca1cff0, verl/trainer/ppo/ray_lean_trainer.py:636-666.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.objectives.correct_part import weigh_correct
from polypath.objectives.entries import RewardAdjustment
from polypath.settings import check_settings, setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class UnlikelinessConfig:
    """Settings of the unlikeliness reward."""

    beta: float = setting(
        0.25,
        "Beta, the largest share of its reward that a likely completion loses, in [0, 1] (rank_penalty of "
        "the authors' script).",
        within="[0, 1]",
    )
    per_token: bool = setting(
        True,
        "Rank by the mean log-probability of a token (authors' code). false: by that of the whole "
        "completion, which ranks long completions as unlikely.",
    )

    def __post_init__(self) -> None:
        check_settings(self, "unlikeliness")


def unlikeliness_rewards(
    config: UnlikelinessConfig,
    rewards_P_G: Tensor,
    sequence_logp_P_G: Tensor,
    lengths_P_G: Tensor,
    correct_rewards_P_G: Tensor | None = None,
) -> Tensor:
    r"""Return adjusted rewards of shape ``(P, G)``, in float64.

    .. math:: \tilde r_i = r_i \left( 1 - \beta \frac{\mathrm{rank}_i}{n} \right)

    The rank counts the scored completions of the group that are less likely, right or wrong: the least
    likely one, of rank 0, keeps its reward, and the likeliest loses :math:`\beta (n - 1) / n` of it. Equally
    likely ones have their mean rank. Only the correct part of a reward is weighted; NaN stays NaN and is
    in no rank.

    Args:
        config: settings.
        rewards_P_G: rewards; NaN if nothing scored the completion. No gradient reaches them.
        sequence_logp_P_G: log-probability of each completion under the policy that sampled it, in nats.
        lengths_P_G: number of tokens of each completion.
        correct_rewards_P_G: as in ``polypath.objectives.correct_part``.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.

    Differs from the authors' code: theirs breaks ties by position, and multiplies rewards of wrong
    completions as well, which are 0 there.
    """
    check_shapes(
        rewards_P_G=rewards_P_G, sequence_logp_P_G=sequence_logp_P_G, lengths_P_G=lengths_P_G
    )
    logp_P_G = sequence_logp_P_G.detach().double().to(rewards_P_G.device)
    if config.per_token:
        logp_P_G = logp_P_G / lengths_P_G.to(rewards_P_G.device).clamp(min=1)
    scored_P_G = ~rewards_P_G.isnan()
    mine_P_G_1, others_P_1_G = logp_P_G.unsqueeze(2), logp_P_G.unsqueeze(1)
    below_P_G_G = (others_P_1_G < mine_P_G_1).double()
    equal_P_G_G = (others_P_1_G == mine_P_G_1).double()
    counted_P_1_G = scored_P_G.unsqueeze(1).double()
    below_P_G = (below_P_G_G * counted_P_1_G).sum(dim=2)
    ties_P_G = (equal_P_G_G * counted_P_1_G).sum(dim=2)
    rank_P_G = below_P_G + (ties_P_G - 1.0) / 2.0
    n_P_1 = scored_P_G.sum(dim=1, keepdim=True).clamp(min=1)
    return weigh_correct(rewards_P_G, 1.0 - config.beta * rank_P_G / n_P_1, correct_rewards_P_G)


UNLIKELINESS = RewardAdjustment(
    name="unlikeliness",
    config=UnlikelinessConfig,
    function=unlikeliness_rewards,
    line="Pays a correct completion less, the likelier it is within its group.",
    paper="He 2025, Rewarding the Unlikely, arXiv:2506.02355",
)
