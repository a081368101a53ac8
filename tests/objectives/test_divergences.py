"""Divergences: closed forms by enumeration, limits, identities, curvature."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from polypath.objectives.divergences import DIVERGENCES
from tests.objectives.generators import CENTRED, f, slope
from tests.objectives.tiny_policy import (
    MASK,
    expected_over_states,
    grad,
    masked_sum,
    probabilities,
    random_logits,
    token_logp,
)
from tests.rounding import F32, rounding, within
from tests.strategies import FAST

# Terms r f(u) and their gradients are at most (p - r)^2 / r, here below 200. A log-ratio is a
# difference of numbers up to 10, so that e^2d alone is off by 20 roundings; softmax, f and the sum
# over at most 15 terms add less than that again.
EXACT = within(100, size=200)


def kl(p, q):
    return (p * (p / q).log()).sum()


# D(p || r) between the policy p and the reference r, from textbook definitions in p and r.
CLOSED = {
    "forward_kl": lambda p, r, _a: kl(r, p),
    "forward_kl_uncentred": lambda p, r, _a: kl(r, p),
    "reverse_kl": lambda p, r, _a: kl(p, r),
    "reverse_kl_uncentred": lambda p, r, _a: kl(p, r),
    "jensen_shannon": lambda p, r, _a: kl(p, (p + r) / 2) / 2 + kl(r, (p + r) / 2) / 2,
    "alpha": lambda p, r, a: (1 - (p ** (1 - a) * r**a).sum()) / (a * (1 - a)),
    "squared_hellinger": lambda p, r, _a: ((p.sqrt() - r.sqrt()) ** 2).sum(),
    "chi_square": lambda p, r, _a: ((p - r) ** 2 / r).sum(),
}


def test_every_member_has_a_closed_form_here_and_its_own_name():
    assert set(CLOSED) == set(DIVERGENCES)
    assert all(member.name == name for name, member in DIVERGENCES.items())


# --- enumeration -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.8])
def test_expectation_under_the_reference_is_the_divergence_in_value_and_gradient(name, alpha):
    rng = torch.Generator().manual_seed(3)
    logits, ref = 1.5 * torch.randn(2, 6, generator=rng, dtype=torch.float64)
    logits.requires_grad_()
    p, r = logits.softmax(0), ref.softmax(0)
    got = (r * f(name, logits.log_softmax(0) - ref.log_softmax(0), alpha=alpha)).sum()
    truth = CLOSED[name](p, r, alpha)
    assert truth > 0.01
    assert_close(got, truth, **EXACT)
    assert_close(grad(got, logits), grad(truth, logits), **EXACT)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_sum_over_tokens_is_the_sum_of_next_token_divergences_at_reference_states(name):
    logits, ref = random_logits(0), random_logits(1).detach()
    d_B_T = token_logp(logits) - token_logp(ref)
    got = (probabilities(ref) * f(name, d_B_T, MASK).sum(dim=1)).sum()
    p, r = logits.softmax(1), ref.softmax(1)
    per_state = torch.stack([CLOSED[name](p[i], r[i], 0.5) for i in range(len(p))])
    truth = expected_over_states(ref, per_state)
    assert_close(got, truth, **EXACT)
    assert_close(grad(got, logits), grad(truth, logits), **EXACT)


@pytest.mark.parametrize("name", ["forward_kl", "forward_kl_uncentred"])
def test_forward_kl_obeys_the_chain_rule(name):
    """Tokens of the forward KL sum to the KL between whole completions, in value and gradient."""
    logits, ref = random_logits(2), random_logits(3).detach()
    d_B_T = token_logp(logits) - token_logp(ref)
    got = (probabilities(ref) * f(name, d_B_T, MASK).sum(dim=1)).sum()
    truth = kl(probabilities(ref), probabilities(logits))
    assert_close(got, truth, **EXACT)
    assert_close(grad(got, logits), grad(truth, logits), **EXACT)


def test_tokens_of_jensen_shannon_do_not_sum_to_that_of_completions():
    """Only the forward KL has a chain rule under reference states: what is trained is per token."""
    logits, ref = random_logits(2), random_logits(3)
    d_B_T = token_logp(logits) - token_logp(ref)
    tokens = probabilities(ref) @ masked_sum(f("jensen_shannon", d_B_T))
    whole = CLOSED["jensen_shannon"](probabilities(logits), probabilities(ref), 0.5)
    assert (tokens - whole).abs() > 0.01


def test_uncentred_forward_kl_raises_the_probability_of_stored_correct_answers_and_centred_stays():
    """Stored answers follow ref given correct, so E[u - 1] is not 0 there.

    Expected gradients by hand at theta = ref: centred E[u - 1] = 0; uncentred
    -grad E_ref[log pi | correct] = -grad log P(correct), which descent follows uphill.
    """
    ref = torch.tensor([1.0, 0.0, -0.5, 0.3], dtype=torch.float64)
    correct = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    stored = ref.softmax(0) * correct
    stored = stored / stored.sum()
    logits = ref.clone().requires_grad_()
    d = logits.log_softmax(0) - ref.log_softmax(0)
    centred, uncentred = (
        (stored * f("forward_kl", d)).sum(),
        (stored * f("forward_kl_uncentred", d)).sum(),
    )
    assert not grad(centred, logits).any()
    truth = grad(-(logits.softmax(0) * correct).sum().log(), logits)
    assert truth.abs().max() > 0.01
    assert_close(grad(uncentred, logits), truth, **EXACT)


# --- limits and identities ---------------------------------------------------------------------

D = torch.linspace(-8, 8, 65, dtype=torch.float64)


def test_alpha_tends_to_the_two_kl_divergences():
    # Not rounding: alpha is 1e-6 from its limit, and d ln f / d alpha is below |d| + 2 = 10.
    near = {"rtol": 10 * 1e-6, "atol": rounding(10)}
    assert_close(f("alpha", D, alpha=1 - 1e-6), f("forward_kl", D), **near)
    assert_close(f("alpha", D, alpha=1e-6), f("reverse_kl", D), **near)
    assert_close(slope("alpha", D, alpha=1 - 1e-6), slope("forward_kl", D), **near)
    assert_close(slope("alpha", D, alpha=1e-6), slope("reverse_kl", D), **near)


def test_alpha_one_half_is_twice_squared_hellinger():
    assert_close(f("alpha", D, alpha=0.5), 2 * f("squared_hellinger", D))
    assert_close(slope("alpha", D, alpha=0.5), 2 * slope("squared_hellinger", D))


def test_jensen_shannon_is_symmetric():
    """f(u) = u f(1/u)."""
    assert_close(f("jensen_shannon", D), D.exp() * f("jensen_shannon", -D))


def test_jensen_shannon_is_at_most_log_two_and_reaches_it():
    far = 1e-9
    p = torch.tensor([1 - far, far], dtype=torch.float64)
    r = p.flip(0)
    value = (r * f("jensen_shannon", (p / r).log(), max_log_ratio=30)).sum().item()
    # log 2 minus the entropy of (far, 1 - far), to first order in far.
    short = far * (1 - math.log(far)) + far * math.log(4)
    assert math.log(2) - 2 * short < value < math.log(2)


@FAST
@given(st.lists(st.floats(-6, 6), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_property_jensen_shannon_lies_between_zero_and_log_two(values, random):
    logits = torch.tensor(values, dtype=torch.float64)
    other = torch.tensor(random.sample(values, len(values)), dtype=torch.float64)
    r = other.softmax(0)
    value = (
        r * f("jensen_shannon", logits.log_softmax(0) - other.log_softmax(0), max_log_ratio=30)
    ).sum()
    # At most 8 terms r f(u), each of at most log 2 and a few operations on numbers up to 12.
    assert 0 <= value <= math.log(2) + rounding(8 * 10, size=12)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_zero_at_the_reference(name):
    assert f(name, 0.0).item() == 0.0


@pytest.mark.parametrize("name", CENTRED)
def test_centred_members_have_exactly_no_gradient_at_the_reference(name):
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        assert slope(name, 0.0, dtype).item() == 0.0


# All of a range of floats, and the numbers so near 0 that f(e^d) is smaller than a rounding of d.
near_and_far = st.floats(-50, 12) | st.builds(
    lambda sign, power: sign * 10.0**power, st.sampled_from([-1, 1]), st.floats(-320, -3)
)
alphas = st.floats(1e-6, 1 - 1e-6)


@FAST
@given(near_and_far, alphas, st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
def test_property_centred_members_are_never_negative_and_pull_towards_the_reference(
    d, alpha, dtype
):
    """The gradient is a sum of terms of about max(1, e^d), each right to some roundings."""
    d = torch.tensor(d, dtype=dtype).item()
    slack = rounding(10, size=max(1.0, abs(d) * math.exp(d)))
    for name in CENTRED:
        assert f(name, torch.tensor(d, dtype=dtype), alpha=alpha).item() >= 0, name
        assert slope(name, d, alpha=alpha).item() * math.copysign(1, d) >= -slack, name


@FAST
@given(near_and_far, alphas)
def test_property_never_negative_in_float32_for_devices_without_float64(d, alpha):
    for name in CENTRED:
        d_32 = torch.tensor(d, dtype=torch.float32, requires_grad=True)
        member = DIVERGENCES[name]
        settings = {"alpha": alpha} if name == "alpha" else {}
        value = member.function(member.config(**settings), d_32)
        assert value.item() >= 0, name
        slack = rounding(10, size=max(1.0, abs(d) * math.exp(d)), eps=F32)
        assert grad(value, d_32).item() * math.copysign(1, d) >= -slack, name


@pytest.mark.parametrize("name", DIVERGENCES)
def test_curvature_is_the_second_derivative_at_one(name):
    """f''(u) at u = 1, from f'(u) = (df/dd) / u by a central difference in u."""
    h = 1e-5
    up, down = (slope(name, math.log(1 + s * h)).item() / (1 + s * h) for s in (1, -1))
    # The central difference leaves out h^2 f(1) / 6 with f below 12; slopes are of size 1.
    wrong = 2 * h**2 + rounding(10) / h
    assert (up - down) / (2 * h) == pytest.approx(DIVERGENCES[name].curvature, rel=0, abs=wrong)


@pytest.mark.parametrize("name", CENTRED)
def test_curvature_matched_members_agree_near_the_reference(name):
    d = torch.tensor([-1e-4, 1e-4], dtype=torch.float64)
    # The next term of the series is at most d^3 (chi-square), 2 |d| of d^2 / 2.
    assert_close(f(name, d, curvature_matched=True), d.square() / 2, rtol=2.1e-4, atol=0)
    factor = DIVERGENCES[name].curvature
    assert_close(f(name, D), factor * f(name, D, curvature_matched=True))
