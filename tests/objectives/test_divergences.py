"""Divergences: closed forms by enumeration, limits, shape at the extremes, accuracy near theta = ref."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from polypath.errors import ConfigError, ShapeError
from polypath.objectives.divergences import DIVERGENCES, DivergenceConfig, capped, divergence
from tests.objectives.tiny_policy import (
    MASK,
    expected_over_states,
    grad,
    masked_sum,
    probabilities,
    random_logits,
    token_logp,
)
from tests.strategies import FAST

EXACT = {"rtol": 0, "atol": 1e-9}
CENTRED = [name for name in DIVERGENCES if not name.endswith("_uncentred")]
EXTREME = [-1e4, -120.0, -30.0, 0.0, 30.0, 120.0]
# Weight of the gradient on a lost token as d -> -inf, from f'(u) u, beside the text in the registry.
LOST_WEIGHT = {
    "forward_kl": lambda _d: -1.0,
    "forward_kl_uncentred": lambda _d: -1.0,
    "reverse_kl": lambda d: d * math.exp(d),
    "reverse_kl_uncentred": lambda d: (d + 1) * math.exp(d),
    "jensen_shannon": lambda d: (d + math.log(2)) * math.exp(d) / 2,
    "alpha": lambda d: -math.exp(d / 2) / 0.5,
    "squared_hellinger": lambda d: -math.exp(d / 2),
    "chi_square": lambda d: -2 * math.exp(d),
}


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


def f(name, d, **settings):
    return divergence(DivergenceConfig(name=name, **settings), torch.as_tensor(d))


def slope(name, d, dtype=torch.float64, **settings):
    d = torch.as_tensor(d, dtype=dtype).clone().requires_grad_()
    return grad(f(name, d, **settings).sum(), d)


def test_every_member_has_a_closed_form_here_and_its_own_name():
    assert set(CLOSED) == set(LOST_WEIGHT) == set(DIVERGENCES)
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
    got = (
        probabilities(ref) * divergence(DivergenceConfig(name=name), d_B_T, MASK).sum(dim=1)
    ).sum()
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
    got = (
        probabilities(ref) * divergence(DivergenceConfig(name=name), d_B_T, MASK).sum(dim=1)
    ).sum()
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
    near = {"rtol": 1e-4, "atol": 1e-6}
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
    p = torch.tensor([1 - 1e-9, 1e-9], dtype=torch.float64)
    r = p.flip(0)
    value = (r * f("jensen_shannon", (p / r).log(), max_log_ratio=30)).sum()
    assert_close(value, torch.tensor(math.log(2), dtype=torch.float64), rtol=0, atol=1e-6)
    assert value <= math.log(2)


@FAST
@given(st.lists(st.floats(-6, 6), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_property_jensen_shannon_lies_between_zero_and_log_two(values, random):
    logits = torch.tensor(values, dtype=torch.float64)
    other = torch.tensor(random.sample(values, len(values)), dtype=torch.float64)
    r = other.softmax(0)
    value = (
        r * f("jensen_shannon", logits.log_softmax(0) - other.log_softmax(0), max_log_ratio=30)
    ).sum()
    assert -1e-15 <= value <= math.log(2)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_zero_at_the_reference(name):
    assert f(name, 0.0).item() == 0.0


@pytest.mark.parametrize("name", CENTRED)
def test_centred_members_have_exactly_no_gradient_at_the_reference(name):
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        assert slope(name, 0.0, dtype).item() == 0.0


@FAST
@given(st.floats(-50, 12, width=32), st.floats(0.05, 0.95))
def test_property_centred_members_are_never_negative_and_pull_towards_the_reference(d, alpha):
    for name in CENTRED:
        assert f(name, d, alpha=alpha).item() >= 0, name
        weight = slope(name, d, alpha=alpha).item()
        assert weight * d >= 0, name


@pytest.mark.parametrize("name", DIVERGENCES)
def test_curvature_is_the_second_derivative_at_one(name):
    """f''(u) at u = 1, from f'(u) = (df/dd) / u by a central difference in u."""
    h = 1e-5
    up, down = (slope(name, math.log(1 + s * h)).item() / (1 + s * h) for s in (1, -1))
    assert (up - down) / (2 * h) == pytest.approx(DIVERGENCES[name].curvature, rel=1e-6)


@pytest.mark.parametrize("name", CENTRED)
def test_curvature_matched_members_agree_near_the_reference(name):
    d = torch.tensor([-1e-4, 1e-4], dtype=torch.float64)
    assert_close(f(name, d, curvature_matched=True), d.square() / 2, rtol=1e-3, atol=0)
    factor = DIVERGENCES[name].curvature
    assert_close(f(name, D), factor * f(name, D, curvature_matched=True))


# --- the extremes ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("max_log_ratio", [10.0, 30.0])
def test_value_and_gradient_are_finite_at_extreme_log_ratios(name, dtype, max_log_ratio):
    d = torch.tensor([*EXTREME, 1e4], dtype=dtype, requires_grad=True)
    value = divergence(DivergenceConfig(name=name, max_log_ratio=max_log_ratio), d)
    assert value.dtype == torch.float32
    assert torch.isfinite(value).all()
    assert torch.isfinite(grad(value.sum(), d)).all()


@pytest.mark.parametrize("alpha", [1e-6, 0.01, 0.99, 1 - 1e-6])
def test_alpha_is_finite_at_extreme_log_ratios_for_every_allowed_alpha(alpha):
    assert torch.isfinite(f("alpha", torch.tensor(EXTREME), alpha=alpha)).all()
    assert torch.isfinite(slope("alpha", EXTREME, torch.float32, alpha=alpha)).all()


@pytest.mark.parametrize("name", ["forward_kl", "forward_kl_uncentred"])
def test_forward_kl_is_not_clamped_below(name):
    """The authors' clamps to [-20, 20] and [-10, 10] leave a forgotten mode without any pull."""
    d = [-11.5, -30.0, -120.0, -1e4]
    assert slope(name, d[2:], torch.float32).tolist() == [-1.0, -1.0]
    assert_close(slope(name, d), torch.full((4,), -1.0, dtype=torch.float64), rtol=0, atol=2e-5)
    assert f(name, -1e4).item() == pytest.approx(1e4, abs=1.0)


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("d", [-12.0, -30.0])
def test_pull_on_a_lost_mode_is_the_one_the_registry_states(name, d):
    assert slope(name, d).item() == pytest.approx(LOST_WEIGHT[name](d), rel=1e-2)


def test_only_forward_kl_still_pulls_on_a_mode_that_is_gone():
    pull = {name: abs(slope(name, -30.0).item()) for name in DIVERGENCES}
    strong = {name for name, weight in pull.items() if weight > 0.5}
    assert strong == {"forward_kl", "forward_kl_uncentred"}
    assert max(pull.values()) == pytest.approx(1.0)
    assert all(pull[name] < 1e-5 for name in DIVERGENCES if name not in strong)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_above_the_cap_f_goes_on_as_a_straight_line(name):
    cap, step = 2.0, 1e-7
    config = DivergenceConfig(name=name, max_log_ratio=cap)
    d = torch.tensor([cap - step, cap, cap + step, cap + 1, cap + 7], dtype=torch.float64)
    value, weight = divergence(config, d), slope(name, d, max_log_ratio=cap)
    free = slope(name, cap, max_log_ratio=20.0)
    assert_close(weight[1:], free.expand(4), rtol=1e-12, atol=0)
    assert_close(weight[0], free, rtol=1e-5, atol=0)
    assert_close(value[0], value[2], rtol=1e-5, atol=1e-5)
    assert_close(value[3:] - value[1], free * torch.tensor([1.0, 7.0], dtype=torch.float64))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_gradient_exactly_on_the_cap_is_counted_once(name):
    """10.0 is a bfloat16 number, so d lands there; two clamps meeting there would both pass it."""
    assert_close(slope(name, 10.0), slope(name, 10.0, max_log_ratio=20.0))


def test_capped_says_where():
    config = DivergenceConfig(max_log_ratio=2.0)
    assert capped(config, torch.tensor([-1e4, 0.0, 2.0, 2.5])).tolist() == [
        False,
        False,
        False,
        True,
    ]


# --- accuracy near the reference ---------------------------------------------------------------

# d^2 / 2 f''(1) and the next terms, from the series of f(e^d) worked out by hand.
SERIES = {
    "forward_kl": lambda d: d**2 / 2 + d**3 / 6 + d**4 / 24,
    "reverse_kl": lambda d: d**2 / 2 + d**3 / 3 + d**4 / 8,
    "jensen_shannon": lambda d: d**2 / 8 + d**3 / 16,
    "alpha": lambda d: d**2 / 2 + d**3 / 4,
    "squared_hellinger": lambda d: d**2 / 4 + d**3 / 8,
    "chi_square": lambda d: d**2 + d**3,
}


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("d", [1e-4, -1e-4, 1e-6, -1e-6])
def test_float32_is_positive_and_accurate_near_the_reference(name, d):
    exact_d = torch.tensor(d).double().item()
    value = f(name, torch.tensor(d)).item()
    assert value > 0
    assert value == pytest.approx(SERIES[name](exact_d), rel=1e-6)


def test_jensen_shannon_stays_positive_very_near_the_reference():
    d = torch.tensor([1e-8, -1e-8, 1e-7], dtype=torch.float64)
    assert_close(f("jensen_shannon", d), d.square() / 8, rtol=1e-5, atol=0)


# --- padding, modes, errors --------------------------------------------------------------------


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e30])
def test_padding_may_hold_anything(name, garbage):
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    clean = torch.tensor([[0.3, -2.0, 0.0], [12.0, 0.0, 0.0]])
    config, results = DivergenceConfig(name=name), []
    for fill in (0.0, garbage):
        logp = torch.where(mask.bool(), clean, fill).requires_grad_()
        value = divergence(config, logp - torch.where(mask.bool(), 0.0, fill), mask)
        results.append((value, grad(value.sum(), logp)))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not results[0][0][mask == 0].any()
    assert not results[0][1][mask == 0].any()
    assert torch.equal(results[0][0][mask == 1], divergence(config, clean)[mask == 1])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_switched_off(mode):
    with mode():
        d = torch.tensor([0.5, 11.0])
        value = f("forward_kl", d)
    assert_close(value, f("forward_kl", torch.tensor([0.5, 11.0])))


def test_mask_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"mask_B_T has 3 entries on axis 1 \(T\)"):
        divergence(DivergenceConfig(), torch.zeros(1, 2), torch.ones(1, 3))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"name": "forward-kl"}, r"Unknown divergence 'forward-kl'. Did you mean 'forward_kl'\?"),
        ({"name": None}, "Unknown divergence 'None'"),
        ({"name": ["forward_kl"]}, "Unknown divergence"),
        ({"alpha": 1.0}, "alpha must be between 0 and 1.* got 1.0. Use forward_kl for 1"),
        ({"alpha": 0.0}, "reverse_kl for 0"),
        ({"alpha": math.nan}, "got nan"),
        ({"max_log_ratio": 0.0}, r"max_log_ratio must be in \(0, 30\], got 0.0"),
        ({"max_log_ratio": math.inf}, "got inf"),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        DivergenceConfig(**setting)


def test_settings_can_be_replaced_and_are_checked_again():
    with pytest.raises(ConfigError, match="alpha"):
        replace(DivergenceConfig(name="alpha"), alpha=2.0)
