"""Historical exploration: by hand, by its definition, its limits, and what the baselines do."""

import math

import pytest
import torch
from torch.testing import assert_close

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.objectives import AdvantageConfig, group_advantages
from polypath.objectives.history_exploration import (
    HistoryExplorationConfig,
    history_exploration_advantages,
)
from tests.objectives.groups import double
from tests.refusals import refused
from tests.strategies import generator

REWARDS = double([[1.0, 0, 0, 0]])
CORRECT = REWARDS > 0.5
BASE = double([[1.5, -0.5, -0.5, -0.5]])
SEEN = torch.tensor([[16, 0, 1, 4]])
BONUS = [0.25, 1.0, 1.0, 0.5]  # 1 / sqrt(16); new; seen once; 1 / sqrt(4)


def added(seen=SEEN, rewards=REWARDS, correct=CORRECT, base=BASE, **settings):
    """Return what is added to the advantages."""
    config = HistoryExplorationConfig(**settings)
    return history_exploration_advantages(config, rewards, base, correct, seen) - base


def test_by_hand():
    assert_close(added(c=2.0), double([[2 * (b - 0.5) for b in BONUS]]), rtol=0, atol=1e-9)
    got = added(c=2.0, constant=0.25)
    assert_close(got, double([[2 * (b - 0.25) for b in BONUS]]), rtol=0, atol=1e-9)
    assert_close(added(c=2.0, baseline="none"), 2 * double([BONUS]), rtol=0, atol=1e-9)
    # The means of the other three: 2.5 / 3, 1.75 / 3, 1.75 / 3, 2.25 / 3.
    means = [0.25 - 2.5 / 3, 1 - 1.75 / 3, 1 - 1.75 / 3, 0.5 - 2.25 / 3]
    assert_close(added(c=2.0, baseline="mean"), 2 * double([means]), rtol=0, atol=1e-9)


@pytest.mark.parametrize("baseline", ["none", "mean", "constant"])
@pytest.mark.parametrize("seed", range(3))
def test_is_its_definition(baseline, seed):
    rng = generator(seed)
    rewards = torch.rand(3, 5, generator=rng, dtype=torch.float64).round()
    rewards[:, 1] = math.nan
    seen = torch.randint(30, (3, 5), generator=rng)
    base = group_advantages(AdvantageConfig(), rewards)
    got = added(seen, rewards, rewards > 0.5, base, c=0.7, baseline=baseline)
    for p in range(3):
        scored = [g for g in range(5) if g != 1]
        bonus = {g: min(1.0, 1 / math.sqrt(max(int(seen[p, g]), 1))) for g in scored}
        for g in range(5):
            expected = 0.0
            if g != 1 and any(rewards[p, j] < 0.5 for j in scored):
                others = [bonus[j] for j in scored if j != g]
                less = {"none": 0.0, "mean": sum(others) / 3, "constant": 0.5}[baseline]
                expected = 0.7 * (bonus[g] - less)
            assert float(got[p, g]) == pytest.approx(expected, rel=0, abs=1e-9)


def test_the_mean_baseline_prefers_none_on_average():
    assert float(added(baseline="mean").sum()) == pytest.approx(0, abs=1e-12)
    alike = added(torch.full((1, 4), 7), baseline="mean")
    assert_close(alike, torch.zeros_like(BASE), rtol=0, atol=1e-12)


def test_limits():
    assert not added(c=0.0).any()
    for seen in (0, 1):  # never seen pays as much as seen once
        full = added(torch.full((1, 4), seen), c=1.0)
        assert_close(full, torch.full_like(BASE, 0.5), rtol=0, atol=1e-12)
    often = added(torch.full((1, 4), 10**12), c=1.0)
    assert_close(often, torch.full_like(BASE, -0.5), rtol=0, atol=1e-5)
    at_zero = added(torch.full((1, 4), 4), c=1.0)
    assert not at_zero.any()


@pytest.mark.parametrize("baseline", ["none", "mean", "constant"])
def test_nothing_is_added_where_all_are_correct(baseline):
    assert not added(correct=torch.ones(1, 4, dtype=torch.bool), baseline=baseline).any()
    # The wrong one was not scored; so all that count are correct.
    rewards = double([[1.0, 1, 1, math.nan]])
    assert not added(rewards=rewards, correct=rewards > 0.5, baseline=baseline).any()
    wrong = torch.zeros(1, 4, dtype=torch.bool)
    assert added(correct=wrong, baseline=baseline).any()


@pytest.mark.parametrize("baseline", ["none", "mean", "constant"])
def test_a_single_scored_completion_stays_as_it_is(baseline):
    rewards = double([[0.0, math.nan, math.nan, math.nan]])
    assert not added(rewards=rewards, correct=rewards > 0.5, baseline=baseline).any()


def test_a_bonus_in_the_reward_would_lose_its_baseline_and_its_weight():
    """The reason why this is an advantage: what GRPO makes of rewards with the bonus in them."""
    bonus = double([BONUS])
    for scale in ("group", "none"):
        rule = AdvantageConfig(scale=scale)
        plain = group_advantages(rule, REWARDS + 0.1 * bonus)
        assert_close(group_advantages(rule, REWARDS + 0.1 * (bonus - 0.5)), plain)
    wrong = torch.zeros_like(REWARDS)
    weak, strong = (
        group_advantages(AdvantageConfig(eps=0.0), wrong + c * bonus) for c in (0.1, 1.0)
    )
    assert_close(weak, strong)


def test_what_cannot_work_is_refused():
    with refused(ConfigError, "history_exploration_c", -1.0):
        HistoryExplorationConfig(c=-1.0)
    with refused(ConfigError, "history_exploration_baseline", "median"):
        HistoryExplorationConfig(baseline="median")
    with refused(ConfigError, "history_exploration_constant", 1.5):
        HistoryExplorationConfig(constant=1.5)
    with refused(ConfigError, "history_exploration_constant", "mean", 0.25):
        HistoryExplorationConfig(baseline="mean", constant=0.25)
    with pytest.raises(ShapeError, match="seen_P_G"):
        added(seen=torch.zeros(1, 3))
    with pytest.raises(DataError, match="rewards_P_G"):
        added(rewards=double([[math.inf, 0, 0, 0]]))
