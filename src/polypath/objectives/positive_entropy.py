"""Positive entropy: keep the policy uncertain where it is right.

Yao 2025, "Diversity-Aware Policy Optimization for Large Language Model Reasoning" (R1-zero-Div),
arXiv:2505.23433, eq. 7-12. The authors' code was not available.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from polypath.checks import check_shapes
from polypath.errors import ConfigError
from polypath.objectives.capping import MAX_EXPONENT, cap_value
from polypath.objectives.entries import Acts, PolicyTerm, TokenTerm
from polypath.settings import check_settings, setting
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

Form = Literal["paper", "detached", "exact"]
Gate = Literal["correct", "all"]
Normalization = Literal["sequence_mean", "token_mean"]


@dataclass(frozen=True, kw_only=True)
class PositiveEntropyConfig:
    """Settings of the positive-entropy term."""

    form: Form = setting(
        "paper",
        "Form of the term. paper: ratio times log-probability, both with gradient (eq. 8). Its gradient has "
        "a '+1', which lowers the probability of correct completions in expectation. detached: the "
        "log-probability has no gradient and so no '+1'; without a gate, the expected gradient is the same. "
        "exact: the entropy of the full next-token distribution, with the lowest variance.",
    )
    gate: Gate = setting(
        "correct",
        "Completions the term applies to: correct (paper), or all (the paper's ablation pos+neg).",
    )
    normalization: Normalization = setting(
        "sequence_mean",
        "Average over tokens. sequence_mean: mean over the tokens of each completion, then over all "
        "completions, right or wrong (eq. 12). token_mean: sum over the tokens of gated completions, divided "
        "by the number of tokens of all completions.",
    )
    max_ratio: float = setting(
        10.0,
        "Cap on the ratio of policy to behaviour probability, at least 1; inf is the paper (up to e^80, the "
        "limit of float32). A capped token keeps the direction of its gradient, with the capped weight. "
        "Matters only if completions are used for several updates.",
        within="[1, inf]",
    )

    def __post_init__(self) -> None:
        check_settings(self, "positive_entropy")


def positive_entropy(
    config: PositiveEntropyConfig,
    logp_B_T: Tensor,
    behaviour_logp_B_T: Tensor,
    mask_B_T: Tensor,
    correct_B: Tensor,
    entropy_B_T: Tensor | None = None,
) -> TokenTerm:
    r"""Return the per-token term to **minimise**, before normalisation and coefficient.

    .. math:: \ell_{i,t} = 1(r_i = 1)\, \rho_{i,t} \log \pi_\theta(o_{i,t}), \qquad
              \rho = \pi_\theta / \pi_{behaviour}

    For ``exact`` it is :math:`-1(r_i = 1)\, H(\pi_\theta(\cdot | s_{i,t}))`: the entropy at visited
    states, as the paper's eq. 7 has it.

    A mean over completions of the behaviour policy. Where another policy drew them (a serving engine, by
    kernels of its own), multiply by behaviour / sampler probability, as the policy loss is.

    Args:
        config: settings.
        logp_B_T: log-probabilities of the sampled tokens under the policy, from logits divided by
            the sampling temperature; with gradient.
        behaviour_logp_B_T: the same under the policy that sampled. No gradient reaches it.
        mask_B_T: 1 on completion tokens including the end token, 0 on padding, whose values may be
            anything, NaN included.
        correct_B: whether the completion is right: booleans, or accuracies of which those above 0.5
            count (NaN does not). Never a summed reward.
        entropy_B_T: full-vocabulary entropy in nats at each position, with gradient; ``exact`` only.

    Returns:
        The term ``(B, T)``, zero on padding and on completions the gate holds back; float32, or float64
        where the input is. ``cap_fraction`` of its statistics marks the tokens whose ratio is held at
        ``max_ratio``.

    Raises:
        ConfigError: ``exact`` without ``entropy_B_T``.
        ShapeError: the arrays disagree on B or T.
    """
    check_shapes(
        logp_B_T=logp_B_T,
        behaviour_logp_B_T=behaviour_logp_B_T,
        mask_B_T=mask_B_T,
        correct_B=correct_B,
    )
    active_B_T = mask_B_T.bool()
    if config.gate == "correct":
        # Above 0.5, not bool(): NaN and negative numbers are true.
        active_B_T = active_B_T & (correct_B > 0.5).unsqueeze(1)
    limit = _log(config.max_ratio)
    over_B_T = active_B_T & ((logp_B_T - behaviour_logp_B_T).detach() > limit)
    if config.form == "exact":
        if entropy_B_T is None:
            raise ConfigError(
                "positive_entropy form 'exact' needs the entropy of the full distribution. "
                "Use 'paper' or 'detached' where only sampled log-probabilities are at hand."
            )
        check_shapes(logp_B_T=logp_B_T, entropy_B_T=entropy_B_T)
        loss_B_T = -_only(active_B_T, entropy_B_T)
    else:
        # Inactive entries are replaced before exp: a NaN times zero would still poison the gradient.
        logp_B_T = _only(active_B_T, logp_B_T)
        log_ratio_B_T = logp_B_T - _only(active_B_T, behaviour_logp_B_T.detach())
        # Not clamp: without the gradient of the ratio, what is left of the paper form lowers every
        # capped token, rare ones included, and has zero mean.
        ratio_B_T = cap_value(log_ratio_B_T, limit).exp()
        loss_B_T = ratio_B_T * (logp_B_T.detach() if config.form == "detached" else logp_B_T)
    return TokenTerm(
        loss_B_T=loss_B_T,
        statistics={"cap_fraction": over_B_T},
        normalization=config.normalization,
    )


def _only(active_B_T: Tensor, values_B_T: Tensor) -> Tensor:
    """Return the values where active and 0 elsewhere, in at least float32."""
    wide_B_T = values_B_T.to(torch.promote_types(values_B_T.dtype, torch.float32))
    return torch.where(active_B_T, wide_B_T, torch.zeros_like(wide_B_T))


def _log(ratio: float) -> float:
    return min(math.log(ratio), MAX_EXPONENT) if math.isfinite(ratio) else MAX_EXPONENT


def _needs(config: PositiveEntropyConfig) -> frozenset[str]:
    return frozenset({"entropy_B_T"} if config.form == "exact" else ())


def _acts_on(config: PositiveEntropyConfig) -> Acts:
    return "correct" if config.gate == "correct" else "all"


POSITIVE_ENTROPY = PolicyTerm(
    name="positive_entropy",
    config=PositiveEntropyConfig,
    function=positive_entropy,
    needs=_needs,
    acts_on=_acts_on,
    line="Keeps the policy uncertain on the tokens of correct completions. The paper's weight is 0.01.",
    paper="Yao 2025, Diversity-Aware Policy Optimization (R1-zero-Div), arXiv:2505.23433",
)
