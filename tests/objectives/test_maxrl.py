"""MaxRL: by hand, by enumeration of whole groups, and where it must be 0."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError
from polypath.objectives.maxrl import MaxRLConfig, maxrl_advantages
from tests.refusals import refused
from tests.rounding import rounding
from tests.strategies import FAST


def advantages(*rewards, **settings):
    return maxrl_advantages(MaxRLConfig(**settings), torch.tensor([rewards]))[0]


def test_by_hand():
    assert advantages(1.0, 0, 0, 0).tolist() == [3.0, -1.0, -1.0, -1.0]
    assert advantages(1.0, 1, 1, 0).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, -1.0])
    assert advantages(1.0, 0, eps=0.5).tolist() == [0.5, -0.5]


@pytest.mark.parametrize("group", [2, 3, 5])
@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_expected_gradient_is_that_of_the_truncated_log_likelihood(group, p):
    """Over all groups of right and wrong answers of one problem, with a policy of one logit.

    E mean_i A_i d log pi(o_i) = d/dp [ - sum_{k=1}^{G-1} (1 - p)^k / k ], by the logit's dp = p (1 - p).
    """
    found = 0.0
    for outcome in itertools.product([1.0, 0.0], repeat=group):
        chance = math.prod(p if r else 1 - p for r in outcome)
        score = [1 - p if r else -p for r in outcome]  # d log pi / d logit
        found += (
            chance
            * sum(a * s for a, s in zip(advantages(*outcome).tolist(), score, strict=True))
            / group
        )
    truth = sum((1 - p) ** (k - 1) for k in range(1, group)) * p * (1 - p)
    # At most 2^G outcomes of G products each.
    assert found == pytest.approx(truth, rel=rounding(group * 2**group))


def test_groups_without_signal_and_completions_without_score_get_exactly_0():
    nan = math.nan
    rewards = torch.tensor([[0.0, 0, 0], [1, 1, 1], [nan, nan, nan], [1, nan, 0]])
    got = maxrl_advantages(MaxRLConfig(), rewards)
    assert not got[:3].any()
    assert got[3].tolist() == [1.0, 0.0, -1.0]


@FAST
@given(st.lists(st.floats(0, 8, width=32), min_size=2, max_size=6), st.randoms())
def test_property_sums_to_0_and_follows_the_order_of_completions(rewards, random):
    got = advantages(*rewards)
    # Each of G terms is rounded to half a unit of its size, and so is their sum.
    bound = rounding(2 * len(rewards), size=1 + got.abs().sum().item())
    assert abs(got.sum()) <= bound
    order = list(range(len(rewards)))
    random.shuffle(order)
    # Rewards of at most 8, divided by their mean: another order rounds sum, difference and quotient.
    turned = advantages(*(rewards[i] for i in order))
    assert torch.allclose(turned, got[order], rtol=0, atol=bound)


def test_settings_and_rewards_that_cannot_work_are_refused():
    with refused(ConfigError, "eps"):
        MaxRLConfig(eps=-1.0)
    with refused(DataError, -0.5):
        advantages(1.0, -0.5)
    with pytest.raises(DataError):
        advantages(1.0, math.inf)
