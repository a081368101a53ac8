"""The policy terms of the loss on one micro-batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from polypath.core.statistics import TokenMeans
from polypath.core.step import StepShape, normalize
from polypath.errors import ConfigError
from polypath.objectives import Active, PolicyTerm


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """The tokens of one micro-batch.

    Attributes:
        logp_B_T: log-probabilities under the policy, with gradient.
        behaviour_logp_B_T: log-probabilities under the policy that sampled; strictly on-policy these are
            the policy's own, detached.
        mask_B_T: 1 on the tokens that count.
        correct_B: which completions are correct; ``None`` if unknown.
        advantages_B: advantages of the completions; likewise.
        entropy_B_T: entropy of the next-token distribution, with gradient; likewise.
        sampler_weight_B_T: behaviour / sampler probability, ``(B, T)`` or ``(B, 1)``, if a serving
            engine with its own kernels drew the completions; 0 where masked.
        policy_gradient: returns the gradient of the policy's own loss by the log-probabilities, ``(B, T)``;
            called only if a term uses it. ``None`` if unknown.
    """

    logp_B_T: Tensor
    behaviour_logp_B_T: Tensor
    mask_B_T: Tensor
    correct_B: Tensor | None = None
    advantages_B: Tensor | None = None
    entropy_B_T: Tensor | None = None
    sampler_weight_B_T: Tensor | None = None
    policy_gradient: Callable[[], Tensor] | None = None

    def inputs(self, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Return the inputs of policy terms that are present; one that costs something only if wanted."""
        name = "policy_gradient_B_T"
        known = {key: getattr(self, key) for key in PolicyTerm.INPUTS if key != name}
        if name in wanted and self.policy_gradient is not None:
            known[name] = self.policy_gradient()
        return {key: value for key, value in known.items() if value is not None}


def gradient_by(logp: Tensor, loss: Tensor) -> Tensor:
    """Return the gradient of a loss by the log-probabilities; 0 in an evaluation, which has none.

    Nothing is propagated into the model, so it is cheap.
    """
    if not loss.requires_grad:
        return torch.zeros_like(logp)
    (gradient,) = torch.autograd.grad(loss, logp, retain_graph=True)
    return gradient


def policy_terms(
    terms: Sequence[Active[PolicyTerm]],
    batch: TokenBatch,
    step: StepShape,
    means: TokenMeans | None,
) -> dict[str, Tensor]:
    """Return what each term adds to the loss of a micro-batch, weighted, by name.

    Args:
        terms: terms that are on.
        batch: the tokens.
        step: the optimizer step.
        means: where ``<name>/loss`` and the term's statistics are logged; ``None`` logs nothing.

    Raises:
        ConfigError: a term needs an input that the engine does not have.
    """
    known = batch.inputs(frozenset().union(*(active.wants for active in terms)))
    losses = {}
    for active in terms:
        name = active.entry.name
        missing = active.wants - known.keys()
        if missing:
            raise ConfigError(
                f"{name} needs {', '.join(sorted(missing))}, which is not available here. Switch it off, or "
                "choose a form without it."
            )
        term = active.entry.function(
            active.config,
            batch.logp_B_T,
            batch.behaviour_logp_B_T,
            batch.mask_B_T,
            **active.entry.takes(known),
        )
        loss_B_T = term.loss_B_T
        if batch.sampler_weight_B_T is not None and term.normalization != "sum":
            # A mean over completions has the policy loss's weight. Behaviour stays the trainer's own
            # log-probs: the sampler's are only in this ratio.
            loss_B_T = loss_B_T * batch.sampler_weight_B_T
        if means is not None:
            for statistic, values_B_T in {**term.statistics, "loss": loss_B_T}.items():
                means.add_tokens(f"{name}/{statistic}", values_B_T, batch.mask_B_T)
        losses[name] = active.coef * normalize(loss_B_T, batch.mask_B_T, step, term.normalization)
    return losses
