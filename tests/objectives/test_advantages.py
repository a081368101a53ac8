"""Group advantages: golden values, agreement with TRL, and the traps of rounding and missing rewards."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.objectives.advantages import AdvantageConfig, constant_groups, group_advantages
from tests.reference.trl_advantages import trl_advantages
from tests.refusals import refused
from tests.rounding import within
from tests.strategies import FAST, generator, scored_groups, seeds

SCALES = ["group", "batch", "none"]


def test_golden_one_right_of_four():
    """Rewards (1, 0, 0, 0): mean 1/4, unbiased variance (9/16 + 3/16) / 3 = 1/4, deviation 1/2.

    Hence (3/4, -1/4, -1/4, -1/4) / (1/2 + eps).
    """
    rewards_P_G = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    centred = torch.tensor([[0.75, -0.25, -0.25, -0.25]], dtype=torch.float64)
    assert_close(group_advantages(AdvantageConfig(eps=0.25), rewards_P_G), centred / 0.75)
    assert_close(group_advantages(AdvantageConfig(scale="none"), rewards_P_G), centred)


def test_golden_batch_scale_divides_every_group_by_one_deviation():
    """Rewards (1, 0 | 3, 0): centred (1/2, -1/2 | 3/2, -3/2); the four have mean 1, variance 6 / 3."""
    got = group_advantages(AdvantageConfig(scale="batch", eps=0), torch.tensor([[1.0, 0], [3, 0]]))
    centred = torch.tensor([[0.5, -0.5], [1.5, -1.5]], dtype=torch.float64)
    assert_close(got, centred / math.sqrt(2))


@FAST
@given(scored_groups(), st.sampled_from(SCALES), st.floats(0, 0.4), seeds)
def test_property_agrees_with_trl_also_where_rewards_are_missing(batch, scale, missing, seed):
    rewards_P_G = batch[0] + torch.rand(batch[0].shape, generator=generator(seed))
    lost_P_G = torch.rand(rewards_P_G.shape, generator=generator(seed + 1)) < missing
    lost_P_G[:, :1] = False  # numpy's nanmean needs one
    rewards_P_G = rewards_P_G.masked_fill(lost_P_G, math.nan)
    expected = trl_advantages(rewards_P_G.numpy(), scale)
    if scale == "batch" and np.isfinite(rewards_P_G.numpy()).sum() == 1:
        expected = np.zeros_like(expected)
    got = group_advantages(AdvantageConfig(scale=scale), rewards_P_G)
    assert_close(got, torch.from_numpy(expected))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("eps", [0.0, 1e-6, 1e-4])
def test_a_constant_group_is_exactly_zero_beside_one_that_is_not(scale, eps):
    rewards_P_G = torch.tensor([[0.1, 0.1, 0.1], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    got = group_advantages(AdvantageConfig(scale=scale, eps=eps), rewards_P_G)
    assert (got[0] == 0).all()
    assert (got[2] == 0).all()
    assert (got[1] != 0).all()


def test_rewards_equal_up_to_float32_rounding_carry_no_signal():
    """0.1 + 0.2 and 0.3 are one rounding step apart in float32, and the arithmetic of an engine
    (float32, verl's eps of 1e-6) makes advantages of a hundredth out of it."""
    same = torch.tensor([[0.1 + 0.2, 0.3, 0.3]], dtype=torch.float32)
    step = torch.tensor([[0.3, 0.3, 0.3]])
    step[0, 0] = torch.nextafter(step[0, 0], torch.tensor(1.0))
    naive = (step - step.mean()) / (step.std() + 1e-6)
    assert naive.abs().max() > 0.01
    for rewards_P_G in (same, step):
        assert not group_advantages(AdvantageConfig(eps=1e-6), rewards_P_G).any()


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_the_smallest_real_difference_is_a_signal(size):
    rewards_P_G = torch.tensor([[1.0, 1.0 + 2.0**-20]], dtype=torch.float64) * size
    assert not constant_groups(rewards_P_G).any()
    rewards_P_G = torch.tensor([[1.0, 1.0 + 2.0**-23]], dtype=torch.float64) * size
    assert constant_groups(rewards_P_G).all()


def test_constant_groups_by_hand():
    nan = math.nan
    rewards_P_G = torch.tensor(
        [[1.0, 1, nan], [0, 1, nan], [nan, nan, nan], [-1, -1, -1], [-1, 1, 0]]
    )
    assert constant_groups(rewards_P_G)[:, 0].tolist() == [True, False, True, True, False]


@pytest.mark.parametrize("scale", SCALES)
def test_unscored_completions_get_zero_and_do_not_move_the_others(scale):
    config = AdvantageConfig(scale=scale)
    with_gap = group_advantages(config, torch.tensor([[1.0, math.nan, 0.0, 0.0]]))
    without = group_advantages(config, torch.tensor([[1.0, 0.0, 0.0]]))
    assert with_gap[0, 1] == 0
    assert_close(with_gap[0, [0, 2, 3]], without[0], **within(10))


@pytest.mark.parametrize("scale", SCALES)
def test_a_group_without_or_with_one_scored_completion_is_zero(scale):
    rewards_P_G = torch.tensor([[math.nan, math.nan], [math.nan, 3.0]])
    assert not group_advantages(AdvantageConfig(scale=scale), rewards_P_G).any()
    assert not group_advantages(AdvantageConfig(scale=scale), rewards_P_G[:1]).any()
    assert not group_advantages(AdvantageConfig(scale=scale), torch.tensor([[2.0]])).any()


@FAST
@given(scored_groups(), st.sampled_from(SCALES))
def test_property_centred_finite_and_in_the_order_of_the_rewards(batch, scale):
    rewards_P_G = batch[0]
    got = group_advantages(AdvantageConfig(scale=scale), rewards_P_G)
    assert got.dtype == torch.float64
    assert torch.isfinite(got).all()
    # At most 7 terms of at most 3, each a mean, a deviation and a quotient.
    assert_close(got.sum(dim=1), torch.zeros_like(got[:, 0]), **within(7 * 10, size=3))
    higher = rewards_P_G.unsqueeze(2) > rewards_P_G.unsqueeze(1)
    assert (got.unsqueeze(2) > got.unsqueeze(1))[higher].all()


@FAST
@given(scored_groups(), st.sampled_from(["group", "none"]))
def test_property_groups_do_not_see_each_other(batch, scale):
    config = AdvantageConfig(scale=scale)
    alone = torch.cat([group_advantages(config, rewards[None]) for rewards in batch[0]])
    assert_close(group_advantages(config, batch[0]), alone, **within(10, size=3))


def test_scale_of_the_rewards_cancels_but_for_eps():
    rewards_P_G = torch.tensor([[1.0, 0.0, 0.5]])
    config = AdvantageConfig(eps=0)
    got = group_advantages(config, 7 * rewards_P_G + 3)
    assert_close(got, group_advantages(config, rewards_P_G))


def test_no_gradient_reaches_the_rewards():
    assert not group_advantages(AdvantageConfig(), torch.rand(1, 3).requires_grad_()).requires_grad


@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_an_infinite_reward_is_named(bad):
    with refused(DataError, "rewards_P_G[1, 2]", bad):
        group_advantages(AdvantageConfig(), torch.tensor([[0.0, 1, 0], [0, 1, bad]]))


def test_flat_rewards_are_refused():
    with refused(ShapeError, "rewards_P_G", "(6,)"):
        group_advantages(AdvantageConfig(), torch.zeros(6))


@pytest.mark.parametrize(
    ("name", "value"), [("scale", "std"), ("eps", -1.0), ("eps", math.nan), ("eps", math.inf)]
)
def test_bad_settings_are_refused(name, value):
    with refused(ConfigError, name, value):
        AdvantageConfig(**{name: value})
