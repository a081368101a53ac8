"""What the authors' code computes for one group on one device, written as plainly as possible.

Source: xiwenc1/DRA-GRPO@0882661, src/open_r1/trl/trainer/grpo_trainer.py, lines 679-708.
"""

from torch import Tensor


def authors_rewards(rewards_G: Tensor, similarity_G_G: Tensor) -> Tensor:
    return rewards_G * (1.0 / (similarity_G_G.sum(dim=1) + 1e-6))


def authors_advantages(rewards_G: Tensor, similarity_G_G: Tensor) -> Tensor:
    adjusted_G = authors_rewards(rewards_G, similarity_G_G)
    return (adjusted_G - adjusted_G.mean()) / (adjusted_G.std() + 1e-4)
