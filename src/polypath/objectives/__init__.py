"""The formulas: pure tensor functions, one file per idea; no engine, tokenizer or logging.

To add one: write its file, add its line to a registry here, its test file, its line in PAPERS.md.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from polypath.objectives.advantages import AdvantageConfig, group_advantages
from polypath.objectives.divergences import (
    DIVERGENCES,
    Divergence,
    DivergenceConfig,
    divergence,
)
from polypath.objectives.dra import DRAConfig, adjust_rewards
from polypath.objectives.onpolicy_kl import ON_POLICY_KL
from polypath.objectives.positive_entropy import PositiveEntropyConfig, positive_entropy

# (config, rewards_P_G, similarity_P_G_G) -> adjusted rewards_P_G
REWARD_ADJUSTMENTS: dict[str, Callable[..., Tensor]] = {
    "dra": adjust_rewards,
}

# (config, logp_B_T, behaviour_logp_B_T, mask_B_T, correct_B) -> loss_B_T
POLICY_TERMS: dict[str, Callable[..., Tensor]] = {
    "positive_entropy": positive_entropy,
}

CONFIGS: dict[str, type[Any]] = {
    "dra": DRAConfig,
    "positive_entropy": PositiveEntropyConfig,
    "divergence": DivergenceConfig,
    "advantages": AdvantageConfig,
}

__all__ = [
    "CONFIGS",
    "DIVERGENCES",
    "ON_POLICY_KL",
    "POLICY_TERMS",
    "REWARD_ADJUSTMENTS",
    "AdvantageConfig",
    "DRAConfig",
    "Divergence",
    "DivergenceConfig",
    "PositiveEntropyConfig",
    "adjust_rewards",
    "divergence",
    "group_advantages",
    "positive_entropy",
]
