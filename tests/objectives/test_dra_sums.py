"""DRA on sums of rewards: ten thousand random groups of each kind hold what the settings promise.

A completion's reward is that of correctness and one for its form. Only the first is divided.
"""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from polypath.objectives.dra import PAPER, DRAConfig, adjust_rewards
from polypath.presets import PRESETS
from tests.objectives.groups import KINDS, TWINS, double
from tests.rounding import rounding
from tests.strategies import generator

SIZE = 8
SLACK = rounding(8 * SIZE, 4.0)  # a few sums over a group, of rewards up to 4
PRESET = DRAConfig(
    **{
        key.removeprefix("dra_"): value
        for key, value in PRESETS["diverse"].items()
        if key.startswith("dra_")
    }
)
CONFIGS = {
    "defaults": DRAConfig(),
    "preset": PRESET,
    **{kind: DRAConfig(mutual_information=kind) for kind in KINDS},
    "mean": DRAConfig(weight_norm="mean"),
    "rewarded": DRAConfig(weight_norm="rewarded"),
    "protected": DRAConfig(weight_norm="protected"),
    "strong": DRAConfig(weight_norm="protected", strength=3.0, among="rewarded"),
    "everywhere": DRAConfig(uniform_group="paper"),
    "shift": DRAConfig(negative_similarity="shift"),
}
SUMS = ("sums", "fractions", "negatives", "unscored", "ties")


def groups(kind, name="defaults"):
    """Return rewards, their part that says what is correct, which are correct, and similarities."""
    count = 10_000 if name in ("defaults", "preset") else 1_000
    random = generator(SUMS.index(kind))

    def draw(*values):
        choice = torch.randint(len(values), (count, SIZE), generator=random)
        return double(values)[choice]

    accuracy, form = draw(0.0, 1.0), draw(0.0, 0.1, 0.5, 1.0)
    if kind == "fractions":
        accuracy = torch.rand(count, SIZE, generator=random, dtype=torch.float64)
    elif kind == "negatives":
        accuracy, form = draw(-1.0, 1.0), draw(-1.5, -0.5, 0.0, 0.5)
    elif kind == "ties":
        form = 1.0 - accuracy  # every completion has the same sum
    correct = accuracy > 0.5
    rewards = accuracy + form
    if kind == "unscored":
        lost = torch.rand(count, SIZE, generator=random) < 0.2
        rewards, correct = rewards.masked_fill(lost, torch.nan), correct & ~lost
    ways = torch.randint(3, (count, SIZE), generator=random)
    similarity = (ways.unsqueeze(1) == ways.unsqueeze(2)).double()
    noise = torch.rand(count, SIZE, SIZE, generator=random, dtype=torch.float64) * 2 - 1
    blurred = 0.7 * similarity + 0.15 * (noise + noise.mT)
    similarity[::2] = blurred[::2]  # half of the groups by equal answers, half by embeddings
    diagonal = torch.eye(SIZE, dtype=torch.bool)
    return (
        rewards,
        torch.where(correct, accuracy, 0.0),
        correct,
        similarity.masked_fill(diagonal, 1),
    )


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize("name", CONFIGS)
def test_no_wrong_completion_comes_to_be_paid_above_a_right_one(name, kind):
    rewards, part, right, s = groups(kind, name)
    for negative in ("skip", "paper", "invert"):
        config = replace(CONFIGS[name], negative_reward=negative)
        got = adjust_rewards(config, rewards, s, None, part)
        wrong = ~right & ~rewards.isnan()
        pairs = right.unsqueeze(2) & wrong.unsqueeze(1)
        above = pairs & (rewards.unsqueeze(2) >= rewards.unsqueeze(1))
        assert above.sum() > len(rewards)
        assert ((got.unsqueeze(2) - got.unsqueeze(1))[above] >= -SLACK).all()
        assert torch.equal(got.isnan(), rewards.isnan())
        assert torch.isfinite(got[~rewards.isnan()]).all()


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize("name", CONFIGS)
def test_wrong_completions_and_groups_without_one_are_left_alone(name, kind):
    rewards, part, right, s = groups(kind, name)
    got = adjust_rewards(CONFIGS[name], rewards, s, None, part)
    wrong = ~right & ~rewards.isnan()
    assert torch.equal(got[wrong], rewards[wrong])
    solved = ~wrong.any(dim=1)
    if CONFIGS[name].uniform_group == "skip":
        assert_close(got[solved], rewards[solved], rtol=0, atol=0, equal_nan=True)
    still = adjust_rewards(replace(CONFIGS[name], strength=0.0), rewards, s, None, part)
    assert_close(still, rewards, rtol=0, atol=SLACK, equal_nan=True)


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize("name", ["preset", "rewarded", "protected", "strong"])
def test_groups_keep_their_mean_and_protected_right_answers_their_side_of_it(name, kind):
    rewards, part, right, s = groups(kind, name)
    got = adjust_rewards(CONFIGS[name], rewards, s, None, part)
    mean = rewards.nanmean(dim=1, keepdim=True)
    known = ~mean.isnan().squeeze(1)
    assert_close(got.nanmean(dim=1)[known], mean[known].squeeze(1), rtol=0, atol=SLACK)
    if CONFIGS[name].weight_norm == "protected":
        assert (got >= mean - SLACK)[right & (rewards > mean)].all()


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_inverted_punishments_keep_their_sum_and_grow_with_redundancy(strength):
    rewards, part, right, s = groups("negatives")
    config = DRAConfig(negative_reward="invert", strength=strength)
    got = adjust_rewards(config, rewards, s, None, part)
    punished = (rewards < 0) & ~right
    before, after = (torch.where(punished, x, 0.0).sum(dim=1) for x in (rewards, got))
    assert_close(after, before, rtol=0, atol=SLACK)
    if strength == 0.0:
        assert_close(got, rewards, rtol=0, atol=SLACK)


def test_four_right_of_which_three_are_copies_keep_a_signal():
    """Accuracy and form at 1 each, the last wrong: what is paid for form is not divided."""
    s = torch.eye(4).double()
    s[:3, :3] = 1.0
    rewards, part = double([[2.0, 2, 2, 1]]), double([[1.0, 1, 1, 0]])
    got = adjust_rewards(DRAConfig(), rewards, s[None], None, part)
    assert_close(got, double([[4 / 3, 4 / 3, 4 / 3, 1.0]]))
    got = adjust_rewards(DRAConfig(weight_norm="protected"), rewards, s[None], None, part)
    assert_close(got, rewards)  # all three are as redundant
    # The paper's way pays the wrong one most.
    paper = adjust_rewards(
        replace(PAPER, negative_similarity="clamp"), rewards, s[None], None, part
    )
    assert_close(paper, double([[2 / 3, 2 / 3, 2 / 3, 1.0]]))


def test_a_right_completion_stops_where_a_wrong_one_is():
    """Weights 1/2: 1 + .1 would become .6, below the .8 of a wrong one that is well formed."""
    rewards, part = double([[1.1, 1.1, 0.8]]), double([[1.0, 1, 0]])
    got = adjust_rewards(DRAConfig(), rewards, TWINS, None, part)
    assert_close(got, double([[0.8, 0.8, 0.8]]))
    got = adjust_rewards(DRAConfig(divides="sum"), rewards, TWINS, None, part)
    assert_close(got, double([[0.55, 0.55, 0.8]]))


def test_without_other_rewards_both_ways_are_one():
    rewards = groups("sums")[1]
    s = groups("sums")[3]
    by_sum = adjust_rewards(DRAConfig(divides="sum"), rewards, s, None, rewards)
    assert torch.equal(adjust_rewards(DRAConfig(), rewards, s, None, rewards), by_sum)
