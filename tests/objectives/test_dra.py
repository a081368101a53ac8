"""DRA: the set functions by brute force, golden values, limits, invariances."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from polypath.objectives.dra import (
    MUTUAL_INFORMATION,
    DRAConfig,
    adjust_rewards,
    reward_weights,
)
from tests.objectives.groups import KINDS, PLAIN, SAFE, TWINS, double, flat, psd
from tests.rounding import rounding, within
from tests.strategies import FAST, generator, scored_groups, seeds

WEIGHT_NORMS = ["none", "mean", "rewarded", "protected"]

# --- the set functions, as they are defined ----------------------------------------------------


def graph_cut(s, members, config):
    everyone = range(len(s))
    cut = sum(s[i, j] for i in everyone for j in members)
    return cut - config.graph_cut_lambda * sum(s[i, j] for i in members for j in members)


def log_det(s, members, config):
    e = config.log_det_jitter
    kernel = (1 - e) * s + e * torch.eye(len(s), dtype=s.dtype)
    return torch.linalg.det(kernel[members][:, members]).log()


def facility_location(s, members, config):
    del config
    return sum(max(s[v, j] for j in members) for v in range(len(s)))


SET_FUNCTION = {
    "graph_cut": graph_cut,
    "log_det": log_det,
    "facility_location": facility_location,
}


def test_every_mutual_information_has_its_definition_here():
    assert set(SET_FUNCTION) == set(MUTUAL_INFORMATION)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("lam", "jitter"), [(0.5, 0.05), (0.2, 0.3), (1.5, 0.01)])
def test_redundancy_is_f_of_one_plus_f_of_the_rest_minus_f_of_all(kind, seed, lam, jitter):
    s, config = psd(seed), DRAConfig(graph_cut_lambda=lam, log_det_jitter=jitter)
    f, everyone = SET_FUNCTION[kind], range(len(s))
    expected = []
    for i in everyone:
        rest = [j for j in everyone if j != i]
        expected.append(f(s, [i], config) + f(s, rest, config) - f(s, list(everyone), config))
    got = MUTUAL_INFORMATION[kind](config, s[None])[0]
    # Logarithms of determinants of 5 x 5 matrices of condition 5 / jitter are the worst of it.
    assert_close(got, torch.stack(expected), **within(5 * 5, size=5 / jitter))


def test_facility_location_is_its_definition_also_where_the_diagonal_is_not_the_largest():
    """Of a symmetric S with a unit diagonal, rows and columns give the same; the definition is columns."""
    s, everyone = torch.rand(5, 5, generator=generator(0), dtype=torch.float64), range(5)
    for i in everyone:
        rest = [j for j in everyone if j != i]
        f = [facility_location(s, members, None) for members in ([i], rest, list(everyone))]
        got = MUTUAL_INFORMATION["facility_location"](SAFE, s[None])[0, i]
        assert_close(got, f[0] + f[1] - f[2])


# --- golden values -----------------------------------------------------------------------------


def test_golden_two_twins_and_a_loner():
    """Redundancies by graph cut are (1, 1, 0), so weights are (1/2, 1/2, 1) and rewards (3, 3, 2)
    become (3/2, 3/2, 2)."""
    got = adjust_rewards(SAFE, double([[3.0, 3, 2]]), TWINS)
    assert_close(got, double([[1.5, 1.5, 2.0]]))


def test_golden_facility_location():
    """Twins: min(s_vi, best other) is 1 for both twins v and 0 for the loner, so the redundancy of a
    twin is 2; the loner is covered by nobody, not even by itself: 0."""
    config = replace(PLAIN, mutual_information="facility_location")
    assert_close(reward_weights(config, torch.ones(1, 3), TWINS), double([[1 / 3, 1 / 3, 1.0]]))


def test_golden_log_det_of_a_pair():
    """K = [[1, k], [k, 1]] with k = (1 - e) s: f = log(1 - k^2) for both, so I = -log(1 - k^2)."""
    e, s = 0.2, 0.7
    config = replace(PLAIN, mutual_information="log_det", log_det_jitter=e)
    redundancy = -math.log(1 - ((1 - e) * s) ** 2)
    got = reward_weights(config, torch.ones(1, 2), flat(2, s))
    assert_close(got, torch.full((1, 2), 1 / (1 + redundancy), dtype=torch.float64))


def test_golden_graph_cut_lambda_scales_the_redundancy():
    """lambda 2: redundancy of a twin 2 * 2 * 1 = 4, weight 1/5."""
    got = reward_weights(replace(PLAIN, graph_cut_lambda=2.0), torch.ones(1, 3), TWINS)
    assert_close(got, double([[0.2, 0.2, 1.0]]))


def test_golden_mean_weights():
    """Weights (1/2, 1/2, 1) have mean 2/3; divided by it: (3/4, 3/4, 3/2)."""
    got = reward_weights(replace(PLAIN, weight_norm="mean"), torch.ones(1, 3), TWINS)
    assert_close(got, double([[0.75, 0.75, 1.5]]))


def test_golden_weights_among_the_rewarded():
    """Rewarded: weights (1/2, 1), mean 3/4, so 2/3 and 4/3; the wrong one has 1."""
    config = replace(PLAIN, weight_norm="rewarded")
    got = reward_weights(config, double([[1.0, 0, 1]]), TWINS)
    assert_close(got, double([[2 / 3, 1.0, 4 / 3]]))
    assert_close(reward_weights(config, torch.zeros(1, 3), TWINS), torch.ones(1, 3).double())


def test_golden_protected_weights():
    """Of 4 right, 3 copies: weights (1/3, 1/3, 1/3, 1), rescaled (2/3, 2/3, 2/3, 2); mean reward 4/5.

    A copy may lose (1 - 4/5) of its (1 - 2/3): 3/5 of the way from 1, so (4/5, 4/5, 4/5, 8/5).
    """
    s = torch.eye(5).double()
    s[:3, :3] = 1.0
    config = replace(PLAIN, weight_norm="protected")
    got = adjust_rewards(config, double([[1.0, 1, 1, 1, 0]]), s[None])
    assert_close(got, double([[0.8, 0.8, 0.8, 1.6, 0.0]]))


def test_golden_strength_is_an_exponent():
    """Weights (1/2, 1/2, 1) to the power of 2."""
    got = reward_weights(replace(PLAIN, strength=2.0), torch.ones(1, 3), TWINS)
    assert_close(got, double([[0.25, 0.25, 1.0]]))


def test_golden_shift():
    """Cosines -1 and 0 become 0 and 1/2: redundancies (1/2, 1, 1/2) of the middle one's neighbours."""
    s = double([[[1.0, 0, -1], [0, 1, 0], [-1, 0, 1]]])
    got = reward_weights(replace(PLAIN, negative_similarity="shift"), torch.ones(1, 3), s)
    assert_close(got, double([[2 / 3, 1 / 2, 2 / 3]]))


def test_golden_invert():
    """Redundancies (1, 1, 0): punishments -3 times (2, 2, 1), rescaled from -9 to -6 in all."""
    config = DRAConfig(negative_reward="invert")
    got = adjust_rewards(config, double([[-3.0, 1, -3]]), TWINS)
    assert_close(got, double([[-4.0, 0.5, -2.0]]))


# --- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_limit_all_different_leaves_the_rewards_alone(kind):
    rewards = double([[1.0, 0, 2, -1]])
    config = replace(PLAIN, mutual_information=kind, negative_reward="paper")
    assert torch.equal(adjust_rewards(config, rewards, torch.eye(4)[None]), rewards)


@pytest.mark.parametrize("group", [1, 2, 7])
def test_limit_all_alike_pays_one_over_the_group_size(group):
    got = reward_weights(SAFE, torch.ones(1, group), torch.ones(1, group, group))
    assert_close(got, torch.full((1, group), 1 / group, dtype=torch.float64))


def test_limit_clusters_share_the_same_mass():
    """Inverse propensity: clusters of 1, 2 and 3 copies are paid 1 in total each."""
    cluster = torch.tensor([0, 1, 1, 2, 2, 2])
    s = (cluster.unsqueeze(0) == cluster.unsqueeze(1)).double()[None]
    got = adjust_rewards(PLAIN, torch.ones(1, 6), s)[0]
    assert_close(got, double([1, 1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3]))
    assert_close(torch.stack([got[cluster == c].sum() for c in range(3)]), torch.ones(3).double())


@pytest.mark.parametrize("kind", KINDS)
def test_limit_a_group_of_one_is_not_redundant(kind):
    config = replace(PLAIN, mutual_information=kind)
    assert_close(
        adjust_rewards(config, torch.tensor([[2.0]]), torch.ones(1, 1, 1)), double([[2.0]])
    )


def test_limit_jitter_one_switches_log_det_off():
    config = replace(PLAIN, mutual_information="log_det", log_det_jitter=1.0)
    assert_close(reward_weights(config, torch.ones(1, 3), TWINS), torch.ones(1, 3).double())


# --- properties --------------------------------------------------------------------------------

kinds = st.sampled_from(KINDS)
# Rewards of at most 3 times weights of at most 7 (a mean of 1 over the group), from a redundancy that is
# off by 7 * 7 roundings times 7 / jitter, jitter 0.05, where it is a determinant.
WEIGHED = rounding(7 * 7 * 7 / 0.05, size=3 * 7)


@FAST
@given(scored_groups(), kinds, seeds)
def test_property_permuting_the_group_permutes_the_result(batch, kind, seed):
    rewards, s = batch
    order = torch.randperm(rewards.shape[1], generator=generator(seed))
    config = replace(PLAIN, mutual_information=kind, among="rewarded")
    got = adjust_rewards(config, rewards[:, order], s[:, order][:, :, order])
    assert_close(got, adjust_rewards(config, rewards, s)[:, order])


@FAST
@given(scored_groups(), kinds, st.sampled_from(WEIGHT_NORMS))
def test_property_strength_0_leaves_rewards_alone_and_1_is_the_paper(batch, kind, norm):
    rewards, s = batch
    config = replace(PLAIN, mutual_information=kind, weight_norm=norm)
    assert_close(adjust_rewards(replace(config, strength=0.0), rewards, s), rewards.double())
    one = adjust_rewards(replace(config, strength=1.0), rewards, s)
    assert torch.equal(one, adjust_rewards(config, rewards, s))


@FAST
@given(scored_groups(), kinds, st.sampled_from(["rewarded", "protected"]), st.floats(0, 2))
def test_property_a_group_keeps_its_mean_reward(batch, kind, norm, strength):
    rewards = batch[0].double()
    config = replace(PLAIN, mutual_information=kind, weight_norm=norm, strength=strength)
    assert_close(adjust_rewards(config, rewards, batch[1]).nanmean(1), rewards.nanmean(1))


@FAST
@given(scored_groups(), kinds, st.sampled_from(["skip", "paper"]))
def test_property_protected_completions_stay_above_the_mean(batch, kind, uniform):
    rewards = batch[0].double()
    settings = {"among": "rewarded", "weight_norm": "protected", "uniform_group": uniform}
    config = replace(PLAIN, mutual_information=kind, **settings)
    got, mean = adjust_rewards(config, rewards, batch[1]), rewards.nanmean(1, keepdim=True)
    assert (got >= mean - WEIGHED)[rewards > mean].all()
    everywhere = adjust_rewards(config, torch.ones_like(rewards), batch[1])
    assert_close(everywhere, torch.ones_like(rewards))


@FAST
@given(scored_groups(), kinds, st.sampled_from(WEIGHT_NORMS), st.integers(1, 3))
def test_property_the_result_does_not_depend_on_how_groups_are_split(batch, kind, norm, shards):
    config = DRAConfig(mutual_information=kind, weight_norm=norm)
    rewards, s = batch
    parts = zip(rewards.chunk(shards), s.chunk(shards), strict=True)
    got = torch.cat([adjust_rewards(config, r, k) for r, k in parts])
    assert_close(got, adjust_rewards(config, *batch), rtol=0, atol=WEIGHED)


@FAST
@given(scored_groups(), kinds)
def test_property_groups_do_not_see_each_other(batch, kind):
    rewards, s = batch
    config = DRAConfig(mutual_information=kind)
    whole = adjust_rewards(config, torch.cat([rewards, rewards[:1]]), torch.cat([s, 1 - s[:1] / 2]))
    assert_close(whole[:-1], adjust_rewards(config, rewards, s), rtol=0, atol=WEIGHED)


@FAST
@given(scored_groups(), kinds, st.data())
def test_property_a_duplicate_strictly_lowers_the_weight(batch, kind, data):
    s = batch[1][:1]
    group = s.shape[1]
    i = data.draw(st.integers(0, group - 1))
    longer = torch.cat([s, s[:, i : i + 1]], dim=1)
    longer = torch.cat([longer, longer[:, :, i : i + 1]], dim=2)
    config = replace(PLAIN, mutual_information=kind)
    before = reward_weights(config, torch.ones(1, group), s)
    after = reward_weights(config, torch.ones(1, group + 1), longer)
    assert after[0, i] < before[0, i] - 1e-6
    assert_close(after[0, i], after[0, group])


@FAST
@given(scored_groups(), st.data())
def test_property_more_similarity_never_raises_a_weight(batch, data):
    s = batch[1]
    group = s.shape[1]
    i = data.draw(st.integers(0, group - 1))
    j = data.draw(st.integers(0, group - 1).filter(lambda k: k != i))
    more = s.clone()
    more[:, i, j] = more[:, j, i] = 1.0
    for kind in ("graph_cut", "facility_location"):
        config = replace(PLAIN, mutual_information=kind)
        before = reward_weights(config, torch.ones(s.shape[:2]), s)
        assert (reward_weights(config, torch.ones(s.shape[:2]), more) <= before + WEIGHED).all()


@FAST
@given(scored_groups(), kinds)
def test_property_safe_weights_are_finite_and_in_range(batch, kind):
    rewards, s = batch
    config = replace(PLAIN, mutual_information=kind)
    weights = reward_weights(config, rewards, s)
    assert weights.dtype == torch.float64
    assert ((weights > 0) & (weights <= 1)).all()
    if kind == "graph_cut":
        assert (weights >= 1 / rewards.shape[1] - WEIGHED).all()
    adjusted = adjust_rewards(config, rewards, s)
    assert torch.equal(adjusted.sign(), rewards.sign())
    assert (adjusted.abs() <= rewards.abs()).all()


@FAST
@given(scored_groups(), kinds)
def test_property_mean_weights_have_mean_one(batch, kind):
    config = replace(PLAIN, mutual_information=kind, weight_norm="mean")
    weights = reward_weights(config, *batch)
    assert_close(weights.mean(dim=1), torch.ones(len(weights), dtype=torch.float64))


@FAST
@given(scored_groups(), kinds)
def test_property_inverted_punishments_keep_their_sum_and_order_by_redundancy(batch, kind):
    s = batch[1]
    rewards = -torch.ones(s.shape[:2], dtype=torch.float64)
    for norm in ("none", "mean"):
        config = replace(PLAIN, mutual_information=kind, negative_reward="invert", weight_norm=norm)
        got = adjust_rewards(config, rewards, s)
        assert (got < 0).all()
        assert_close(got.sum(dim=1), rewards.sum(dim=1))
        weights = reward_weights(config, rewards, s)
        rarer = weights.unsqueeze(2) > weights.unsqueeze(1)
        assert (got.unsqueeze(2) >= got.unsqueeze(1))[rarer].all()
        assert_close(got, adjust_rewards(replace(config, weight_norm="none"), rewards, s))
