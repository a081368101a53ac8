"""Policy terms: each with its weight, its inputs, its normalisation and its statistics."""

from dataclasses import dataclass
from functools import partial

import pytest
import torch

from polypath.core.processes import SingleProcess
from polypath.core.statistics import TokenMeans
from polypath.core.step import StepShape, normalize
from polypath.core.terms import TokenBatch, gradient_by, policy_terms
from polypath.errors import ConfigError
from polypath.objectives import PolicyTerm, TokenTerm
from polypath.objectives.clip_cov import CLIP_COV
from polypath.objectives.covariance import token_covariance
from polypath.objectives.positive_entropy import POSITIVE_ENTROPY
from polypath.settings import setting

LOGP = torch.tensor([[-1.0, -2.0], [-4.0, -8.0]], requires_grad=True)
MASK = torch.tensor([[1, 1], [1, 0]])
STEP = StepShape(accumulation=1, processes=1, tokens=3, sequences=2, max_length=2)


def batch(**more):
    parts = {"logp_B_T": LOGP, "behaviour_logp_B_T": LOGP.detach(), "mask_B_T": MASK}
    return TokenBatch(**{**parts, **more})


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    by: float = setting(1.0, "Factor.")


def times_advantage(config, logp_B_T, behaviour_logp_B_T, mask_B_T, advantages_B):
    del behaviour_logp_B_T
    loss_B_T = config.by * logp_B_T * advantages_B[:, None] * mask_B_T
    return TokenTerm(loss_B_T=loss_B_T, statistics={"low": logp_B_T < -1.5})


TERM = PolicyTerm(name="mine", config=NoSettings, function=times_advantage, line="", paper="")


def test_terms_are_weighted_normalised_by_their_own_rule_and_logged():
    means = TokenMeans()
    given = batch(correct_B=torch.tensor([True, False]), advantages_B=torch.tensor([2.0, 1.0]))
    active = [POSITIVE_ENTROPY.on(coef=0.5), TERM.on(coef=3.0)]
    found = policy_terms(active, given, STEP, means)
    assert found["positive_entropy"].item() == 0.5 * ((-1 - 2) / 2) / 2  # mean over 2 completions
    assert found["mine"].item() == pytest.approx(3.0 * (2 * -3 + -4) / 3)  # over 3 tokens
    told = means.flush(SingleProcess())
    assert told["mine/low"] == pytest.approx(2 / 3)
    assert told["mine/loss"] == pytest.approx((2 * -3 + -4) / 3)
    assert told["positive_entropy/loss"] == -1.0
    assert told["positive_entropy/cap_fraction"] == 0.0


def test_a_sampler_of_its_own_kernels_weighs_the_terms():
    weight = torch.tensor([[0.5], [2.0]])
    given = batch(advantages_B=torch.ones(2), sampler_weight_B_T=weight)
    found = policy_terms([TERM.on(coef=1.0)], given, STEP, None)
    assert found["mine"].item() == pytest.approx((0.5 * -3 + 2 * -4) / 3)


def test_what_is_not_at_hand_is_named():
    with pytest.raises(ConfigError, match="mine needs advantages_B"):
        policy_terms([TERM.on(coef=1.0)], batch(), STEP, None)
    exact = POSITIVE_ENTROPY.on(coef=1.0, form="exact")
    with pytest.raises(ConfigError, match="entropy_B_T"):
        policy_terms([exact], batch(correct_B=torch.ones(2)), STEP, None)


def test_no_term_is_no_loss():
    assert policy_terms([], batch(), STEP, None) == {}


@pytest.mark.parametrize("loss_rule", ["token_mean", "sequence_mean", "sequence_sum"])
def test_a_term_of_the_policy_s_own_gradient_cancels_it_whatever_the_rule_of_the_loss(loss_rule):
    """Two micro-batches of a step on two processes, with a sampler's weights in the policy's loss."""
    step = StepShape(accumulation=2, processes=2, tokens=12, sequences=8, max_length=2)
    advantages, weight = torch.tensor([3.0, -1.0]), torch.tensor([[0.5], [2.0]])
    loss = normalize(-LOGP * advantages[:, None] * weight, MASK, step, loss_rule)
    given = batch(
        advantages_B=advantages,
        sampler_weight_B_T=weight,
        policy_gradient=partial(gradient_by, LOGP, loss),
    )
    term = CLIP_COV.on(coef=1.0, ratio=1.0, lower=1.0, upper=100.0)
    found = policy_terms([term], given, step, None)["clip_cov"]
    covariance = token_covariance(LOGP, advantages, MASK)
    (gradient,) = torch.autograd.grad(loss, LOGP, retain_graph=True)
    (left,) = torch.autograd.grad(loss + found, LOGP)
    assert torch.equal(left, torch.where(covariance > 1, 0.0, gradient))
    assert (covariance > 1).tolist() == [[True, False], [True, False]]
    assert left[0, 1] != 0


def test_in_an_evaluation_there_is_no_gradient_to_cancel():
    none = partial(gradient_by, LOGP, torch.tensor(1.0))
    given = batch(advantages_B=torch.tensor([3.0, -1.0]), policy_gradient=none)
    found = policy_terms([CLIP_COV.on(coef=1.0, lower=0.0)], given, STEP, None)
    assert found["clip_cov"].item() == 0.0


def test_without_the_policy_s_loss_a_term_of_its_gradient_is_refused():
    with pytest.raises(ConfigError, match="clip_cov needs policy_gradient_B_T"):
        policy_terms([CLIP_COV.on(coef=1.0)], batch(advantages_B=torch.ones(2)), STEP, None)
