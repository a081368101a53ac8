r"""Outcome-based exploration over the whole training: answers that were seen often gain less advantage.

Song 2025, "Outcome-based Exploration for LLM Reasoning", arXiv:2509.06941, its historical exploration. The
abstract and two summaries that copy the equations were read; the paper's own text and its code were not
available. The bonus, the three baselines and 0.5 for the constant one are from the summaries; so is that
nothing is added to a group that is all correct.

The bonus is added to advantages, as in the summaries, and not to rewards. GRPO subtracts the mean reward
of a group, and with it every baseline; and in a group that is all wrong its division by the deviation
would cancel the coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from polypath.checks import check_shapes
from polypath.errors import ConfigError
from polypath.objectives.advantages import check_finite_rewards
from polypath.objectives.entries import Advantage
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

Baseline = Literal["none", "mean", "constant"]
CONSTANT = 0.5  # an answer that was seen four times is at 0


@dataclass(frozen=True, kw_only=True)
class HistoryExplorationConfig:
    """Settings of historical exploration."""

    c: float = setting(
        0.1,
        "c, weight of the bonus in the advantage, at least 0. The default is ours.",
        within="[0, inf)",
    )
    baseline: Baseline = setting(
        "constant",
        "What is subtracted from the bonus. none (UCB): nothing, so no answer loses. mean (UCB-Mean): the "
        "mean of the group's other completions. constant (UCB-Con): history_exploration_constant.",
    )
    constant: float = setting(
        CONSTANT,
        "Baseline of the bonus, in [0, 1]; for constant only. Answers that were seen more than "
        "1 / constant^2 times lose. The default is the summaries' example.",
        within="[0, 1]",
    )

    def __post_init__(self) -> None:
        check_settings(self, "history_exploration")
        if self.baseline != "constant" and self.constant != CONSTANT:
            raise ConfigError(
                f"history_exploration_constant is for history_exploration_baseline constant, got "
                f"{self.constant:g} with {self.baseline}. Set history_exploration_baseline to constant, or "
                "leave history_exploration_constant out."
            )


def history_exploration_advantages(
    config: HistoryExplorationConfig,
    rewards_P_G: Tensor,
    base_advantages_P_G: Tensor,
    correct_P_G: Tensor,
    seen_P_G: Tensor,
) -> Tensor:
    r"""Return advantages of shape ``(P, G)``, in float64.

    .. math:: A_i = A_i^{base} + c \, (b_i - \bar b_i), \qquad b_i = \min(1, 1 / \sqrt{N_i})

    with :math:`N_i` how often training had seen the answer to this problem before this generation. The
    baseline :math:`\bar b_i` is 0, the mean bonus of the other scored completions of the group, or a
    constant. Right and wrong answers count alike. Nothing is added in a group whose scored completions
    are all correct, or which has only one. NaN (not scored) is left out and gets 0.

    Args:
        config: settings.
        rewards_P_G: rewards, one row per prompt; NaN if nothing scored the completion.
        base_advantages_P_G: advantages by the engine's own rule (TRL: ``scale_rewards``); 0 if nothing scored
            the completion.
        correct_P_G: which completions are correct.
        seen_P_G: how often training saw each one's answer before this generation, at least 0.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.

    Differs from the summaries: they leave the tokens of the final answer without a bonus; here every token
    of a completion has the same advantage.
    """
    check_shapes(
        rewards_P_G=rewards_P_G,
        base_advantages_P_G=base_advantages_P_G,
        correct_P_G=correct_P_G,
        seen_P_G=seen_P_G,
    )
    check_finite_rewards(rewards_P_G)
    base_P_G = base_advantages_P_G.detach().double()
    scored_P_G = ~rewards_P_G.isnan()
    n_P_1 = scored_P_G.sum(dim=1, keepdim=True)
    bonus_P_G = seen_P_G.to(base_P_G.device).double().clamp(min=1.0).rsqrt() * scored_P_G
    baseline_P_G = torch.zeros_like(bonus_P_G)
    if config.baseline == "mean":
        others_P_G = bonus_P_G.sum(dim=1, keepdim=True) - bonus_P_G
        baseline_P_G = others_P_G / (n_P_1 - 1).clamp(min=1)
    elif config.baseline == "constant":
        baseline_P_G = torch.full_like(bonus_P_G, config.constant)
    solved_P_1 = (correct_P_G.to(scored_P_G.device).bool() | ~scored_P_G).all(dim=1, keepdim=True)
    explored_P_G = scored_P_G & ~solved_P_1 & (n_P_1 > 1)
    return base_P_G + config.c * torch.where(explored_P_G, bonus_P_G - baseline_P_G, 0.0)


HISTORY_EXPLORATION = Advantage(
    name="history_exploration",
    config=HistoryExplorationConfig,
    function=history_exploration_advantages,
    line="Adds a bonus to the advantage that falls with how often training has seen the answer.",
    paper="Song 2025, Outcome-based Exploration for LLM Reasoning, arXiv:2509.06941",
)
