"""KL penalties on the policy's own samples, named for what their gradient is.

Schulman 2020, "Approximating KL Divergence", names estimators k1, k2, k3 of the *value* of
KL(pi_theta || pi_ref). As losses they differ: differentiating k3 on on-policy samples, as TRL and verl
do for ``beta > 0``, gives in expectation the gradient of the forward KL(pi_ref || pi_theta); k2 gives
the gradient of the reverse KL(pi_theta || pi_ref); k1 gives zero.
"""

from collections.abc import Callable

import torch
from torch import Tensor

MAX_LOG_RATIO = 80.0  # e^80 is the last round number float32 holds


def reverse_kl_loss(logp_B_T: Tensor, ref_logp_B_T: Tensor) -> Tensor:
    """Return d^2 / 2 (k2), elementwise. Its expected gradient is that of KL(pi_theta || pi_ref).

    Args:
        logp_B_T: log-probabilities of the policy's own samples, with gradient.
        ref_logp_B_T: the same tokens under the reference. No gradient reaches it.
    """
    return (logp_B_T - ref_logp_B_T.detach()).square() / 2


def forward_kl_loss(logp_B_T: Tensor, ref_logp_B_T: Tensor) -> Tensor:
    """Return e^-d + d - 1 (k3), elementwise. Its expected gradient is that of KL(pi_ref || pi_theta).

    What TRL adds for ``beta > 0``. Arguments as in ``reverse_kl_loss``.
    """
    d_B_T = logp_B_T - ref_logp_B_T.detach()
    return torch.expm1((-d_B_T).clamp(max=MAX_LOG_RATIO)) + d_B_T


def reverse_kl_reward(logp_B_T: Tensor, ref_logp_B_T: Tensor, mask_B_T: Tensor) -> Tensor:
    """Return -d summed over each completion, ``(B,)``, detached: the reverse KL as a reward.

    Adding a coefficient times this to the reward is the other exact way to penalise the reverse KL.
    """
    d_B_T = (logp_B_T - ref_logp_B_T).detach()
    return -torch.where(mask_B_T.bool(), d_B_T, torch.zeros_like(d_B_T)).sum(dim=1)


ON_POLICY_KL: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "forward": forward_kl_loss,
    "reverse": reverse_kl_loss,
}
