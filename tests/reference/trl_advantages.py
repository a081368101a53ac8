"""What TRL computes from rewards to advantages ("sum_then_normalize"), in numpy.

Source: huggingface/trl v1.16.0, trl/trainer/grpo_trainer.py, lines 2755-2812 (nanstd: utils.py:1021).
"""

import numpy as np


def nanstd(values: np.ndarray, axis: int | None) -> np.ndarray:
    count = np.sum(~np.isnan(values), axis=axis)
    with np.errstate(all="ignore"):
        centre = np.nanmean(values, axis=axis, keepdims=True)
        return np.sqrt(
            np.nansum((values - centre) ** 2, axis=axis) / np.where(count > 1, count - 1, 0)
        )


def trl_advantages(rewards_P_G: np.ndarray, scale_rewards: str) -> np.ndarray:
    """Needs at least one scored completion in every group, as numpy's nanmean does."""
    advantages_P_G = rewards_P_G - np.nanmean(rewards_P_G, axis=1, keepdims=True)
    if scale_rewards == "group":
        advantages_P_G = advantages_P_G / (nanstd(rewards_P_G, 1)[:, None] + 1e-4)
    elif scale_rewards == "batch":
        advantages_P_G = advantages_P_G / (nanstd(rewards_P_G, None) + 1e-4)
    return np.nan_to_num(advantages_P_G, nan=0.0)
