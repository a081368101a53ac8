"""What a group says of its subsets of k: the largest reward of each, averaged over all of them.

Chen 2021, arXiv:2107.03374 and Walder 2025 (PKPO), arXiv:2505.15201: of n samples, the mean over all
C(n, k) subsets is an unbiased estimate of the expected largest reward of k samples (pass@k, where rewards
are 0 and 1). In the order of rewards every such mean is a weighted sum, with weights from binomials.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.objectives.advantages import check_finite_rewards
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


def share_of_subsets(n: int, k: int, drawn: int = 1) -> Callable[[int, int], float]:
    """Return ``(below, rest) -> C(below, rest) / C(n - drawn, k - drawn)``, from exact whole numbers."""
    whole = math.comb(n - drawn, k - drawn)
    return lambda below, rest: math.comb(below, rest) / whole if 0 <= rest <= below else 0.0


def largest_of_subsets(rewards_R_G: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and variance of the largest of k rewards, and its mean over the subsets with each.

    Args:
        rewards_R_G: rewards in ascending order, all finite, in float64.
        k: size of the subsets, from 1 to G.

    Returns:
        Mean and (population) variance over all subsets, ``(R, 1)``; the mean over the subsets that hold
        a completion, ``(R, G)``. All in float64.
    """
    n = rewards_R_G.shape[1]
    of_all, of_own = share_of_subsets(n, k, 0), share_of_subsets(n, k)
    # The i-th lowest is the largest of a subset where the other k - 1 are below it.
    weights_G = rewards_R_G.new_tensor([of_all(i, k - 1) for i in range(n)])
    mean_R_1 = (rewards_R_G * weights_G).sum(dim=1, keepdim=True)
    spread_R_G = (rewards_R_G - mean_R_1).square() * weights_G
    own_G = rewards_R_G.new_tensor([of_own(i, k - 1) for i in range(n)])
    # Of the subsets that hold another, those whose largest is the i-th: k - 2 more are below it.
    other_G = rewards_R_G.new_tensor([of_own(i - 1, k - 2) for i in range(n)])
    above_R_G = (rewards_R_G * other_G).flip(1).cumsum(1).flip(1) - rewards_R_G * other_G
    return mean_R_1, spread_R_G.sum(dim=1, keepdim=True), rewards_R_G * own_G + above_R_G


def largest_without(rewards_R_G: Tensor, k: int) -> Tensor:
    """Return for each completion the mean of the largest of k rewards over subsets of the **others**.

    Args:
        rewards_R_G: rewards in ascending order, all finite, in float64.
        k: size of the subsets, from 1 to G - 1.

    Returns:
        ``(R, G)``, in float64.
    """
    n = rewards_R_G.shape[1]
    share = share_of_subsets(n - 1, k, 0)
    # Without completion i, one fewer is below those that come after it.
    before_R_G = rewards_R_G * rewards_R_G.new_tensor([share(j, k - 1) for j in range(n)])
    after_R_G = rewards_R_G * rewards_R_G.new_tensor([share(j - 1, k - 1) for j in range(n)])
    return before_R_G.cumsum(1) - before_R_G + after_R_G.flip(1).cumsum(1).flip(1) - after_R_G


def by_scored_groups(rewards_P_G: Tensor, k: int, rule: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Apply a rule to the scored rewards of every group in ascending order, ``(P, G)`` in float64.

    A completion that nothing scored (NaN) is left out and gets 0. A group with fewer scored completions
    than k uses all of them: k is then their number. With fewer than two, all get 0.

    Args:
        rewards_P_G: rewards; NaN if nothing scored the completion.
        k: size of the subsets.
        rule: ``(rewards_R_n, k) -> advantages_R_n``.

    Raises:
        ShapeError: the rewards are not 2-D.
        DataError: a reward is infinite.
    """
    check_shapes(rewards_P_G=rewards_P_G)
    check_finite_rewards(rewards_P_G)
    rewards_P_G = rewards_P_G.detach().double()
    sorted_P_G, order_P_G = rewards_P_G.sort(dim=1)  # NaN comes last
    scored_P = (~rewards_P_G.isnan()).sum(dim=1)
    ranked_P_G = torch.zeros_like(rewards_P_G)
    for n in sorted(set(scored_P.tolist())):
        if n >= 2:
            rows = (scored_P == n).nonzero().squeeze(1)
            ranked_P_G[rows, :n] = rule(sorted_P_G[rows, :n], min(k, n))
    return torch.zeros_like(rewards_P_G).scatter(1, order_P_G, ranked_P_G)
