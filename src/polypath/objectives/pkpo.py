r"""PKPO: an unbiased gradient of the expected largest reward of k completions.

Walder 2025, "Pass@K Policy Optimization", arXiv:2505.15201, eq. 19, 29 and 33. The equation numbers and
the estimators were checked against copies of the paper's listing, not against the paper's own text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from polypath.objectives.entries import Advantage
from polypath.objectives.subsets import by_scored_groups, largest_of_subsets, largest_without
from polypath.settings import check_settings, setting

if TYPE_CHECKING:
    from torch import Tensor

Baseline = Literal["none", "leave_one_out", "leave_one_out_minus_one"]


@dataclass(frozen=True, kw_only=True)
class PKPOConfig:
    """Settings of PKPO."""

    k: int = setting(
        4,
        "k of pass@k, at least 1 and at most num_generations. The paper uses several; the default is ours.",
        within="[1, inf)",
    )
    baseline: Baseline = setting(
        "leave_one_out_minus_one",
        "What is subtracted to lower the variance. none: nothing (s, eq. 19). leave_one_out: the estimate of "
        "the other completions (s^loo, eq. 29; needs k + 1 completions). leave_one_out_minus_one: their "
        "estimate for k - 1, so that a completion gets what it adds (s^loo-1, eq. 33; at k = 1 it is "
        "leave_one_out).",
    )

    def __post_init__(self) -> None:
        check_settings(self, "pkpo")


def pkpo_advantages(config: PKPOConfig, rewards_P_G: Tensor) -> Tensor:
    r"""Return advantages of shape ``(P, G)``, in float64.

    .. math:: A_i = k \left( \mathrm{mean}_{S \ni i, |S| = k} \max_S r - b_i \right)

    with :math:`b_i = 0`, :math:`\frac{G}{G - 1} \mathrm{mean}_{S \not\ni i, |S| = k} \max_S r`, or
    :math:`\mathrm{mean}_{S \not\ni i, |S| = k - 1} \max_S r`. The mean over a group of
    :math:`A_i \nabla \log \pi(o_i)` is, with each baseline, an unbiased estimate of the gradient of
    :math:`E[\max(r_1, ..., r_k)]`, which is pass@k for rewards of 0 and 1.

    NaN marks a completion that no reward function scored: it is left out and gets 0. A group with fewer
    than k scored completions works on as many as it has.

    Args:
        config: settings.
        rewards_P_G: rewards of any size, one row per prompt. Any float type. No gradient reaches them.

    Raises:
        ShapeError: the rewards are not 2-D.
        DataError: a reward is infinite.

    Differs from the paper: its weights are those of a sum over the group, ours of a mean, G times as large.
    """
    return by_scored_groups(rewards_P_G, config.k, partial(_credit, baseline=config.baseline))


def _credit(rewards_R_n: Tensor, k: int, *, baseline: Baseline) -> Tensor:
    n = rewards_R_n.shape[1]
    if baseline == "leave_one_out" or (baseline != "none" and k == 1):
        k = min(k, n - 1)
        b_R_n = largest_without(rewards_R_n, k) * (n / (n - 1))
    elif baseline == "none":
        b_R_n = rewards_R_n * 0.0
    else:
        b_R_n = largest_without(rewards_R_n, k - 1)
    _, _, own_R_n = largest_of_subsets(rewards_R_n, k)
    return k * (own_R_n - b_R_n)


def _least_group(config: PKPOConfig) -> int:
    return config.k + 1 if config.baseline == "leave_one_out" else max(config.k, 2)


PKPO = Advantage(
    name="pkpo",
    config=PKPOConfig,
    function=pkpo_advantages,
    least_group=_least_group,
    line="Follows the exact gradient of pass@k, for any k, with a leave-one-out baseline.",
    paper="Walder 2025, Pass@K Policy Optimization (PKPO), arXiv:2505.15201",
)
