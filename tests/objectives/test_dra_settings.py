"""DRA: agreement with the authors, the trap behind each of their settings, the others, errors."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from torch.testing import assert_close

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.objectives.dra import (
    MUTUAL_INFORMATION,
    PAPER,
    DRAConfig,
    adjust_rewards,
    reward_weights,
)
from tests.objectives.groups import KINDS, PLAIN, SAFE, TWINS, double, flat, psd
from tests.reference.dra_authors import authors_rewards
from tests.refusals import refused
from tests.rounding import rounding, within
from tests.strategies import FAST, generator, scored_groups

FLOOR = 1e-6  # what the authors add to a row sum

# --- agreement with the authors' code, and the trap behind each paper setting ------------------


@FAST
@given(scored_groups())
def test_reference_paper_settings_are_the_authors_formula_one_group_at_a_time(batch):
    for rewards_G, s in zip(*batch, strict=True):
        got = adjust_rewards(PAPER, rewards_G[None], s[None])[0]
        # A sum of 7 cosines is off by so many roundings of their size, and may itself be near 0.
        theirs = authors_rewards(rewards_G, s)
        wrong = rounding(7 * 7) / (s.sum(dim=1) + FLOOR).abs()
        assert ((got - theirs).abs() <= wrong * theirs.abs()).all()


def test_paper_settings_differ_from_the_safe_ones_in_exactly_five():
    changed = {k for k in vars(PAPER) if getattr(PAPER, k) != getattr(SAFE, k)}
    assert changed == {
        "divides",
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
    s = torch.where(prompt.unsqueeze(0) == prompt.unsqueeze(1), *double([0.95, 0.75]))
    s.fill_diagonal_(1.0)
    devices = [slice(0, 4), slice(4, 8), slice(8, 12)]
    theirs = torch.cat([authors_rewards(torch.ones(4).double(), s[d, d]) for d in devices])
    assert_close(standardized(theirs[:6]), double([-0.64] * 4 + [1.28] * 2), rtol=0, atol=0.01)
    ours = adjust_rewards(PAPER, torch.ones(2, 6), torch.stack([s[:6, :6], s[6:, 6:]]))
    assert_close(ours, torch.full((2, 6), 1 / (5.75 + FLOOR), dtype=torch.float64), **within(10))


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
    assert_close(invert[[0, 5]], double([-6 * 5.5 / 31, -6 * 3.5 / 31]))


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
    assert adjust_rewards(keep, rewards, s)[0, 0] == pytest.approx(
        1 / (-0.2 + FLOOR), rel=rounding(10) / 0.2
    )
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
    assert ((redundancy > 1) & (redundancy <= math.log(1 / 0.05) + rounding(group**2, 20))).all()


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


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_similarity_that_is_not_finite_is_refused(bad):
    s = TWINS.clone()
    s[0, 0, 1] = bad
    with refused(ConfigError, "similarity"):
        adjust_rewards(SAFE, torch.ones(1, 3), s)


def test_an_infinite_reward_is_named():
    with refused(DataError, "rewards_P_G[0, 1]", "-inf"):
        adjust_rewards(SAFE, torch.tensor([[1.0, -math.inf, 0]]), TWINS)


@pytest.mark.parametrize("function", [adjust_rewards, reward_weights])
def test_arrays_that_disagree_are_refused(function):
    with refused(ShapeError, "similarity_P_G_G"):
        function(SAFE, torch.ones(1, 4), TWINS)
    with refused(ShapeError, "empty_P_G"):
        function(SAFE, torch.ones(1, 3), TWINS, torch.zeros(1, 2, dtype=torch.bool))
    with refused(ShapeError, "rewards_P_G"):
        function(SAFE, torch.ones(3), TWINS)


CHOICES = {
    "mutual_information": "graph_cut, log_det, facility_location",
    "negative_similarity": "clamp, keep, shift",
    "divides": "correctness, sum",
    "negative_reward": "skip, paper, invert",
    "uniform_group": "skip, paper",
    "empty_completion": "unique, paper",
    "among": "all, rewarded",
    "weight_norm": "none, mean, rewarded, protected",
}


@pytest.mark.parametrize(("name", "allowed"), CHOICES.items())
def test_unknown_choices_are_refused_and_known_ones_accepted(name, allowed):
    for value in allowed.split(", "):
        DRAConfig(**{name: value})
    with refused(ConfigError, name, "papr", *allowed.split(", ")):
        DRAConfig(**{name: "papr"})


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_lambda_out_of_range_is_refused(value):
    with refused(ConfigError, "graph_cut_lambda", value):
        DRAConfig(graph_cut_lambda=value)


@pytest.mark.parametrize("value", [0.0, 1.5, math.nan])
def test_jitter_out_of_range_is_refused(value):
    with refused(ConfigError, "log_det_jitter", value):
        DRAConfig(log_det_jitter=value)


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_strength_out_of_range_is_refused(value):
    with refused(ConfigError, "strength", value):
        DRAConfig(strength=value)


def test_strength_keeps_the_sign_of_a_weight():
    """With "keep", redundancy -3 gives the weight 1 / -2: its root keeps the sign."""
    s = double([[[1.0, -1, -2], [-1, 1, 0], [-2, 0, 1]]])
    got = reward_weights(replace(PAPER, strength=0.5), torch.ones(1, 3), s)
    assert got[0, 0].item() == pytest.approx(-((2 - FLOOR) ** -0.5), rel=rounding(10))


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
