"""On-policy penalties: which KL each one's expected gradient belongs to, by enumeration."""

import math

import pytest
import torch
from torch.testing import assert_close

from polypath.errors import ShapeError
from polypath.objectives.onpolicy_kl import (
    ON_POLICY_KL,
    forward_kl_loss,
    reverse_kl_loss,
)
from tests.objectives.tiny_policy import (
    MASK,
    expected_over_states,
    grad,
    probabilities,
    random_logits,
    token_logp,
)
from tests.refusals import refused
from tests.rounding import within

# Log-probabilities are at most 10; softmax, a sum over at most 15 terms of at most 10, their gradients.
EXACT = within(100, size=10)
LOSSES = [reverse_kl_loss, forward_kl_loss]


def kl(p, q):
    return (p * (p / q).log()).sum(dim=-1)


def one_step_gradient(loss, seed=0):
    """Expected gradient over samples of the policy itself, as a trainer sees it: weights detached."""
    rng = torch.Generator().manual_seed(seed)
    logits, ref = 1.5 * torch.randn(2, 6, generator=rng, dtype=torch.float64)
    logits.requires_grad_()
    p = logits.softmax(0)
    per_token = loss(logits.log_softmax(0)[:, None], ref.log_softmax(0)[:, None])[:, 0]
    return grad((p.detach() * per_token).sum(), logits), logits, p, ref.softmax(0)


def test_k2_has_the_gradient_of_the_reverse_kl_and_not_of_the_forward():
    got, logits, p, r = one_step_gradient(reverse_kl_loss)
    assert_close(got, grad(kl(p, r), logits), **EXACT)
    assert (got - grad(kl(r, logits.softmax(0)), logits)).abs().max() > 0.01


def test_k3_has_the_gradient_of_the_forward_kl_and_not_of_the_reverse():
    """The trap: what TRL and verl add for beta > 0 as a penalty on KL(policy || reference)."""
    got, logits, p, r = one_step_gradient(forward_kl_loss)
    assert_close(got, grad(kl(r, p), logits), **EXACT)
    assert (got - grad(kl(logits.softmax(0), r), logits)).abs().max() > 0.01


def test_k1_as_a_loss_has_no_gradient():
    got, *_ = one_step_gradient(lambda logp, ref: logp - ref)
    assert_close(got, torch.zeros_like(got), **EXACT)


def test_the_registry_names_the_direction_of_the_gradient():
    assert {"forward": forward_kl_loss, "reverse": reverse_kl_loss} == ON_POLICY_KL


@pytest.mark.parametrize(("direction", "loss"), ON_POLICY_KL.items())
def test_over_completions_it_is_the_kl_of_next_tokens_at_the_visited_states(direction, loss):
    logits, ref = random_logits(0), random_logits(1).detach()
    old = logits.detach()
    per_token = loss(token_logp(logits), token_logp(ref), MASK)
    got = grad((probabilities(old) * per_token.sum(dim=1)).sum(), logits)
    p, r = logits.softmax(1), ref.softmax(1)
    at_state = kl(p, r) if direction == "reverse" else kl(r, p)
    assert_close(got, grad(expected_over_states(old, at_state), logits), **EXACT)


def test_values_estimate_the_reverse_kl():
    """k3 has mean KL(policy || reference); k2's is right to second order."""
    logits, ref = random_logits(2).detach(), random_logits(3).detach()
    p = probabilities(logits)
    truth = kl(p, probabilities(ref))
    logp, ref_logp = token_logp(logits), token_logp(ref)
    assert_close(p @ forward_kl_loss(logp, ref_logp, MASK).sum(dim=1), truth, **EXACT)


@pytest.mark.parametrize("loss", LOSSES)
def test_zero_value_and_gradient_at_the_reference(loss):
    logp = torch.tensor([[-0.1, -3.0]], requires_grad=True)
    value = loss(logp, logp.detach())
    assert not value.any()
    assert not grad(value.sum(), logp).any()


def test_values_by_hand():
    """d = log 2: k2 = log(2)^2 / 2, k3 = 1/2 + log 2 - 1."""
    logp, ref = torch.tensor([[0.0]]), torch.tensor([[-math.log(2)]])
    assert reverse_kl_loss(logp, ref).item() == pytest.approx(math.log(2) ** 2 / 2)
    assert forward_kl_loss(logp, ref).item() == pytest.approx(math.log(2) - 0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("loss", LOSSES)
def test_finite_at_extreme_log_ratios_and_the_gradient_points_back(loss, dtype):
    """With clamp() the forward loss at d = -120 would push a lost token further down, by +1."""
    d = torch.tensor([[-1e4, -120.0, -30.0, 0.0, 30.0, 120.0, 1e4]], dtype=dtype)
    logp = d.clamp(max=0.0).requires_grad_()
    value = loss(logp, (-d).clamp(max=0.0))
    slope = grad(value.sum(), logp)
    assert torch.isfinite(value).all()
    assert torch.isfinite(slope).all()
    assert torch.equal(slope.sign(), d.sign())


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("loss", LOSSES)
def test_padding_may_hold_anything(loss, garbage):
    mask, clean = torch.tensor([[1, 1, 0]]), torch.tensor([[-0.5, -2.0, 0.0]])
    results = []
    for fill in (0.0, garbage):
        logp = torch.where(mask.bool(), clean, fill).requires_grad_()
        value = loss(logp, torch.where(mask.bool(), 2 * clean, fill), mask)
        results.append((value, grad(value.sum(), logp)))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert results[0][0].any()


@pytest.mark.parametrize("loss", LOSSES)
def test_no_gradient_reaches_the_reference(loss):
    logp, ref = torch.zeros(1, 2), torch.ones(1, 2, requires_grad=True)
    assert not loss(logp, ref).requires_grad


def test_arrays_of_different_shapes_are_refused():
    with refused(ShapeError, "ref_logp_B_T"):
        reverse_kl_loss(torch.zeros(2, 3), torch.zeros(1, 3))
    with refused(ShapeError, "mask_B_T"):
        reverse_kl_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(2, 4))
