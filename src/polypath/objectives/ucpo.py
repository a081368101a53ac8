r"""UCPO: correct completions share the group's positive advantage by 1 / probability.

Lochab 2026, "Uniform-Correct Policy Optimization", arXiv:2605.00365. Authors' code:
AnamikaLochab/UCPO@93ce506, verl/verl/trainer/ppo/core_algos.py:721-866. The formula is the code's; of the
paper, the abstract was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.objectives.advantages import check_finite_rewards
from polypath.objectives.entries import Advantage
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

LOWEST_SHARE = 1e-6  # the authors' bound on q


@dataclass(frozen=True, kw_only=True)
class UCPOConfig:
    """Settings of UCPO."""

    tau: float = setting(
        0.2,
        "Tau, how far the shares move from equal (0, no change) to 1 / q (1), in [0, 1].",
        within="[0, 1]",
    )
    per_token: bool = setting(
        True,
        "Take q from the mean log-probability of a token (authors' code). false: from the log-probability of "
        "the whole completion; one completion then often has all of q.",
    )

    def __post_init__(self) -> None:
        check_settings(self, "ucpo")


def ucpo_advantages(
    config: UCPOConfig,
    rewards_P_G: Tensor,
    base_advantages_P_G: Tensor,
    correct_P_G: Tensor,
    sequence_logp_P_G: Tensor,
    lengths_P_G: Tensor,
) -> Tensor:
    r"""Return advantages of shape ``(P, G)``, in float64.

    .. math:: A_i = A_i^{base} \, n \left( (1 - \tau) \frac{1}{n} + \tau \frac{1 / q_i}{\sum_j 1 / q_j}
              \right), \qquad q = \mathrm{softmax}_j \frac{\log \pi(o_j)}{|o_j|}

    over the n correct completions with a positive advantage; the others keep theirs. Their sum is kept
    where the correct completions of a group have one reward, and is restored where they have several.
    Groups whose rewards are all equal get 0, and NaN (not scored) is left out and gets 0.

    Args:
        config: settings.
        rewards_P_G: rewards, one row per prompt; only checked.
        base_advantages_P_G: advantages by the engine's own rule (TRL: ``scale_rewards``); 0 if nothing scored
            the completion.
        correct_P_G: which completions are correct.
        sequence_logp_P_G: log-probability of each completion under the policy that sampled it, in nats.
        lengths_P_G: number of tokens of each completion.

    Raises:
        ShapeError: the arrays disagree on P or G.
        DataError: a reward is infinite.

    Differs from the authors' code:
        1. They give all correct completions the first one's advantage before sharing; here each keeps its
           own, which matters only with several rewards.
        2. They add 1e-8 to the deviation; here the engine's own rule stands, and TRL adds 1e-4.
        3. A correct completion whose advantage is not positive (some other reward outweighs it) is not
           shared with.
    """
    check_shapes(
        rewards_P_G=rewards_P_G,
        base_advantages_P_G=base_advantages_P_G,
        correct_P_G=correct_P_G,
        sequence_logp_P_G=sequence_logp_P_G,
        lengths_P_G=lengths_P_G,
    )
    check_finite_rewards(rewards_P_G)
    base_P_G = base_advantages_P_G.detach().double()
    lowest = torch.finfo(torch.float64).min  # -inf for all would make the softmax NaN
    logp_P_G = sequence_logp_P_G.detach().double().to(base_P_G.device).clamp(min=lowest)
    if config.per_token:
        logp_P_G = logp_P_G / lengths_P_G.to(base_P_G.device).clamp(min=1)
    shared_P_G = correct_P_G.to(base_P_G.device).bool() & (base_P_G > 0)
    q_P_G = logp_P_G.masked_fill(~shared_P_G, lowest).softmax(dim=1)
    inverse_P_G = torch.where(shared_P_G, 1.0 / q_P_G.clamp(min=LOWEST_SHARE), 0.0)
    count_P_1 = shared_P_G.sum(dim=1, keepdim=True)
    share_P_G = count_P_1 * inverse_P_G / inverse_P_G.sum(dim=1, keepdim=True).clamp(min=1.0)
    positive_P_G = torch.where(shared_P_G, base_P_G, 0.0)
    moved_P_G = positive_P_G * (1.0 - config.tau + config.tau * share_P_G)
    kept_P_1 = positive_P_G.sum(dim=1, keepdim=True) / moved_P_G.sum(dim=1, keepdim=True)
    return torch.where(shared_P_G, moved_P_G * kept_P_1, base_P_G)


UCPO = Advantage(
    name="ucpo",
    config=UCPOConfig,
    function=ucpo_advantages,
    line="Distributes the advantage of correct completions by their inverse probability.",
    paper="Lochab 2026, Uniform-Correct Policy Optimization (UCPO), arXiv:2605.00365",
)
