r"""W-REINFORCE and NSR: wrong completions have the larger weight, or the only one.

Zhu 2025, "The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning", arXiv:2506.01347.
Authors' code: TianHongZXY/RLVR-Decomposed@a5d4e7c, verl/trainer/ppo/core_algos.py:111-152. The formula is
the code's; of the paper, summaries were read.
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

Of = Literal["reward", "advantage"]


@dataclass(frozen=True, kw_only=True)
class WReinforceConfig:
    """Settings of W-REINFORCE."""

    weight: float = setting(
        0.1,
        "Lambda, the weight of correct completions, in [0, 1]. 0 is NSR: only wrong completions count.",
        within="[0, 1]",
        key="w_reinforce_lambda",
    )
    of: Of = setting(
        "reward",
        "What is weighted. reward (paper): the reward r of a correct completion; a wrong one gets r - 1; no "
        "baseline. advantage: the positive advantages of the trainer's own rule.",
    )

    def __post_init__(self) -> None:
        check_settings(self, "w_reinforce")


def w_reinforce_advantages(
    config: WReinforceConfig,
    rewards_P_G: Tensor,
    correct_P_G: Tensor,
    base_advantages_P_G: Tensor | None = None,
) -> Tensor:
    r"""Return advantages of shape ``(P, G)``, in float64.

    .. math:: A_i = \lambda r_i \text{ where correct, } r_i - 1 \text{ where wrong}

    For ``advantage``, :math:`\lambda \max(A_i, 0) + \min(A_i, 0)` of the engine's own advantages. NaN marks a
    completion that no reward function scored: it gets 0.

    Args:
        config: settings.
        rewards_P_G: rewards, best in [0, 1], after any adjustment. Any float type. No gradient reaches them.
        correct_P_G: which completions are correct.
        base_advantages_P_G: advantages by the engine's own rule; for ``advantage``.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.
        ConfigError: ``advantage`` without ``base_advantages_P_G``.

    Differs from the authors' code: theirs knows rewards of 0 and 1 only; for NSR it drops the correct
    completions from the batch, so that means over completions are over the wrong ones. Here they stay, with
    advantage 0.
    """
    check_shapes(rewards_P_G=rewards_P_G, correct_P_G=correct_P_G)
    check_finite_rewards(rewards_P_G)
    rewards_P_G = rewards_P_G.detach().double()
    if config.of == "advantage":
        if base_advantages_P_G is None:
            raise ConfigError(
                "w_reinforce_of advantage needs the advantages of the engine's own rule. Use reward if only "
                "rewards are available."
            )
        check_shapes(rewards_P_G=rewards_P_G, base_advantages_P_G=base_advantages_P_G)
        advantages_P_G = base_advantages_P_G.detach().double()
        return torch.where(advantages_P_G > 0, config.weight * advantages_P_G, advantages_P_G)
    right_P_G = correct_P_G.to(rewards_P_G.device).bool()
    advantages_P_G = torch.where(right_P_G, config.weight * rewards_P_G, rewards_P_G - 1.0)
    return advantages_P_G.masked_fill(rewards_P_G.isnan(), 0.0)


def _needs(config: WReinforceConfig) -> frozenset[str]:
    return frozenset({"base_advantages_P_G"} if config.of == "advantage" else ())


W_REINFORCE = Advantage(
    name="w_reinforce",
    config=WReinforceConfig,
    function=w_reinforce_advantages,
    needs=_needs,
    ignores_correct=lambda config: config.weight == 0 and config.of == "reward",
    line="Gives correct completions a small weight, or none (NSR).",
    paper="Zhu 2025, The Surprising Effectiveness of Negative Reinforcement, arXiv:2506.01347",
)
