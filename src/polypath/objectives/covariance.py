r"""The covariance of log-probability and advantage, token by token: what drives the entropy down.

Cui 2025, "The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models",
arXiv:2505.22617. Authors' code: PRIME-RL/Entropy-Mechanism-of-RL@8850579, verl/trainer/ppo/core_algos.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


def token_covariance(logp_B_T: Tensor, advantages_B: Tensor, mask_B_T: Tensor) -> Tensor:
    r"""Return :math:`(\log \pi_t - \mathrm{mean} \log \pi) (A_t - \mathrm{mean} A)`, ``(B, T)``.

    The means are over the tokens of the micro-batch. -inf outside the mask, so that such a token is
    never among the largest. Without gradient; float32, or float64 where the log-probabilities are.

    Args:
        logp_B_T: log-probabilities of the sampled tokens.
        advantages_B: of the completions; every token has that of its completion.
        mask_B_T: 1 on the tokens that count; elsewhere the log-probabilities may be anything.

    Raises:
        ShapeError: the arrays disagree on B or T.
    """
    check_shapes(logp_B_T=logp_B_T, advantages_B=advantages_B, mask_B_T=mask_B_T)
    kept_B_T = mask_B_T.bool()
    wide = torch.promote_types(logp_B_T.dtype, torch.float32)
    logp_B_T = torch.where(kept_B_T, logp_B_T.detach().to(wide), 0.0)
    advantages_B_T = torch.where(kept_B_T, advantages_B.detach().to(wide).unsqueeze(1), 0.0)
    tokens = kept_B_T.sum().clamp(min=1)
    product_B_T = (logp_B_T - logp_B_T.sum() / tokens) * (
        advantages_B_T - advantages_B_T.sum() / tokens
    )
    return product_B_T.masked_fill(~kept_B_T, -torch.inf)


def share_of_tokens(mask_B_T: Tensor, ratio: float) -> int:
    """Return how many tokens a share of them is, at least 1 as in the authors' code."""
    return max(1, int(ratio * int(mask_B_T.sum())))
