"""f-divergences from the reference policy, on samples of the reference policy.

Li 2025, "The Choice of Divergence" (DPH-RL), arXiv:2509.07430. With d = log pi_theta - log pi_ref at
stored tokens and u = e^d, the mean of f(u) over samples of pi_ref estimates D_f(pi_theta || pi_ref)
without pi_ref in memory. Authors' code: seamoke/DPH-RL@139a9b2, verl/trainer/ppo/core_algos.py:889-955.

Every form is written in d, from expm1 and log1p, in float64: powers and logarithms of u give NaN
at |d| of about 100, and near d = 0 float32 cancellation makes a divergence negative.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from polypath.checks import check_shapes
from polypath.errors import ConfigError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """One member of the family.

    Attributes:
        name: registry key.
        f: ``(d, alpha) -> f(e^d)``, elementwise in float64; ``alpha`` is read by ``alpha`` only.
        curvature: f''(1). Near theta = ref every divergence is ``curvature * d^2 / 2``, so
            coefficients of two of them compare only after multiplying by it.
        formula: f(u) as text.
        lost_mode: weight of the gradient on a token as d -> -inf, as text: whether a forgotten
            solution is still pulled back.
    """

    name: str
    f: Callable[[Tensor, float], Tensor]
    curvature: float
    formula: str
    lost_mode: str


@dataclass(frozen=True, kw_only=True)
class DivergenceConfig:
    """Which divergence, and how it is bounded and scaled.

    Attributes:
        name: key of ``DIVERGENCES``.
        alpha: in [1e-6, 1 - 1e-6]; towards 1 it is the forward, towards 0 the reverse KL. ``alpha`` only.
        max_log_ratio: above this d, f continues as a straight line with the slope it has there, so
            value and gradient stay finite (they grow at least like e^d otherwise). In (0, 30]. There is
            deliberately no bound below: that is where a forgotten mode must be pulled back.
        curvature_matched: divide f by f''(1), so that one coefficient has the same strength near
            the reference for every divergence.
    """

    name: str = "forward_kl"
    alpha: float = 0.5
    max_log_ratio: float = 10.0
    curvature_matched: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in DIVERGENCES:
            raise unknown_name("divergence", str(self.name), DIVERGENCES)
        if not 1e-6 <= self.alpha <= 1 - 1e-6:
            raise ConfigError(
                f"alpha must be between 0 and 1, at least 1e-6 from both, got {self.alpha}. "
                "Use forward_kl for 1 and reverse_kl for 0."
            )
        if not 0 < self.max_log_ratio <= 30:
            raise ConfigError(
                f"max_log_ratio must be in (0, 30], got {self.max_log_ratio}. "
                "Further up the straight line leaves float32."
            )
        if self.curvature_matched and DIVERGENCES[self.name].curvature == 0:
            raise ConfigError(f"{self.name} has no curvature at the reference to match.")


def divergence(
    config: DivergenceConfig, log_ratio_B_T: Tensor, mask_B_T: Tensor | None = None
) -> Tensor:
    """Return f at each stored token, same shape; float32, or float64 where the input is.

    Args:
        config: settings.
        log_ratio_B_T: d = log-probability under the policy minus the stored reference
            log-probability. Gradient flows through it.
        mask_B_T: 0 on padding, where f is 0 and has no gradient whatever d is; ``None`` means that
            there is no padding (any shape is then allowed). A mask applied afterwards is not enough
            where padding holds NaN: its gradient is NaN.

    Raises:
        ShapeError: log-ratio and mask disagree.

    Differs from the authors' code:
        1. They clamp d to [-20, 20] and the result to [-10, 10], which sets the gradient to zero
           below d = -11: exactly on the forgotten modes. Here nothing is clamped below.
        2. Above ``max_log_ratio`` they stop the gradient; here the straight line keeps it.
        3. Their Jensen-Shannon is twice the divergence; double the coefficient to reproduce it.
    """
    member = DIVERGENCES[config.name]
    d = log_ratio_B_T.to(_wide(log_ratio_B_T))
    if mask_B_T is not None:
        check_shapes(log_ratio_B_T=log_ratio_B_T, mask_B_T=mask_B_T)
        d = torch.where(mask_B_T.bool(), d, torch.zeros_like(d))
    slope = _slope(member, config, d)
    f_B_T = member.f(d.clamp(max=config.max_log_ratio), config.alpha)
    # relu, not clamp: at d exactly on the cap both clamps would pass the gradient.
    f_B_T = f_B_T + slope * torch.relu(d - config.max_log_ratio)
    if config.curvature_matched:
        f_B_T = f_B_T / member.curvature
    return f_B_T.to(torch.promote_types(log_ratio_B_T.dtype, torch.float32))


def _slope(member: Divergence, config: DivergenceConfig, like: Tensor) -> Tensor:
    """Return df/dd at ``max_log_ratio``, also where the caller has switched gradients off."""
    with torch.inference_mode(False), torch.enable_grad():
        cap = torch.full(
            (), config.max_log_ratio, dtype=like.dtype, device=like.device, requires_grad=True
        )
        (slope,) = torch.autograd.grad(member.f(cap, config.alpha), cap)
    return slope


def capped(config: DivergenceConfig, log_ratio_B_T: Tensor) -> Tensor:
    """Return booleans: where d is above ``max_log_ratio``."""
    return log_ratio_B_T.detach() > config.max_log_ratio


def _wide(tensor: Tensor) -> torch.dtype:
    """Return float64, or float32 where the device has no float64."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def _forward_kl(d: Tensor, alpha: float) -> Tensor:
    del alpha
    return torch.expm1(d) - d


def _forward_kl_uncentred(d: Tensor, alpha: float) -> Tensor:
    del alpha
    return -d


def _reverse_kl(d: Tensor, alpha: float) -> Tensor:
    del alpha
    return d * d.exp() - torch.expm1(d)


def _reverse_kl_uncentred(d: Tensor, alpha: float) -> Tensor:
    del alpha
    return d * d.exp()


def _jensen_shannon(d: Tensor, alpha: float) -> Tensor:
    del alpha
    # log(2 / (1 + u)), exact near d = 0; adding d gives log(2u / (1 + u)).
    part = -torch.log1p(torch.expm1(d) / 2)
    return 0.5 * (d.exp() * (d + part) + part)


def _alpha(d: Tensor, alpha: float) -> Tensor:
    part = torch.expm1((1 - alpha) * d)
    return ((1 - alpha) * torch.expm1(d) - part) / (alpha * (1 - alpha))


def _squared_hellinger(d: Tensor, alpha: float) -> Tensor:
    del alpha
    return torch.expm1(d / 2).square()


def _chi_square(d: Tensor, alpha: float) -> Tensor:
    del alpha
    return torch.expm1(d).square()


# Neyman's chi-square is left out: its pull e^|d| on a lost mode overflows long before -1e4.
# Total variation is left out: its gradient does not vanish at theta = ref.
DIVERGENCES: dict[str, Divergence] = {
    "forward_kl": Divergence(
        name="forward_kl",
        f=_forward_kl,
        curvature=1.0,
        formula="u - 1 - log u",
        lost_mode="-1",
    ),
    # The likelihood of the stored answers. They are filtered to correct ones, so the mean of u - 1 is
    # not 0 there: this form raises P(correct), the centred one holds it where the reference had it.
    "forward_kl_uncentred": Divergence(
        name="forward_kl_uncentred",
        f=_forward_kl_uncentred,
        curvature=1.0,
        formula="-log u",
        lost_mode="-1",
    ),
    "reverse_kl": Divergence(
        name="reverse_kl",
        f=_reverse_kl,
        curvature=1.0,
        formula="u log u - u + 1",
        lost_mode="d e^d -> 0",
    ),
    "reverse_kl_uncentred": Divergence(
        name="reverse_kl_uncentred",
        f=_reverse_kl_uncentred,
        curvature=1.0,
        formula="u log u",
        lost_mode="(d + 1) e^d -> 0",
    ),
    "jensen_shannon": Divergence(
        name="jensen_shannon",
        f=_jensen_shannon,
        curvature=0.25,
        formula="(u log u - (u + 1) log((u + 1) / 2)) / 2",
        lost_mode="(d + log 2) e^d / 2 -> 0",
    ),
    "alpha": Divergence(
        name="alpha",
        f=_alpha,
        curvature=1.0,
        formula="(u^(1-a) - (1-a) u - a) / (a (a - 1))",
        lost_mode="-e^((1-a) d) / a -> 0",
    ),
    "squared_hellinger": Divergence(
        name="squared_hellinger",
        f=_squared_hellinger,
        curvature=0.5,
        formula="(sqrt u - 1)^2",
        lost_mode="-e^(d/2) -> 0",
    ),
    "chi_square": Divergence(
        name="chi_square",
        f=_chi_square,
        curvature=2.0,
        formula="(u - 1)^2",
        lost_mode="-2 e^d -> 0",
    ),
}
