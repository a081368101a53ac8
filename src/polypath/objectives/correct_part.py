"""The part of a reward that says that a completion is correct, and what a weight does to it.

Rewards are often sums: correctness, form, length. A method that pays some correct completions less than
others acts on the first part only, so that a correct one never falls below a wrong one that was not
above it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.objectives.advantages import check_finite_rewards
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


def correct_part(rewards_P_G: Tensor, correct_rewards_P_G: Tensor | None) -> Tensor:
    """Return the part of each reward that says that the completion is correct, ``(P, G)`` in float64.

    Args:
        rewards_P_G: rewards; NaN if nothing scored the completion.
        correct_rewards_P_G: that part, 0 if the completion is wrong. ``None``: rewards are not sums, and
            those above 0 are of correct completions.

    Returns:
        Numbers of at least 0, and 0 if nothing scored the completion.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.
    """
    check_shapes(rewards_P_G=rewards_P_G)
    check_finite_rewards(rewards_P_G)
    part_P_G = rewards_P_G
    if correct_rewards_P_G is not None:
        check_shapes(rewards_P_G=rewards_P_G, correct_rewards_P_G=correct_rewards_P_G)
        part_P_G = correct_rewards_P_G.to(rewards_P_G.device)
    part_P_G = part_P_G.detach().double().clamp(min=0.0)
    return part_P_G.masked_fill(rewards_P_G.isnan(), 0.0)


def weigh_correct(
    rewards_P_G: Tensor, weights_P_G: Tensor, correct_rewards_P_G: Tensor | None
) -> Tensor:
    """Return the rewards with their correct part multiplied by weights, ``(P, G)`` in float64.

    Arguments and errors as in ``correct_part``; no gradient reaches them.
    """
    part_P_G = correct_part(rewards_P_G, correct_rewards_P_G)
    # A weight of a completion without such a part may be anything, NaN included.
    kept_P_G = torch.where(part_P_G > 0, part_P_G * weights_P_G, 0.0)
    return rewards_P_G.detach().double() - part_P_G + kept_P_G
