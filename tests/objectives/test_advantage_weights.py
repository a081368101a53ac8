"""W-REINFORCE, UCPO, uniqueness-aware RL and SetPO: by hand, by definition, and their limits."""

import itertools
import math

import pytest
import torch
from torch.testing import assert_close

from polypath.errors import ConfigError
from polypath.objectives import AdvantageConfig, group_advantages
from polypath.objectives.setpo import SetPOConfig, marginal_diversity, setpo_advantages
from polypath.objectives.ucpo import UCPOConfig, ucpo_advantages
from polypath.objectives.uniqueness import UniquenessConfig, uniqueness_advantages
from polypath.objectives.w_reinforce import WReinforceConfig, w_reinforce_advantages
from tests.objectives.groups import double, psd
from tests.refusals import refused
from tests.strategies import generator

REWARDS = double([[1.0, 1, 1, 0, 0]])
CORRECT = REWARDS > 0.5
GRPO = group_advantages(AdvantageConfig(), REWARDS)
TWINS = double(
    [[[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]]
)


# --- W-REINFORCE -------------------------------------------------------------------------------


def test_w_reinforce_by_hand():
    got = w_reinforce_advantages(WReinforceConfig(), REWARDS, CORRECT)
    assert_close(got, double([[0.1, 0.1, 0.1, -1, -1]]))
    nsr = w_reinforce_advantages(WReinforceConfig(weight=0.0), REWARDS, CORRECT)
    assert_close(nsr, double([[0.0, 0, 0, -1, -1]]))
    partial = w_reinforce_advantages(
        WReinforceConfig(), double([[0.5, 0.25]]), double([[1, 0]]) > 0
    )
    assert_close(partial, double([[0.05, -0.75]]))


def test_w_reinforce_of_advantages_weighs_the_positive_ones():
    config = WReinforceConfig(weight=0.2, of="advantage")
    got = w_reinforce_advantages(config, REWARDS, CORRECT, GRPO)
    assert_close(got, torch.where(GRPO > 0, 0.2 * GRPO, GRPO))
    whole = WReinforceConfig(weight=1.0, of="advantage")
    assert torch.equal(w_reinforce_advantages(whole, REWARDS, CORRECT, GRPO), GRPO)
    with refused(ConfigError, "w_reinforce_of"):
        w_reinforce_advantages(whole, REWARDS, CORRECT)


# --- UCPO --------------------------------------------------------------------------------------


def ucpo_by_definition(base, logp, lengths, tau):
    """Shares of the three correct ones of REWARDS, as plain numbers."""
    scaled = [a / b for a, b in zip(logp, lengths, strict=True)]
    q = [math.exp(x) / sum(map(math.exp, scaled)) for x in scaled]
    inverse = [1 / x for x in q]
    return [base * 3 * ((1 - tau) / 3 + tau * x / sum(inverse)) for x in inverse]


@pytest.mark.parametrize("tau", [0.0, 0.2, 1.0])
def test_ucpo_shares_by_the_inverse_of_probability(tau):
    logp, lengths = double([[-4.0, -2.0, -9.0, -1.0, -5.0]]), torch.tensor([[2, 4, 3, 1, 1]])
    got = ucpo_advantages(UCPOConfig(tau=tau), REWARDS, GRPO, CORRECT, logp, lengths)[0]
    expected = ucpo_by_definition(GRPO[0, 0].item(), [-4.0, -2.0, -9.0], [2, 4, 3], tau)
    assert got[:3].tolist() == pytest.approx(expected, rel=0, abs=1e-9)
    assert torch.equal(got[3:], GRPO[0, 3:])
    assert got.sum().item() == pytest.approx(GRPO.sum().item(), abs=1e-12)
    if tau == 0:
        assert_close(got, GRPO[0])
    else:
        assert got[1] < got[0] < got[2]  # the likelier a token, the less


def test_ucpo_takes_whole_completions_where_asked():
    logp, lengths = double([[-4.0, -5.0, -6.0, -1, -1]]), torch.tensor([[1, 9, 99, 1, 1]])
    config = UCPOConfig(tau=1.0, per_token=False)
    got = ucpo_advantages(config, REWARDS, GRPO, CORRECT, logp, lengths)[0]
    expected = ucpo_by_definition(GRPO[0, 0].item(), [-4.0, -5.0, -6.0], [1, 1, 1], 1.0)
    assert got[:3].tolist() == pytest.approx(expected, rel=0, abs=1e-9)


def test_ucpo_keeps_the_sum_where_correct_completions_have_several_rewards():
    rewards = double([[2.0, 1.0, 0.0, 0.0]])
    base = group_advantages(AdvantageConfig(), rewards)
    logp = double([[-1.0, -9.0, -1.0, -1.0]])
    got = ucpo_advantages(
        UCPOConfig(tau=1.0), rewards, base, rewards > 0.5, logp, torch.ones_like(logp).long()
    )
    assert got.sum().item() == pytest.approx(base.sum().item(), abs=1e-12)
    assert got[0, 1] > base[0, 1]


# --- uniqueness --------------------------------------------------------------------------------


def test_uniqueness_divides_by_the_size_of_the_cluster():
    got = uniqueness_advantages(UniquenessConfig(), REWARDS, GRPO, TWINS, CORRECT)
    assert_close(got, GRPO * double([[0.5, 0.5, 1, 1, 1]]))
    softer = uniqueness_advantages(UniquenessConfig(alpha=0.5), REWARDS, GRPO, TWINS, CORRECT)
    assert_close(softer, GRPO * double([[2**-0.5, 2**-0.5, 1, 1, 1]]))
    everyone = uniqueness_advantages(
        UniquenessConfig(weighted="all"), REWARDS, GRPO, TWINS, CORRECT
    )
    assert_close(everyone, GRPO * 0.5 ** double([[1, 1, 0, 1, 1]]))


def test_uniqueness_is_grpo_at_alpha_0_and_where_nothing_is_alike():
    eye = torch.eye(5, dtype=torch.float64)[None]
    off = uniqueness_advantages(UniquenessConfig(alpha=0.0), REWARDS, GRPO, TWINS, CORRECT)
    assert torch.equal(off, GRPO)
    assert torch.equal(uniqueness_advantages(UniquenessConfig(), REWARDS, GRPO, eye, CORRECT), GRPO)


def test_uniqueness_does_not_count_wrong_completions_that_are_alike():
    alike = torch.ones(1, 5, 5, dtype=torch.float64)
    got = uniqueness_advantages(UniquenessConfig(), REWARDS, GRPO, alike, CORRECT)
    assert_close(got[0, :3], GRPO[0, :3] / 3)


def test_uniqueness_leaves_a_correct_completion_alone_that_other_rewards_put_below_the_mean():
    rewards = double([[0.2, 0.2, 1.0, 0.9, 0.9]])
    base = group_advantages(AdvantageConfig(), rewards)
    assert base[0, 0] < 0
    got = uniqueness_advantages(UniquenessConfig(), rewards, base, TWINS, CORRECT)
    assert torch.equal(got[0, :2], base[0, :2])


# --- SetPO -------------------------------------------------------------------------------------


def mean_unlike(similarity, members):
    pairs = list(itertools.combinations(members, 2))
    return sum(1 - similarity[i, j] for i, j in pairs) / len(pairs) if pairs else 0.0


@pytest.mark.parametrize("seed", range(4))
def test_marginal_diversity_is_the_set_with_it_less_the_set_without(seed):
    similarity = psd(seed, group=6)
    members = (torch.rand(6, generator=generator(seed)) < 0.7) | (torch.arange(6) < 3)
    got = marginal_diversity(similarity[None], members[None])[0]
    inside = members.nonzero().flatten().tolist()
    for i in range(6):
        rest = [j for j in inside if j != i]
        expected = mean_unlike(similarity, inside) - mean_unlike(similarity, rest)
        assert got[i].item() == pytest.approx(float(expected) if i in inside else 0.0, abs=1e-9)
    assert got.sum().item() == pytest.approx(0.0, abs=1e-12)


def test_setpo_prefers_the_rare_among_correct_completions():
    got = setpo_advantages(SetPOConfig(weight=2.0), REWARDS, GRPO, TWINS, CORRECT)
    # Of the three: D = 2/3; without a twin 1, without the third 0.
    assert_close(got, GRPO + 2 * double([[-1 / 3, -1 / 3, 2 / 3, 0, 0]]))
    assert torch.equal(
        setpo_advantages(SetPOConfig(weight=0.0), REWARDS, GRPO, TWINS, CORRECT), GRPO
    )


def test_a_set_of_two_has_no_marginal_diversity():
    two = torch.tensor([[True, True, False, False, False]])
    assert not marginal_diversity(TWINS, two).any()


def test_settings_that_cannot_work_are_refused():
    with refused(ConfigError, "w_reinforce_lambda", -0.1):
        WReinforceConfig(weight=-0.1)
    with refused(ConfigError, "ucpo_tau", 2.0):
        UCPOConfig(tau=2.0)
    with refused(ConfigError, "uniqueness_alpha", -1.0):
        UniquenessConfig(alpha=-1.0)
    with refused(ConfigError, "setpo_lambda", math.inf):
        SetPOConfig(weight=math.inf)
    with refused(ConfigError, "NaN"):
        uniqueness_advantages(UniquenessConfig(), REWARDS, GRPO, TWINS * math.nan, CORRECT)
