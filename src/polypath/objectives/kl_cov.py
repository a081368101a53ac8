r"""KL-Cov: a penalty on the distance of a few tokens from the old policy.

Cui 2025, "The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models",
arXiv:2505.22617. Authors' code: PRIME-RL/Entropy-Mechanism-of-RL@8850579, verl/trainer/ppo/core_algos.py,
``compute_policy_loss_kl_cov``; defaults from recipe/dapo/32b_kl_cov.sh. Of the paper, summaries were read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.objectives.covariance import share_of_tokens, token_covariance
from polypath.objectives.entries import PolicyTerm, TokenTerm
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class KLCovConfig:
    """Settings of KL-Cov."""

    ratio: float = setting(
        0.0002,
        "k, share of a micro-batch's tokens that get the penalty, in (0, 1]; at least one token. The authors "
        "use 0.0002 at 32B and 0.002 elsewhere.",
        within="(0, 1]",
    )

    def __post_init__(self) -> None:
        check_settings(self, "kl_cov")


def kl_cov(
    config: KLCovConfig,
    logp_B_T: Tensor,
    behaviour_logp_B_T: Tensor,
    mask_B_T: Tensor,
    advantages_B: Tensor,
) -> TokenTerm:
    r"""Return the penalty, per token, to **minimise**.

    .. math:: \ell_t = 1(t \in I) \, |\log \pi_\theta(o_t) - \log \pi_{behaviour}(o_t)|

    I is the ``ratio`` of the micro-batch's tokens with the largest covariance of log-probability and
    advantage. Where the completions are the current policy's, the term is 0 and so is its gradient.

    Args:
        config: settings.
        logp_B_T: log-probabilities of the sampled tokens under the policy, with gradient.
        behaviour_logp_B_T: the same under the policy that sampled. No gradient reaches it.
        mask_B_T: 1 on the tokens that count; elsewhere the log-probabilities may be anything.
        advantages_B: of the completions.

    Returns:
        The term, a mean over tokens. ``kl_fraction`` of its statistics marks the tokens that have it.

    Raises:
        ShapeError: the arrays disagree on B or T.

    Differs from the authors' code: theirs drops the clip of the policy's loss. Here the engine's clip
    stays; a large epsilon does the same.
    """
    check_shapes(logp_B_T=logp_B_T, behaviour_logp_B_T=behaviour_logp_B_T, mask_B_T=mask_B_T)
    covariance_B_T = token_covariance(logp_B_T, advantages_B, mask_B_T)
    count = min(share_of_tokens(mask_B_T, config.ratio), covariance_B_T.numel())
    top = covariance_B_T.flatten().topk(count).indices
    chosen_B_T = torch.zeros_like(mask_B_T, dtype=torch.bool).flatten()
    chosen_B_T[top] = True
    chosen_B_T = chosen_B_T.reshape(mask_B_T.shape) & mask_B_T.bool()
    wide = torch.promote_types(logp_B_T.dtype, torch.float32)
    old_B_T = behaviour_logp_B_T.detach()
    # Replaced before the difference: a NaN of the padding would poison the gradient.
    moved_B_T = torch.where(chosen_B_T, logp_B_T.to(wide), 0.0)
    moved_B_T = moved_B_T - torch.where(chosen_B_T, old_B_T.to(wide), 0.0)
    return TokenTerm(loss_B_T=moved_B_T.abs(), statistics={"kl_fraction": chosen_B_T})


KL_COV = PolicyTerm(
    name="kl_cov",
    config=KLCovConfig,
    function=kl_cov,
    usual_coef=1.0,
    off_policy_only=True,
    line="Penalises a change of the tokens of largest covariance. The paper's weight is 1.",
    paper="Cui 2025, The Entropy Mechanism (KL-Cov), arXiv:2505.22617",
)
