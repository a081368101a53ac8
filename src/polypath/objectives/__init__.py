"""The formulas: pure tensor functions, one file per method; no engine, tokenizer or logging.

A method is an entry of one of four registries. To add one: write its file with its entry, add its line
here, its test file, its line in PAPERS.md. A user's own entry comes from a file of theirs
(``objectives: [my_file.py:my_entry]`` in a recipe).
"""

from polypath.objectives.advantages import AdvantageConfig, group_advantages
from polypath.objectives.divergences import DIVERGENCES, Divergence, DivergenceConfig, divergence
from polypath.objectives.dra import DRA, DRAConfig, adjust_rewards
from polypath.objectives.entries import (
    Active,
    Advantage,
    Entry,
    PolicyTerm,
    RewardAdjustment,
    TokenTerm,
)
from polypath.objectives.maxrl import MAXRL, maxrl_advantages
from polypath.objectives.onpolicy_kl import ON_POLICY_KL
from polypath.objectives.positive_entropy import (
    POSITIVE_ENTROPY,
    PositiveEntropyConfig,
    positive_entropy,
)

REWARD_ADJUSTMENTS: dict[str, RewardAdjustment] = {DRA.name: DRA}
ADVANTAGES: dict[str, Advantage] = {MAXRL.name: MAXRL}
POLICY_TERMS: dict[str, PolicyTerm] = {POSITIVE_ENTROPY.name: POSITIVE_ENTROPY}
# DIVERGENCES is in its file: they are one family.

__all__ = [
    "ADVANTAGES",
    "DIVERGENCES",
    "ON_POLICY_KL",
    "POLICY_TERMS",
    "REWARD_ADJUSTMENTS",
    "Active",
    "Advantage",
    "AdvantageConfig",
    "DRAConfig",
    "Divergence",
    "DivergenceConfig",
    "Entry",
    "PolicyTerm",
    "PositiveEntropyConfig",
    "RewardAdjustment",
    "TokenTerm",
    "adjust_rewards",
    "divergence",
    "group_advantages",
    "maxrl_advantages",
    "positive_entropy",
]
