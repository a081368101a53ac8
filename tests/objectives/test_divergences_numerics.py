"""Divergences: extremes, the cap, accuracy near theta = ref, padding, errors."""

import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from polypath.errors import ConfigError, ShapeError
from polypath.objectives import PositiveEntropyConfig
from polypath.objectives.divergences import DIVERGENCES, Divergence
from tests.objectives.generators import f, slope, term
from tests.objectives.tiny_policy import grad
from tests.refusals import refused
from tests.rounding import F32, F64, rounding, within

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


# --- the extremes ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("max_log_ratio", [10.0, 30.0])
def test_value_and_gradient_are_finite_at_extreme_log_ratios(name, dtype, max_log_ratio):
    d = torch.tensor([*EXTREME, 1e4], dtype=dtype, requires_grad=True)
    value = f(name, d, max_log_ratio=max_log_ratio)
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
    # -1 + e^d, and f is -d, or -d - 1 where centred.
    expected = [-1.0 + math.exp(x) * (name == "forward_kl") for x in d]
    assert_close(slope(name, d), torch.tensor(expected, dtype=torch.float64), **within(4))
    assert f(name, -1e4).item() == 1e4 - (name == "forward_kl")


def test_every_member_has_its_lost_weight_here():
    assert set(LOST_WEIGHT) == set(DIVERGENCES)


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("d", [-12.0, -30.0])
def test_pull_on_a_lost_mode_is_the_one_the_registry_states(name, d):
    # The text leaves out terms of e^(d/2) times the weight or less: not rounding.
    assert slope(name, d).item() == pytest.approx(LOST_WEIGHT[name](d), rel=2 * math.exp(d / 2))


def test_only_forward_kl_still_pulls_on_a_mode_that_is_gone():
    pull = {name: abs(slope(name, -30.0).item()) for name in DIVERGENCES}
    strong = {name for name, weight in pull.items() if weight > 0.5}
    assert strong == {"forward_kl", "forward_kl_uncentred"}
    assert max(pull.values()) == 1.0
    assert all(pull[name] < 1e-5 for name in DIVERGENCES if name not in strong)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_above_the_cap_f_goes_on_as_a_straight_line(name):
    cap, step = 2.0, 1e-7
    d = torch.tensor([cap - step, cap, cap + step, cap + 1, cap + 7], dtype=torch.float64)
    value, weight = f(name, d, max_log_ratio=cap), slope(name, d, max_log_ratio=cap)
    free = slope(name, cap, max_log_ratio=20.0)
    # Slopes and their own slopes are at most 4 e^4 = 220 (chi-square) up to d = 2.
    assert_close(weight[1:], free.expand(4), **within(10, size=220))
    assert_close(weight[0], free, rtol=0, atol=220 * step + rounding(10, size=220))
    assert_close(value[0], value[2], rtol=0, atol=2 * 220 * step + rounding(10, size=220))
    line = free * torch.tensor([1.0, 7.0], dtype=torch.float64)
    assert_close(value[3:] - value[1], line, **within(10, size=7 * 220))


@pytest.mark.parametrize("name", DIVERGENCES)
def test_gradient_exactly_on_the_cap_is_counted_once(name):
    """10.0 is a bfloat16 number, so d lands there; two clamps meeting there would both pass it."""
    free = slope(name, 10.0, max_log_ratio=20.0)
    assert_close(slope(name, 10.0), free, **within(10, size=2 * math.exp(20)))


# df/dd in forms without any difference of near numbers, by hand from f(u): u f'(u).
PULL = {
    "forward_kl": lambda d, _a: math.expm1(d),
    "forward_kl_uncentred": lambda _d, _a: -1.0,
    "reverse_kl": lambda d, _a: d * math.exp(d),
    "reverse_kl_uncentred": lambda d, _a: (d + 1) * math.exp(d),
    "jensen_shannon": lambda d, _a: 0.5 * math.exp(d) * (d - math.log1p(math.expm1(d) / 2)),
    "alpha": lambda d, a: math.exp((1 - a) * d) * math.expm1(a * d) / a,
    "squared_hellinger": lambda d, _a: math.exp(d / 2) * math.expm1(d / 2),
    "chi_square": lambda d, _a: 2 * math.exp(d) * math.expm1(d),
}


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("alpha", [1e-6, 0.125, 0.5, 1 - 1e-6])
def test_gradient_is_right_to_rounding_at_every_size_of_the_log_ratio(name, alpha):
    """Also where f(e^d) itself is smaller than a rounding of d, and at the ends of alpha."""
    near = [sign * 10.0**power for power in range(-20, 0) for sign in (-1, 1)]
    for d in (*near, -1.0, 1.0, -6.0, 6.0, -40.0):
        # Differences of terms of at most max(1, |d| e^d); chi-square's of 2 e^2d.
        size = max(1.0, abs(d) * math.exp(d), 2 * math.exp(2 * d) * (name == "chi_square"))
        expected = pytest.approx(PULL[name](d, alpha), rel=0, abs=rounding(30 + abs(d), size))
        assert slope(name, d, alpha=alpha).item() == expected, d


def test_capped_says_where():
    told = term("forward_kl", torch.tensor([-1e4, 0.0, 2.0, 2.5]), max_log_ratio=2.0)
    assert told.statistics["cap_fraction"].tolist() == [
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
    # Computed in float64 to some roundings of d, rounded to float32 once; the series goes on with
    # d^4, d^2 times the value.
    wrong = rounding(10, size=abs(d)) + value * (rounding(2, eps=F32) + 10 * d**2)
    assert value == pytest.approx(SERIES[name](exact_d), rel=0, abs=wrong)


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("alpha", [1e-6, 0.125, 0.5, 1 - 1e-6])
def test_very_near_the_reference_values_are_right_to_some_roundings_of_the_log_ratio(name, alpha):
    """Where that is more than the value itself, 0 is right and below 0 is wrong."""
    near = [10.0**power for power in range(-300, -6)]
    near += [part * F64 / 4 for part in range(1, 64)] + [5e-324]
    d = torch.tensor([sign * size for size in near for sign in (-1, 1)], dtype=torch.float64)
    value = f(name, d, alpha=alpha)
    assert (value >= 0).all()
    expected = DIVERGENCES[name].curvature * d.square() / 2
    third = d.abs() ** 3  # the next term of every series has at most this size
    assert ((value - expected).abs() <= rounding(30) * d.abs() + third + 1e-300).all()


# --- padding, modes, errors --------------------------------------------------------------------


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 1e30])
def test_padding_may_hold_anything(name, garbage):
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    clean = torch.tensor([[0.3, -2.0, 0.0], [12.0, 0.0, 0.0]])
    results = []
    for fill in (0.0, garbage):
        logp = torch.where(mask.bool(), clean, fill).requires_grad_()
        value = f(name, logp - torch.where(mask.bool(), 0.0, fill), mask)
        results.append((value, grad(value.sum(), logp)))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert not results[0][0][mask == 0].any()
    assert not results[0][1][mask == 0].any()
    assert torch.equal(results[0][0][mask == 1], f(name, clean)[mask == 1])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_switched_off(mode):
    with mode():
        d = torch.tensor([0.5, 11.0])
        value = f("forward_kl", d)
    assert torch.equal(value, f("forward_kl", torch.tensor([0.5, 11.0])))


def test_mask_of_another_shape_is_refused():
    with refused(ShapeError, "mask_B_T"):
        f("forward_kl", torch.zeros(1, 2), torch.ones(1, 3))


@pytest.mark.parametrize(
    "setting",
    [
        {"alpha": 1.0},
        {"alpha": 0.0},
        {"alpha": math.nan},
        {"max_log_ratio": 0.0},
        {"max_log_ratio": math.inf},
    ],
)
def test_bad_settings_are_refused(setting):
    ((name, value),) = setting.items()
    with refused(ConfigError, name, value):
        DIVERGENCES["alpha"].config(**setting)


def test_settings_can_be_replaced_and_are_checked_again():
    with refused(ConfigError, "alpha", 2.0):
        replace(DIVERGENCES["alpha"].config(), alpha=2.0)


def test_a_member_is_bounded_and_curved():
    parts = {"name": "mine", "function": lambda config, d: config and d, "formula": "log u"}
    with refused(ConfigError, "curvature"):
        Divergence(**parts, curvature=0.0)
    with refused(ConfigError, "DivergenceConfig"):
        Divergence(**parts, curvature=1.0, config=PositiveEntropyConfig)
