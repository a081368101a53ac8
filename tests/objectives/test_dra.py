"""DRA: the set functions by brute force, golden values, limits, invariances, agreement with the authors."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.objectives.dra import (
    MUTUAL_INFORMATION,
    PAPER,
    DRAConfig,
    adjust_rewards,
    reward_weights,
)
from tests.reference.dra_authors import authors_rewards
from tests.strategies import FAST, generator, scored_groups, seeds

SAFE = DRAConfig()
# Adjusts everything, so that a weight can be read off a group of equal rewards.
PLAIN = DRAConfig(uniform_group="paper")
KINDS = list(MUTUAL_INFORMATION)
TWINS = torch.tensor([[[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]], dtype=torch.float64)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def psd(seed, group=5):
    x = torch.randn(group, 4, generator=generator(seed), dtype=torch.float64)
    unit = torch.nn.functional.normalize(x, dim=1)
    return unit @ unit.mT


def flat(group, off_diagonal):
    """One group in which every two completions have the same similarity."""
    s = torch.full((1, group, group), off_diagonal, dtype=torch.float64)
    return s.masked_fill(torch.eye(group, dtype=torch.bool), 1.0)


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
    assert_close(got, torch.stack(expected), rtol=0, atol=1e-9)


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


def test_golden_shift():
    """Cosines -1 and 0 become 0 and 1/2: redundancies (1/2, 1, 1/2) of the middle one's neighbours."""
    s = double([[[1.0, 0, -1], [0, 1, 0], [-1, 0, 1]]])
    got = reward_weights(replace(PLAIN, negative_similarity="shift"), torch.ones(1, 3), s)
    assert_close(got, double([[2 / 3, 1 / 2, 2 / 3]]))


def test_golden_invert():
    """Redundancies (1, 1, 0): punishments -3 times (2, 2, 1) / 3; the reward is divided as ever."""
    config = DRAConfig(negative_reward="invert")
    got = adjust_rewards(config, double([[-3.0, 1, -3]]), TWINS)
    assert_close(got, double([[-2.0, 0.5, -1.0]]))


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


@FAST
@given(scored_groups(), kinds, seeds)
def test_property_permuting_the_group_permutes_the_result(batch, kind, seed):
    rewards, s = batch
    order = torch.randperm(rewards.shape[1], generator=generator(seed))
    config = replace(PLAIN, mutual_information=kind, among="rewarded")
    got = adjust_rewards(config, rewards[:, order], s[:, order][:, :, order])
    assert_close(got, adjust_rewards(config, rewards, s)[:, order])


@FAST
@given(scored_groups(), kinds, st.sampled_from(["none", "mean"]), st.integers(1, 3))
def test_property_the_result_does_not_depend_on_how_groups_are_split(batch, kind, norm, shards):
    config = DRAConfig(mutual_information=kind, weight_norm=norm)
    rewards, s = batch
    parts = zip(rewards.chunk(shards), s.chunk(shards), strict=True)
    got = torch.cat([adjust_rewards(config, r, k) for r, k in parts])
    assert_close(got, adjust_rewards(config, *batch), rtol=1e-12, atol=1e-12)


@FAST
@given(scored_groups(), kinds)
def test_property_groups_do_not_see_each_other(batch, kind):
    rewards, s = batch
    config = DRAConfig(mutual_information=kind)
    whole = adjust_rewards(config, torch.cat([rewards, rewards[:1]]), torch.cat([s, 1 - s[:1] / 2]))
    assert_close(whole[:-1], adjust_rewards(config, rewards, s), rtol=1e-12, atol=1e-12)


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
        assert (reward_weights(config, torch.ones(s.shape[:2]), more) <= before + 1e-12).all()


@FAST
@given(scored_groups(), kinds)
def test_property_safe_weights_are_finite_and_in_range(batch, kind):
    rewards, s = batch
    config = replace(PLAIN, mutual_information=kind)
    weights = reward_weights(config, rewards, s)
    assert weights.dtype == torch.float64
    assert ((weights > 0) & (weights <= 1)).all()
    if kind == "graph_cut":
        assert (weights >= 1 / rewards.shape[1] - 1e-12).all()
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
def test_property_inverted_punishments_do_not_grow_and_order_by_redundancy(batch, kind):
    s = batch[1]
    rewards = -torch.ones(s.shape[:2], dtype=torch.float64)
    for norm in ("none", "mean"):
        config = replace(PLAIN, mutual_information=kind, negative_reward="invert", weight_norm=norm)
        got = adjust_rewards(config, rewards, s)
        assert ((got < 0) & (got >= -1)).all()
        weights = reward_weights(config, rewards, s)
        rarer = weights.unsqueeze(2) > weights.unsqueeze(1)
        assert (got.unsqueeze(2) >= got.unsqueeze(1))[rarer].all()
        assert_close(got, adjust_rewards(replace(config, weight_norm="none"), rewards, s))


# --- agreement with the authors' code, and the trap behind each paper setting ------------------


@FAST
@given(scored_groups())
def test_reference_paper_settings_are_the_authors_formula_one_group_at_a_time(batch):
    for rewards_G, s in zip(*batch, strict=True):
        got = adjust_rewards(PAPER, rewards_G[None], s[None])[0]
        assert_close(got, authors_rewards(rewards_G, s), rtol=1e-6, atol=1e-9)


def test_paper_settings_differ_from_the_safe_ones_in_exactly_four():
    changed = {k for k in vars(PAPER) if getattr(PAPER, k) != getattr(SAFE, k)}
    assert changed == {
        "negative_similarity",
        "negative_reward",
        "uniform_group",
        "empty_completion",
    }


def standardized(x):
    return (x - x.mean()) / (x.std() + 1e-4)


def test_trap_a_device_that_cuts_groups_pays_by_row_position():
    """Six equal completions each of A and B, similarity .95 within and .75 across, four a device.

    Device 0 sees four of A: row sum 3.85. Device 1 sees two of each: 1 + .95 + 1.5 = 3.45. The
    authors' weights for group A are then four times .2597 and twice .2899: advantages -.64 and +1.28
    by position. Whole groups weigh 1 / (1 + 5 * .95) = .1739 each.
    """
    prompt = torch.arange(12) // 6
    s = torch.where(prompt.unsqueeze(0) == prompt.unsqueeze(1), 0.95, 0.75).double()
    s.fill_diagonal_(1.0)
    devices = [slice(0, 4), slice(4, 8), slice(8, 12)]
    theirs = torch.cat([authors_rewards(torch.ones(4).double(), s[d, d]) for d in devices])
    assert_close(standardized(theirs[:6]), double([-0.64] * 4 + [1.28] * 2), rtol=0, atol=0.01)
    ours = adjust_rewards(PAPER, torch.ones(2, 6), torch.stack([s[:6, :6], s[6:, 6:]]))
    assert_close(ours, torch.full((2, 6), 1 / 5.75, dtype=torch.float64), rtol=1e-6, atol=0)


def test_trap_dividing_a_negative_reward_punishes_the_rare_mistake_most():
    """Five alike (row sum 5.5 with the sixth at .5) and one rare (row sum 3.5), all wrong at -1."""
    s = torch.ones(1, 6, 6, dtype=torch.float64)
    s[0, 5, :5] = s[0, :5, 5] = 0.5
    wrong = -torch.ones(1, 6).double()
    paper = adjust_rewards(replace(PLAIN, negative_reward="paper"), wrong, s)[0]
    assert_close(paper[[0, 5]], double([-1 / 5.5, -1 / 3.5]))
    assert paper[5] < paper[0]
    skip = adjust_rewards(replace(PLAIN, negative_reward="skip"), wrong, s)[0]
    assert torch.equal(skip, wrong[0])
    invert = adjust_rewards(replace(PLAIN, negative_reward="invert"), wrong, s)[0]
    assert_close(invert[[0, 5]], double([-5.5 / 6, -3.5 / 6]))


def test_trap_noise_of_the_similarity_becomes_advantages_of_a_solved_group():
    """Similarities .95 +- .002 and six right answers: standardised, the fourth digit is a signal."""
    noise = 0.002 * torch.randn(6, 6, generator=generator(0), dtype=torch.float64)
    s = (flat(6, 0.95)[0] + (noise + noise.mT) / math.sqrt(2)).fill_diagonal_(1.0)[None]
    rewards = torch.ones(1, 6)
    paper = adjust_rewards(replace(SAFE, uniform_group="paper"), rewards, s)[0]
    assert standardized(paper).abs().max() > 0.5
    safe = adjust_rewards(SAFE, rewards, s)[0]
    assert not standardized(safe).any()


def test_a_group_that_is_uniform_only_among_the_scored_is_left_alone():
    rewards = double([[2.0, math.nan, 2.0]])
    got = adjust_rewards(SAFE, rewards, TWINS)
    assert torch.equal(got[0, [0, 2]], rewards[0, [0, 2]])


def test_trap_negative_cosines_flip_the_sign_of_a_reward_or_make_it_explode():
    """Row sums 1 - .6 - .6 = -.2 for the first, and exactly 0 for 1 - .5 - .5."""
    s = torch.eye(3, dtype=torch.float64)[None].clone()
    s[0, 0, 1:] = s[0, 1:, 0] = -0.6
    rewards = double([[1.0, 0, 1]])
    keep = replace(SAFE, negative_similarity="keep")
    assert adjust_rewards(keep, rewards, s)[0, 0] == pytest.approx(-5.0, rel=1e-4)
    zero_sum = torch.where(s == -0.6, -0.5, s)
    assert adjust_rewards(keep, rewards, zero_sum)[0, 0] == pytest.approx(1e6)
    assert torch.equal(adjust_rewards(SAFE, rewards, s), rewards)


def test_even_kept_negative_similarities_never_give_infinity():
    s = flat(2, -1.0 - 1e-6)
    keep = replace(PLAIN, negative_similarity="keep")
    assert torch.isfinite(reward_weights(keep, torch.ones(1, 2), s)).all()
    assert torch.isfinite(reward_weights(keep, torch.ones(1, 2), flat(2, -1.0))).all()


def test_trap_without_division_by_the_deviation_the_rewards_shrink_by_the_group_size():
    """Dr. GRPO: similarity .95 everywhere pays 1 / 5.75 of every reward, and so of every advantage."""
    rewards, s = double([[1.0, 1, 1, 0, 0, 0]]), flat(6, 0.95)
    shrunk = adjust_rewards(SAFE, rewards, s)
    assert_close(shrunk, rewards / 5.75)
    kept = adjust_rewards(replace(SAFE, weight_norm="mean"), rewards, s)
    assert_close(kept, rewards)


def test_trap_an_empty_completion_is_as_similar_as_the_embedding_of_nothing_says():
    """Two empty completions, which an embedding model finds identical to each other and .9 to all."""
    s = flat(4, 0.9)
    s[0, 2, 3] = s[0, 3, 2] = 1.0
    empty = torch.tensor([[False, False, True, True]])
    rewards = double([[1.0, 1, 1, 0]])
    unique = adjust_rewards(SAFE, rewards, s, empty)
    assert_close(unique, double([[1 / 1.9, 1 / 1.9, 1.0, 0.0]]))
    paper = adjust_rewards(replace(SAFE, empty_completion="paper"), rewards, s, empty)
    assert torch.equal(paper, adjust_rewards(SAFE, rewards, s))
    assert_close(paper[0, 2], double(1 / (1 + 0.9 + 0.9 + 1.0)))


# --- the other settings ------------------------------------------------------------------------


def test_among_rewarded_does_not_count_resemblance_to_wrong_answers():
    """Two right answers alike, one wrong and one unscored like both: only the right ones count."""
    rewards = double([[1.0, 1.0, 0.0, math.nan]])
    s = torch.ones(1, 4, 4)
    everyone = adjust_rewards(SAFE, rewards, s)
    rewarded = adjust_rewards(replace(SAFE, among="rewarded", uniform_group="paper"), rewards, s)
    assert_close(everyone[0, :2], double([1 / 4, 1 / 4]))
    assert_close(rewarded[0, :3], double([1 / 2, 1 / 2, 0.0]))


@pytest.mark.parametrize("config", [SAFE, PAPER, DRAConfig(among="rewarded", weight_norm="mean")])
@pytest.mark.parametrize("negative_reward", ["skip", "paper", "invert"])
@pytest.mark.parametrize("kind", KINDS)
def test_unscored_stay_nan_zero_stays_zero_and_the_rest_stays_finite(config, negative_reward, kind):
    config = replace(config, negative_reward=negative_reward, mutual_information=kind)
    rewards = double([[1.0, math.nan, 0.0, -1.0], [math.nan] * 4])
    s = psd(0, 4).clamp(min=0).expand(2, 4, 4)
    got = adjust_rewards(config, rewards, s)
    assert torch.equal(got.isnan(), rewards.isnan())
    assert got[0, 2] == 0
    assert torch.isfinite(got[~rewards.isnan()]).all()


def test_log_det_of_a_similarity_that_is_no_kernel_stays_finite():
    """Two things alike to a third but not to each other: eigenvalue 1 - sqrt(2) < 0."""
    s = double([[[1.0, 1, 0], [1, 1, 1], [0, 1, 1]]])
    assert torch.linalg.eigvalsh(s).min() < -0.4
    weights = reward_weights(replace(PLAIN, mutual_information="log_det"), torch.ones(1, 3), s)
    assert torch.isfinite(weights).all()
    assert ((weights > 0) & (weights <= 1)).all()
    assert weights[0, 1] < weights[0, 0]  # the one in the middle resembles both


@pytest.mark.parametrize("group", [2, 8, 32])
def test_log_det_redundancy_of_duplicates_is_bounded_by_the_jitter(group):
    redundancy = MUTUAL_INFORMATION["log_det"](SAFE, torch.ones(1, group, group).double())
    assert ((redundancy > 1) & (redundancy <= math.log(1 / 0.05) + 1e-12)).all()


def test_similarity_on_the_diagonal_does_not_matter_to_graph_cut():
    """A zero embedding has similarity 0 to itself; it is still one completion."""
    s = TWINS.clone()
    s[0, 2, 2] = 0.0
    assert_close(reward_weights(PLAIN, torch.ones(1, 3), s), double([[0.5, 0.5, 1.0]]))


def test_float32_and_bfloat16_inputs_are_computed_in_float64():
    for dtype in (torch.float32, torch.bfloat16):
        got = adjust_rewards(PLAIN, torch.ones(1, 3, dtype=dtype), torch.ones(1, 3, 3, dtype=dtype))
        assert torch.equal(got, torch.full((1, 3), 1 / 3, dtype=torch.float64))


def test_inputs_are_not_changed_and_get_no_gradient():
    rewards = torch.ones(1, 3, requires_grad=True)
    s = (-flat(3, 0.5)).requires_grad_()
    before = s.detach().clone()
    got = adjust_rewards(replace(SAFE, among="rewarded"), rewards, s, torch.ones(1, 3).bool())
    assert not got.requires_grad
    assert torch.equal(s.detach(), before)


# --- error texts -------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_similarity_that_is_not_finite_is_refused(bad):
    s = TWINS.clone()
    s[0, 0, 1] = bad
    with pytest.raises(ConfigError, match=r"similarity holds NaN or infinite values; expected"):
        adjust_rewards(SAFE, torch.ones(1, 3), s)


def test_an_infinite_reward_is_named():
    with pytest.raises(DataError, match=r"rewards_P_G\[0, 1\] is -inf"):
        adjust_rewards(SAFE, torch.tensor([[1.0, -math.inf, 0]]), TWINS)


@pytest.mark.parametrize("function", [adjust_rewards, reward_weights])
def test_arrays_that_disagree_are_refused(function):
    with pytest.raises(ShapeError, match=r"similarity_P_G_G has 3 entries on axis 1 \(G\)"):
        function(SAFE, torch.ones(1, 4), TWINS)
    with pytest.raises(ShapeError, match=r"empty_P_G has 2 entries on axis 1 \(G\)"):
        function(SAFE, torch.ones(1, 3), TWINS, torch.zeros(1, 2, dtype=torch.bool))
    with pytest.raises(ShapeError, match="rewards_P_G must be 2-D"):
        function(SAFE, torch.ones(3), TWINS)


CHOICES = {
    "mutual_information": "graph_cut, log_det, facility_location",
    "negative_similarity": "clamp, keep, shift",
    "negative_reward": "skip, paper, invert",
    "uniform_group": "skip, paper",
    "empty_completion": "unique, paper",
    "among": "all, rewarded",
    "weight_norm": "none, mean",
}


@pytest.mark.parametrize(("name", "allowed"), CHOICES.items())
def test_unknown_choices_are_refused_and_known_ones_accepted(name, allowed):
    for value in allowed.split(", "):
        DRAConfig(**{name: value})
    with pytest.raises(ConfigError, match=f"dra {name} must be one of {allowed}, got 'papr'"):
        DRAConfig(**{name: "papr"})


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_lambda_out_of_range_is_refused(value):
    with pytest.raises(ConfigError, match=f"graph_cut_lambda must be above 0, got {value}"):
        DRAConfig(graph_cut_lambda=value)


@pytest.mark.parametrize("value", [0.0, 1.5, math.nan])
def test_jitter_out_of_range_is_refused(value):
    with pytest.raises(ConfigError, match=r"log_det_jitter must be in \(0, 1\].*try 0.05"):
        DRAConfig(log_det_jitter=value)


def test_every_combination_of_settings_is_finite_on_a_hard_group():
    """Duplicates, negative cosines, an empty and an unscored completion, rewards of both signs."""
    s = psd(1, 5).clone()
    s[1], s[:, 1] = s[0].clone(), s[:, 0].clone()
    s[1, 1] = s[0, 1] = s[1, 0] = 1.0
    rewards = double([[1.0, 2.0, -1.0, math.nan, 0.0]])
    empty = torch.tensor([[False, False, False, False, True]])
    options = [choices.split(", ") for choices in CHOICES.values()]
    for values in itertools.product(*options):
        config = DRAConfig(**dict(zip(CHOICES, values, strict=True)))
        got = adjust_rewards(config, rewards, s[None], empty)
        assert torch.isfinite(got[~rewards.isnan()]).all(), config
