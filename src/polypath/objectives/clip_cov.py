r"""Clip-Cov: a few tokens with a large covariance are left out of the policy's gradient.

Cui 2025, "The Entropy Mechanism of Reinforcement Learning for Reasoning Language Models",
arXiv:2505.22617. Authors' code: PRIME-RL/Entropy-Mechanism-of-RL@8850579, verl/trainer/ppo/core_algos.py,
``compute_policy_loss_clip_cov``; defaults from recipe/dapo/32b_clip_cov.sh. Of the paper, summaries were
read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.errors import ConfigError
from polypath.objectives.covariance import share_of_tokens, token_covariance
from polypath.objectives.entries import PolicyTerm, TokenTerm
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ClipCovConfig:
    """Settings of Clip-Cov."""

    ratio: float = setting(
        0.0002,
        "r, share of a micro-batch's tokens that are left out, in (0, 1]; at least one token, if any has a "
        "covariance between the bounds.",
        within="(0, 1]",
    )
    lower: float = setting(
        1.0,
        "omega_low, covariance above which a token may be left out, at least 0.",
        within="[0, inf)",
    )
    upper: float = setting(
        5.0, "omega_high, covariance below which it may be, above omega_low.", within="(0, inf)"
    )
    seed: int = setting(
        0, "Seed of the choice among the tokens between the bounds, at least 0.", within="[0, inf)"
    )

    def __post_init__(self) -> None:
        check_settings(self, "clip_cov")
        if self.upper <= self.lower:
            raise ConfigError(
                f"clip_cov_upper must be above clip_cov_lower, got {self.upper:g} and {self.lower:g}: no "
                "token would be between them."
            )


def clip_cov(
    config: ClipCovConfig,
    logp_B_T: Tensor,
    behaviour_logp_B_T: Tensor,
    mask_B_T: Tensor,
    advantages_B: Tensor,
    policy_gradient_B_T: Tensor,
) -> TokenTerm:
    r"""Return the term that takes the chosen tokens out of the policy's gradient.

    .. math:: \ell_t = -1(t \in I) \, g_t \log \pi_\theta(o_t), \qquad
              g_t = \frac{\partial L_{policy}}{\partial \log \pi_\theta(o_t)}

    I is a random choice of ``ratio`` of all tokens among those whose covariance is between the bounds and
    whose :math:`g_t` is not 0 (which the policy's own clip has left out already, and those without an
    advantage). With coefficient 1 their gradient cancels whatever the loss is; the value of the term
    means nothing.

    Args:
        config: settings.
        logp_B_T: log-probabilities of the sampled tokens under the policy, with gradient.
        behaviour_logp_B_T: not used.
        mask_B_T: 1 on the tokens that count; elsewhere the log-probabilities may be anything.
        advantages_B: of the completions.
        policy_gradient_B_T: g, of the micro-batch's share of the step.

    Returns:
        The term, to be summed. ``clip_fraction`` of its statistics marks the tokens that are left out.

    Raises:
        ShapeError: the arrays disagree on B or T.

    Differs from the authors' code: their choice draws from the global random state; here the seed and the
    batch's own numbers make it, so that a resumed run chooses the same. Where the engine's loss has a KL
    penalty in it, that of the chosen tokens goes as well.
    """
    del behaviour_logp_B_T
    check_shapes(logp_B_T=logp_B_T, policy_gradient_B_T=policy_gradient_B_T, mask_B_T=mask_B_T)
    covariance_B_T = token_covariance(logp_B_T, advantages_B, mask_B_T)
    inside_B_T = (covariance_B_T > config.lower) & (covariance_B_T < config.upper)
    inside_B_T = inside_B_T & mask_B_T.bool() & (policy_gradient_B_T != 0)
    places = inside_B_T.flatten().nonzero().squeeze(1)
    count = min(len(places), share_of_tokens(mask_B_T, config.ratio))
    order = torch.randperm(len(places), generator=_generator(config.seed, logp_B_T, mask_B_T))
    chosen_B_T = torch.zeros_like(inside_B_T).flatten()
    chosen_B_T[places[order[:count].to(places.device)]] = True
    chosen_B_T = chosen_B_T.reshape(inside_B_T.shape)
    # Replaced before the product: a NaN of the padding times zero would still be NaN.
    kept_B_T = torch.where(chosen_B_T, logp_B_T, torch.zeros_like(logp_B_T))
    gradient_B_T = torch.where(chosen_B_T, policy_gradient_B_T.detach(), 0.0)
    return TokenTerm(
        loss_B_T=-gradient_B_T * kept_B_T,
        statistics={"clip_fraction": chosen_B_T},
        normalization="sum",
    )


def _generator(seed: int, logp_B_T: Tensor, mask_B_T: Tensor) -> torch.Generator:
    """Return a random stream that is the same for the same batch."""
    total = torch.where(mask_B_T.bool(), logp_B_T.detach(), 0.0).double().sum().item()
    (bits,) = struct.unpack("<q", struct.pack("<d", total))
    return torch.Generator().manual_seed((bits + seed * 0x9E3779B97F4A7C15) % 2**63)


CLIP_COV = PolicyTerm(
    name="clip_cov",
    config=ClipCovConfig,
    function=clip_cov,
    usual_coef=1.0,
    highest_coef=1.0,
    line="Removes a few tokens of large covariance from the policy's gradient. The paper's weight is 1.",
    paper="Cui 2025, The Entropy Mechanism (Clip-Cov), arXiv:2505.22617",
)
