"""KL penalties on the policy's own samples, named for what their gradient is.

Schulman 2020, "Approximating KL Divergence", names estimators k1, k2, k3 of the *value* of
KL(pi_theta || pi_ref). As losses they differ: differentiating k3 on on-policy samples, as verl does,
gives in expectation the gradient of the forward KL(pi_ref || pi_theta); k2 gives the gradient of the
reverse KL(pi_theta || pi_ref); k1 gives zero. TRL 1.16 multiplies k3 by the ratio before it
differentiates (``use_bias_correction_kl``), which gives the gradient of the reverse KL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.objectives.capping import MAX_EXPONENT, cap_value
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


def reverse_kl_loss(
    logp_B_T: Tensor, ref_logp_B_T: Tensor, mask_B_T: Tensor | None = None
) -> Tensor:
    """Return d^2 / 2 (k2), elementwise. Its expected gradient is that of KL(pi_theta || pi_ref).

    That of the next-token divergences at the visited states: a token's d says nothing of how it
    leads to later states.

    Args:
        logp_B_T: log-probabilities of the policy's own samples, with gradient.
        ref_logp_B_T: the same tokens under the reference. No gradient reaches it.
        mask_B_T: 0 on padding, where the result is 0 whatever the log-probabilities are; ``None``
            means that there is no padding, or that it holds finite numbers and is masked later.

    Returns:
        Same shape; float32, or float64 where the input is.
    """
    return _log_ratio(logp_B_T, ref_logp_B_T, mask_B_T).square() / 2


def forward_kl_loss(
    logp_B_T: Tensor, ref_logp_B_T: Tensor, mask_B_T: Tensor | None = None
) -> Tensor:
    """Return e^-d + d - 1 (k3), elementwise. Its expected gradient is that of KL(pi_ref || pi_theta).

    What TRL adds for ``beta > 0`` without ``use_bias_correction_kl``; unbounded there, it is infinite in
    float32 from d = -89 on. Here e^-d is held at e^80, in value and in gradient. At the visited states, as
    ``reverse_kl_loss``, and with the same arguments.
    """
    d_B_T = _log_ratio(logp_B_T, ref_logp_B_T, mask_B_T)
    return torch.expm1(cap_value(-d_B_T, MAX_EXPONENT)) + d_B_T


def _log_ratio(logp_B_T: Tensor, ref_logp_B_T: Tensor, mask_B_T: Tensor | None) -> Tensor:
    """Return d in at least float32, 0 on padding."""
    check_shapes(logp_B_T=logp_B_T, ref_logp_B_T=ref_logp_B_T)
    wide = torch.promote_types(logp_B_T.dtype, torch.float32)
    d_B_T = logp_B_T.to(wide) - ref_logp_B_T.detach().to(wide)
    if mask_B_T is None:
        return d_B_T
    check_shapes(logp_B_T=logp_B_T, mask_B_T=mask_B_T)
    return torch.where(mask_B_T.bool(), d_B_T, torch.zeros_like(d_B_T))


ON_POLICY_KL: dict[str, Callable[..., Tensor]] = {
    "forward": forward_kl_loss,
    "reverse": reverse_kl_loss,
}
