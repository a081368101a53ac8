"""PKPO and pass@k training: by enumeration of subsets, and of all groups of a small policy."""

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from polypath.errors import ConfigError
from polypath.objectives.passk import PassKConfig, passk_advantages
from polypath.objectives.pkpo import PKPO, PKPOConfig, pkpo_advantages
from tests.objectives.groups import double
from tests.refusals import refused
from tests.strategies import generator

BASELINES = ["none", "leave_one_out", "leave_one_out_minus_one"]
LEVELS = torch.tensor([-1.0, 0.0, 0.25, 1.0, 3.0], dtype=torch.float64)


def mean_largest(rewards, k):
    subsets = list(itertools.combinations(rewards, k))
    return sum(map(max, subsets)) / len(subsets)


def by_definition(rewards, k, baseline):
    """A_i = G times the weight of the paper's sum: s_i, less the same of the others."""
    n = len(rewards)
    found = []
    for i in range(n):
        others = rewards[:i] + rewards[i + 1 :]
        with_i = [max((rewards[i], *rest)) for rest in itertools.combinations(others, k - 1)]
        s = sum(with_i) / math.comb(n, k)
        if baseline == "leave_one_out" or (baseline != "none" and k == 1):
            # The weights of the others among themselves sum to k times the estimate without i.
            s -= k * mean_largest(others, min(k, n - 1)) / (n - 1)
        elif baseline == "leave_one_out_minus_one":
            s -= k * mean_largest(others, k - 1) / n
        found.append(n * s)
    return found


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_equal_to_the_mean_over_subsets(baseline, k, seed):
    rewards = LEVELS[torch.randint(5, (6,), generator=generator(seed))].tolist()  # with ties
    got = pkpo_advantages(PKPOConfig(k=k, baseline=baseline), double([rewards]))
    expected = double([by_definition(rewards, k, baseline)])
    assert_close(got, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("k", [1, 2, 3])
def test_expected_gradient_is_that_of_the_largest_of_k(baseline, k):
    """Over all groups of 4 of a policy of three completions with rewards 0, 1/4 and 1."""
    logits = torch.tensor([0.7, -0.4, 0.2], dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    logp = logits.log_softmax(0)
    group = torch.tensor(list(itertools.product(range(3), repeat=4)))
    chance = logp[group].sum(dim=1).exp().detach()
    advantages = pkpo_advantages(PKPOConfig(k=k, baseline=baseline), rewards[group])
    surrogate = (chance * (advantages * logp[group]).mean(dim=1)).sum()
    (got,) = torch.autograd.grad(surrogate, logits, retain_graph=True)
    of_k = torch.tensor(list(itertools.product(range(3), repeat=k)))
    value = (logp[of_k].sum(dim=1).exp() * rewards[of_k].amax(dim=1)).sum()
    (truth,) = torch.autograd.grad(value, logits)
    assert_close(got, truth, rtol=0, atol=1e-9)


def test_leave_one_out_minus_one_has_the_lowest_variance():
    """What it is for: the spread of the gradient over groups, in the policy of the test above."""
    p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    rewards = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
    group = torch.tensor(list(itertools.product(range(3), repeat=4)))
    chance = p[group].prod(dim=1)
    score = torch.eye(3, dtype=torch.float64)[group] - p  # of log pi by the logits
    spread = {}
    for baseline in BASELINES:
        advantages = pkpo_advantages(PKPOConfig(k=2, baseline=baseline), rewards[group])
        gradient = (advantages.unsqueeze(2) * score).mean(dim=1)
        mean = (chance.unsqueeze(1) * gradient).sum(dim=0)
        spread[baseline] = (chance * (gradient - mean).square().sum(dim=1)).sum().item()
    assert spread["leave_one_out_minus_one"] < spread["leave_one_out"] < spread["none"]


def test_by_hand_a_completion_gets_what_it_adds():
    """Of 3, k = 2: the one right of [0, 0, 1] raises the largest of each of its 2 of 3 pairs by 1."""
    assert pkpo_advantages(PKPOConfig(k=2), torch.tensor([[0.0, 0, 1]]))[0].tolist() == [0, 0, 2]
    # The second right one adds nothing to the pair with the first.
    assert pkpo_advantages(PKPOConfig(k=2), torch.tensor([[0.0, 1, 1]]))[0].tolist() == [0, 1, 1]
    assert not pkpo_advantages(PKPOConfig(k=2), torch.ones(1, 3)).any()


@pytest.mark.parametrize(("c", "n", "k"), [(1, 4, 2), (2, 6, 3), (3, 8, 4), (5, 8, 4), (1, 8, 8)])
def test_pass_at_k_training_is_its_closed_form_for_rewards_of_0_and_1(c, n, k):
    rewards = torch.tensor([[1.0] * c + [0.0] * (n - c)])
    got = passk_advantages(PassKConfig(k=k), rewards)[0]
    rho = 1 - math.comb(n - c, k) / math.comb(n, k)
    sigma = math.sqrt(rho * (1 - rho))
    right, wrong = 0.0, 0.0
    if sigma:
        right = (1 - rho) / sigma
        wrong = (1 - rho - math.comb(n - c - 1, k - 1) / math.comb(n - 1, k - 1)) / sigma
    assert got.tolist() == pytest.approx([right] * c + [wrong] * (n - c), rel=0, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_pass_at_k_training_is_its_definition_for_any_rewards(seed):
    rewards = torch.rand(6, generator=generator(seed), dtype=torch.float64).tolist()
    largest = [max(s) for s in itertools.combinations(rewards, 3)]
    mean = sum(largest) / 20
    std = math.sqrt(sum((x - mean) ** 2 for x in largest) / 20)
    expected = []
    for i in range(6):
        others = rewards[:i] + rewards[i + 1 :]
        own = [max((rewards[i], *rest)) for rest in itertools.combinations(others, 2)]
        expected.append((sum(own) / 10 - mean) / std)
    got = passk_advantages(PassKConfig(k=3), double([rewards]))[0]
    assert got.tolist() == pytest.approx(expected, rel=0, abs=1e-9)


def test_a_group_with_fewer_scored_completions_than_k_uses_all_of_them():
    few = torch.tensor([[0.0, math.nan, 1.0, 0.25, math.nan]])
    all_three = pkpo_advantages(PKPOConfig(k=3), torch.tensor([[0.0, 1.0, 0.25]]))[0].tolist()
    assert all_three[1] > 0
    got = pkpo_advantages(PKPOConfig(k=5), few)[0].tolist()
    assert got == [all_three[0], 0.0, all_three[1], all_three[2], 0.0]


def test_pass_at_k_training_makes_nothing_of_rounding():
    """Every pair has a right one; float32 writes 1 in two ways, and 0.1 + 0.2 is not 0.3."""
    nearly = torch.tensor([[0.0, 1.0, 1.0 + 2**-23]])
    assert not passk_advantages(PassKConfig(k=2), nearly).any()


def test_settings_and_groups_that_cannot_work_are_refused():
    with refused(ConfigError, "pkpo_k", 0):
        PKPOConfig(k=0)
    with refused(ConfigError, "passk_k", 1):
        PassKConfig(k=1)
    with refused(ConfigError, "pkpo_baseline", "loo"):
        PKPOConfig(baseline="loo")
    assert PKPO.least_group(PKPOConfig(k=4)) == 4
    assert PKPO.least_group(PKPOConfig(k=4, baseline="leave_one_out")) == 5
