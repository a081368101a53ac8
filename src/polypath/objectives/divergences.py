"""f-divergences from the reference policy, on samples of the reference policy.

Li 2025, "The Choice of Divergence" (DPH-RL), arXiv:2509.07430. With d = log pi_theta - log pi_ref at
stored tokens and u = e^d, the mean of f(u) over samples of pi_ref estimates D_f(pi_theta || pi_ref)
without pi_ref in memory. Authors' code: seamoke/DPH-RL@139a9b2, verl/trainer/ppo/core_algos.py:889-955.

Every form is written in d, from expm1 and log1p, in float64: powers and logarithms of u give NaN
at |d| of about 100. Near d = 0 a difference of rounded numbers can fall below 0, by less than
1e-15 |d|; such a value is set to 0, and its gradient kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from polypath.checks import check_shapes
from polypath.errors import ConfigError
from polypath.objectives.entries import Entry, TokenTerm
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

PAPER = "Li 2025, The Choice of Divergence (DPH-RL), arXiv:2509.07430"


@dataclass(frozen=True, kw_only=True)
class DivergenceConfig:
    """How a divergence is bounded and scaled. A member with settings of its own extends this class.

    There is deliberately no bound below: that is where a forgotten mode must be pulled back.
    """

    max_log_ratio: float = setting(
        10.0,
        "Log-ratio in (0, 30] above which the divergence is a straight line, with its slope at that point. "
        "Value and gradient then stay finite. With more than 30 the line would leave float32.",
        within="(0, 30]",
        key="rehearsal_max_log_ratio",
    )
    curvature_matched: bool = setting(
        False,
        "Divide the divergence by its curvature at the reference. A coefficient then has the same strength "
        "near the reference for every divergence.",
        key="rehearsal_curvature_matched",
    )

    def __post_init__(self) -> None:
        check_settings(self, "rehearsal")


@dataclass(frozen=True, kw_only=True)
class AlphaConfig(DivergenceConfig):
    """Settings of the alpha divergence."""

    alpha: float = setting(
        0.5,
        "Alpha of the alpha divergence, between 0 and 1. It approaches the forward KL towards 1 and the "
        "reverse KL towards 0; for these two, use forward_kl and reverse_kl.",
        within="[0.000001, 0.999999]",
        key="rehearsal_alpha",
    )


@dataclass(frozen=True, kw_only=True)
class Divergence(Entry):
    """One member of the family. Its function is ``(config, d) -> f(e^d)``, elementwise in float64.

    Chosen by ``rehearsal_divergence: <name>``. Its config extends ``DivergenceConfig``.

    Attributes:
        curvature: f''(1), above 0. Near theta = ref every divergence is ``curvature * d^2 / 2``, so
            coefficients of two of them compare only after multiplying by it.
        formula: f(u) as text.
        lost_mode: weight of the gradient on a token as d -> -inf, as text: whether a forgotten
            solution is still pulled back.
    """

    LEAD: ClassVar = ("config", "d")
    KIND: ClassVar = "rehearsal divergence"

    config: type[DivergenceConfig] = DivergenceConfig
    paper: str = PAPER
    line: str = ""
    curvature: float
    formula: str
    lost_mode: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not issubclass(self.config, DivergenceConfig):
            raise ConfigError(
                f"The config of divergence {self.name!r} must extend DivergenceConfig, which bounds it, "
                f"got {self.config.__name__}."
            )
        if not self.curvature > 0:
            raise ConfigError(
                f"The curvature f''(1) of divergence {self.name!r} must be above 0, got {self.curvature}."
            )


def divergence(
    member: Divergence,
    config: DivergenceConfig,
    log_ratio_B_T: Tensor,
    mask_B_T: Tensor | None = None,
) -> TokenTerm:
    """Return f at each stored token, and where it is continued as a straight line.

    Args:
        member: which divergence.
        config: of the member's config class.
        log_ratio_B_T: d = log-probability under the policy minus the stored reference
            log-probability. Gradient flows through it.
        mask_B_T: 0 on padding, where f is 0 and has no gradient whatever d is; ``None`` means that
            there is no padding (any shape is then allowed). A mask applied afterwards is not enough
            where padding holds NaN: its gradient is NaN.

    Returns:
        The term, of the same shape; float32, or float64 where the input is. ``cap_fraction`` of its
        statistics marks the tokens above ``max_log_ratio``.

    Raises:
        ShapeError: log-ratio and mask disagree.

    Differs from the authors' code:
        1. They clamp d to [-20, 20] and the result to [-10, 10], which sets the gradient to zero
           below d = -11: exactly on the forgotten modes. Here nothing is clamped below.
        2. Above ``max_log_ratio`` they stop the gradient; here the straight line keeps it.
        3. Their Jensen-Shannon is twice the paper's, which is this one; double the coefficient to
           reproduce the code.
    """
    d = log_ratio_B_T.to(_wide(log_ratio_B_T))
    if mask_B_T is not None:
        check_shapes(log_ratio_B_T=log_ratio_B_T, mask_B_T=mask_B_T)
        d = torch.where(mask_B_T.bool(), d, torch.zeros_like(d))
    slope = _slope(member, config, d)
    f_B_T = member.function(config, d.clamp(max=config.max_log_ratio))
    # relu, not clamp: at d exactly on the cap both clamps would pass the gradient.
    f_B_T = f_B_T + slope * torch.relu(d - config.max_log_ratio)
    if config.curvature_matched:
        f_B_T = f_B_T / member.curvature
    return TokenTerm(
        loss_B_T=f_B_T.to(torch.promote_types(log_ratio_B_T.dtype, torch.float32)),
        statistics={"cap_fraction": d.detach() > config.max_log_ratio},
    )


def _slope(member: Divergence, config: DivergenceConfig, like: Tensor) -> Tensor:
    """Return df/dd at ``max_log_ratio``, also where the caller has switched gradients off."""
    with torch.inference_mode(False), torch.enable_grad():
        cap = torch.full(
            (), config.max_log_ratio, dtype=like.dtype, device=like.device, requires_grad=True
        )
        (slope,) = torch.autograd.grad(member.function(config, cap), cap)
    return slope


def _wide(tensor: Tensor) -> torch.dtype:
    """Return float64, or float32 where the device has no float64."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def _never_negative(f: Tensor) -> Tensor:
    """Set values below 0 to 0, and keep the gradient, which ``clamp`` would set to 0 with them."""
    return f - f.detach().clamp(max=0)


def _forward_kl(config: DivergenceConfig, d: Tensor) -> Tensor:
    del config
    return _never_negative(torch.expm1(d) - d)


def _forward_kl_uncentred(config: DivergenceConfig, d: Tensor) -> Tensor:
    del config
    return -d


def _reverse_kl(config: DivergenceConfig, d: Tensor) -> Tensor:
    del config
    return _never_negative(d * d.exp() - torch.expm1(d))


def _reverse_kl_uncentred(config: DivergenceConfig, d: Tensor) -> Tensor:
    del config
    return d * d.exp()


def _jensen_shannon(config: DivergenceConfig, d: Tensor) -> Tensor:
    del config
    # log(2 / (1 + u)), exact near d = 0; adding d gives log(2u / (1 + u)).
    part = -torch.log1p(torch.expm1(d) / 2)
    return _never_negative(0.5 * (d.exp() * (d + part) + part))


def _alpha(config: AlphaConfig, d: Tensor) -> Tensor:
    # The formula in the registry as a difference of two terms close to d: written as it stands there,
    # a rounding of d would be divided by a (1 - a), a million times over at the ends.
    alpha, rest = config.alpha, 1 - config.alpha
    first = (rest * d).exp() * torch.expm1(alpha * d) / alpha
    return _never_negative(first - torch.expm1(rest * d) / rest)


def _squared_hellinger(config: DivergenceConfig, d: Tensor) -> Tensor:
    del config
    return torch.expm1(d / 2).square()


def _chi_square(config: DivergenceConfig, d: Tensor) -> Tensor:
    del config
    return torch.expm1(d).square()


# Neyman's chi-square is left out: its pull e^|d| on a lost mode overflows long before -1e4.
# Total variation is left out: its gradient does not vanish at theta = ref.
_MEMBERS = (
    Divergence(
        name="forward_kl",
        function=_forward_kl,
        line="Forward KL: pulls every forgotten solution back with full weight.",
        curvature=1.0,
        formula="u - 1 - log u",
        lost_mode="-1",
    ),
    # The stored answers are filtered to correct ones, so the mean of u - 1 is not 0 there: this form
    # raises P(correct), the centred one holds it where the reference had it.
    Divergence(
        name="forward_kl_uncentred",
        function=_forward_kl_uncentred,
        line="Forward KL as the likelihood of the stored answers.",
        curvature=1.0,
        formula="-log u",
        lost_mode="-1",
    ),
    Divergence(
        name="reverse_kl",
        function=_reverse_kl,
        line="Reverse KL: hardly pulls back what is forgotten.",
        curvature=1.0,
        formula="u log u - u + 1",
        lost_mode="d e^d -> 0",
    ),
    Divergence(
        name="reverse_kl_uncentred",
        function=_reverse_kl_uncentred,
        line="Reverse KL without centring.",
        curvature=1.0,
        formula="u log u",
        lost_mode="(d + 1) e^d -> 0",
    ),
    Divergence(
        name="jensen_shannon",
        function=_jensen_shannon,
        line="Jensen-Shannon: bounded; keeps what is still likely.",
        curvature=0.25,
        formula="(u log u - (u + 1) log((u + 1) / 2)) / 2",
        lost_mode="(d + log 2) e^d / 2 -> 0",
    ),
    Divergence(
        name="alpha",
        config=AlphaConfig,
        function=_alpha,
        line="Alpha divergence, between reverse (0) and forward KL (1).",
        curvature=1.0,
        formula="(u^(1-a) - (1-a) u - a) / (a (a - 1))",
        lost_mode="-e^((1-a) d) / a -> 0",
    ),
    Divergence(
        name="squared_hellinger",
        function=_squared_hellinger,
        line="Squared Hellinger distance: the alpha divergence at 1/2, halved.",
        curvature=0.5,
        formula="(sqrt u - 1)^2",
        lost_mode="-e^(d/2) -> 0",
    ),
    Divergence(
        name="chi_square",
        function=_chi_square,
        line="Pearson's chi-square.",
        curvature=2.0,
        formula="(u - 1)^2",
        lost_mode="-2 e^d -> 0",
    ),
)
DIVERGENCES: dict[str, Divergence] = {member.name: member for member in _MEMBERS}
