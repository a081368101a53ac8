"""The formulas: pure tensor functions, one file per method; no engine, tokenizer or logging.

A method is an entry of one of four registries. To add one: write its file with its entry, add its line
here, its test file, its line in PAPERS.md. A user's own entry comes from a file of theirs
(``objectives: [my_file.py:my_entry]`` in a recipe).
"""

from polypath.objectives.advantages import AdvantageConfig, group_advantages
from polypath.objectives.batch_exploration import BATCH_EXPLORATION, batch_exploration_rewards
from polypath.objectives.clip_cov import CLIP_COV, clip_cov
from polypath.objectives.darling import DARLING, darling_rewards
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
from polypath.objectives.gapo import GAPO, gapo_rewards
from polypath.objectives.history_exploration import (
    HISTORY_EXPLORATION,
    history_exploration_advantages,
)
from polypath.objectives.kl_cov import KL_COV, kl_cov
from polypath.objectives.maxrl import MAXRL, maxrl_advantages
from polypath.objectives.mmr import MMR, mmr_rewards
from polypath.objectives.onpolicy_kl import ON_POLICY_KL
from polypath.objectives.passk import PASSK, passk_advantages
from polypath.objectives.pkpo import PKPO, pkpo_advantages
from polypath.objectives.positive_entropy import (
    POSITIVE_ENTROPY,
    PositiveEntropyConfig,
    positive_entropy,
)
from polypath.objectives.setpo import SETPO, setpo_advantages
from polypath.objectives.ucpo import UCPO, ucpo_advantages
from polypath.objectives.uniqueness import UNIQUENESS, uniqueness_advantages
from polypath.objectives.unlikeliness import UNLIKELINESS, unlikeliness_rewards
from polypath.objectives.w_reinforce import W_REINFORCE, w_reinforce_advantages

REWARD_ADJUSTMENTS: dict[str, RewardAdjustment] = {
    DRA.name: DRA,
    DARLING.name: DARLING,
    GAPO.name: GAPO,
    MMR.name: MMR,
    BATCH_EXPLORATION.name: BATCH_EXPLORATION,
    UNLIKELINESS.name: UNLIKELINESS,
}
ADVANTAGES: dict[str, Advantage] = {
    MAXRL.name: MAXRL,
    PKPO.name: PKPO,
    PASSK.name: PASSK,
    W_REINFORCE.name: W_REINFORCE,
    UCPO.name: UCPO,
    UNIQUENESS.name: UNIQUENESS,
    SETPO.name: SETPO,
    HISTORY_EXPLORATION.name: HISTORY_EXPLORATION,
}
POLICY_TERMS: dict[str, PolicyTerm] = {
    POSITIVE_ENTROPY.name: POSITIVE_ENTROPY,
    CLIP_COV.name: CLIP_COV,
    KL_COV.name: KL_COV,
}
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
    "batch_exploration_rewards",
    "clip_cov",
    "darling_rewards",
    "divergence",
    "gapo_rewards",
    "group_advantages",
    "history_exploration_advantages",
    "kl_cov",
    "maxrl_advantages",
    "mmr_rewards",
    "passk_advantages",
    "pkpo_advantages",
    "positive_entropy",
    "setpo_advantages",
    "ucpo_advantages",
    "uniqueness_advantages",
    "unlikeliness_rewards",
    "w_reinforce_advantages",
]
