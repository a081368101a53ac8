"""Unlikeliness, DARLING, GAPO, MMR and batch exploration: by hand, by definition, and their limits."""

import math

import pytest
import torch
from torch.testing import assert_close

from polypath.errors import ConfigError
from polypath.objectives.batch_exploration import (
    BatchExplorationConfig,
    batch_exploration_rewards,
)
from polypath.objectives.clusters import cluster_sizes
from polypath.objectives.correct_part import correct_part, weigh_correct
from polypath.objectives.darling import DARLINGConfig, darling_rewards
from polypath.objectives.gapo import GAPOConfig, gapo_rewards
from polypath.objectives.mmr import MMRConfig, mmr_rewards
from polypath.objectives.unlikeliness import UnlikelinessConfig, unlikeliness_rewards
from tests.objectives.groups import double, psd
from tests.refusals import refused
from tests.strategies import generator

REWARDS = double([[1.0, 1, 1, 0]])
CORRECT = REWARDS > 0.5
TWINS = double([[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]])
EYE = torch.eye(4, dtype=torch.float64)[None]
ONES = torch.ones(1, 4, 4, dtype=torch.float64)


# --- what they share ---------------------------------------------------------------------------


def test_clusters_are_what_is_linked_through_others():
    chain = double([[[1, 0.6, 0, 0], [0.6, 1, 0.6, 0], [0, 0.6, 1, 0.5], [0, 0, 0.5, 1]]])
    everyone = torch.ones(1, 4, dtype=torch.bool)
    assert cluster_sizes(chain, everyone, 0.5).tolist() == [[3, 3, 3, 1]]  # above, not at
    assert cluster_sizes(chain, everyone, 0.4).tolist() == [[4, 4, 4, 4]]
    # Without its middle the chain falls apart; what is no member is alone.
    members = torch.tensor([[True, False, True, True]])
    assert cluster_sizes(chain, members, 0.5).tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_connected_components(seed):
    size = 9
    links = torch.rand(size, size, generator=generator(seed)) < 0.12
    links = (links | links.T).double().fill_diagonal_(1.0)

    def component(start):
        seen, todo = {start}, [start]
        while todo:
            near = links[todo.pop()].nonzero().flatten().tolist()
            todo += [j for j in near if j not in seen]
            seen.update(near)
        return seen

    got = cluster_sizes(links[None], torch.ones(1, size, dtype=torch.bool), 0.5)[0]
    assert got.tolist() == [len(component(i)) for i in range(size)]


def test_only_the_correct_part_is_weighted():
    rewards, part = double([[1.5, 0.5, -1.0, math.nan]]), double([[1.0, 0.0, 0.0, 1.0]])
    got = weigh_correct(rewards, double([[0.5, math.nan, 0.5, 0.5]]), part)
    assert_close(got, double([[1.0, 0.5, -1.0, math.nan]]), equal_nan=True)
    assert correct_part(rewards, None).tolist() == [[1.5, 0.5, 0.0, 0.0]]


# --- unlikeliness ------------------------------------------------------------------------------


def test_unlikeliness_takes_most_from_the_likeliest():
    logp, ones = double([[-1.0, -3.0, -2.0, -9.0]]), torch.ones(1, 4).long()
    got = unlikeliness_rewards(UnlikelinessConfig(beta=0.4), REWARDS, logp, ones)
    # Ranks 3, 1, 2, 0 of 4.
    assert_close(got, double([[1 - 0.3, 1 - 0.1, 1 - 0.2, 0]]))
    off = unlikeliness_rewards(UnlikelinessConfig(beta=0.0), REWARDS, logp, ones)
    assert torch.equal(off, REWARDS)


def test_unlikeliness_ranks_by_token_or_by_completion_and_shares_ties():
    logp, lengths = double([[-2.0, -4.0, -8.0, -8.0]]), torch.tensor([[1, 2, 8, 2]])
    # Per token -2, -2, -1, -4: ranks 1.5, 1.5, 3, 0.
    got = unlikeliness_rewards(UnlikelinessConfig(beta=0.4), REWARDS, logp, lengths)
    assert_close(got, double([[1 - 0.15, 1 - 0.15, 1 - 0.3, 0]]))
    whole = UnlikelinessConfig(beta=0.4, per_token=False)  # ranks 3, 2, 0.5, 0.5
    got = unlikeliness_rewards(whole, REWARDS, logp, lengths)
    assert_close(got, double([[1 - 0.3, 1 - 0.2, 1 - 0.05, 0]]))


# --- DARLING -----------------------------------------------------------------------------------


def test_darling_multiplies_by_the_share_that_is_unlike():
    assert_close(darling_rewards(DARLINGConfig(), REWARDS, TWINS), double([[2 / 3, 2 / 3, 1, 0]]))
    assert torch.equal(darling_rewards(DARLINGConfig(), REWARDS, EYE), REWARDS)
    assert_close(darling_rewards(DARLINGConfig(), REWARDS, ONES), 0.1 * REWARDS)
    assert_close(darling_rewards(DARLINGConfig(floor=0.0), REWARDS, ONES), 0.0 * REWARDS)


def test_darling_adds_to_every_reward():
    config = DARLINGConfig(combine="add", weight=0.5)
    got = darling_rewards(config, REWARDS, TWINS)
    assert_close(got, REWARDS + 0.5 * double([[2 / 3, 2 / 3, 1, 1]]))


def test_darling_leaves_the_other_rewards_alone():
    part = double([[1.0, 1, 1, 0]])
    got = darling_rewards(DARLINGConfig(), part + 0.25, TWINS, part)
    assert_close(got, double([[2 / 3, 2 / 3, 1, 0]]) + 0.25)


# --- GAPO --------------------------------------------------------------------------------------


def test_gapo_pays_by_the_distance_to_a_uniform_share():
    got = gapo_rewards(GAPOConfig(), REWARDS, TWINS, CORRECT)
    # Shares 2/3 and 1/3 of two answers; the wrong one gets the paper's -1.
    assert_close(got, double([[1 - 1 / 6, 1 - 1 / 6, 1 + 1 / 6, -1]]))
    known = gapo_rewards(GAPOConfig(answers=10, invalid=0.0), REWARDS, TWINS, CORRECT)
    assert_close(known, double([[1 - 2 / 3 + 0.1, 1 - 2 / 3 + 0.1, 1 - 1 / 3 + 0.1, 0]]))


def test_gapo_changes_nothing_where_answers_are_uniform():
    got = gapo_rewards(GAPOConfig(invalid=0.0), REWARDS, EYE, CORRECT)
    assert_close(got, REWARDS)
    one_answer = gapo_rewards(GAPOConfig(invalid=0.0), REWARDS, ONES, CORRECT)
    assert_close(one_answer, REWARDS)


# --- MMR ---------------------------------------------------------------------------------------


def mmr_by_definition(rewards, similarity, weight):
    """The authors' loop, for one group, as plain numbers."""
    found, order = [0.0] * len(rewards), []
    while len(order) < len(rewards):
        left = [i for i in range(len(rewards)) if i not in order]

        def value(i):
            if not order:
                return rewards[i]
            closest = max(0.0, *(float(similarity[i, j]) for j in order))
            return weight * rewards[i] - (1 - weight) * closest

        best = max(left, key=value)
        found[best] = value(best)
        order.append(best)
    return found


@pytest.mark.parametrize("weight", [None, 0.7, 1.0, 0.0])
@pytest.mark.parametrize("seed", range(3))
def test_mmr_is_the_greedy_order(weight, seed):
    rewards = torch.rand(5, generator=generator(seed), dtype=torch.float64)
    similarity = psd(seed)
    used = torch.sigmoid(rewards.std(correction=0)).item() if weight is None else weight
    got = mmr_rewards(MMRConfig(weight=weight), rewards[None], similarity[None])[0]
    expected = mmr_by_definition(rewards.tolist(), similarity, used)
    assert got.tolist() == pytest.approx(expected, rel=0, abs=1e-9)


def test_mmr_takes_the_first_of_equals():
    got = mmr_rewards(MMRConfig(weight=0.5), double([[1.0, 1, 1]]), TWINS[:, :3, :3])
    # First 0; then 2, which is unlike it, with 1/2; then the twin of 0, with 1/2 - 1/2.
    assert_close(got, double([[1.0, 0.0, 0.5]]))


# --- batch exploration -------------------------------------------------------------------------


def test_batch_exploration_counts_the_others_with_the_same_answer():
    got = batch_exploration_rewards(BatchExplorationConfig(c=1.0), REWARDS, TWINS)
    assert_close(got, double([[0.75, 0.75, 1, 0]]))
    got = batch_exploration_rewards(BatchExplorationConfig(), REWARDS, ONES)
    assert_close(got, REWARDS - 0.5 * 0.75)
    assert torch.equal(batch_exploration_rewards(BatchExplorationConfig(), REWARDS, EYE), REWARDS)


def test_settings_that_cannot_work_are_refused():
    with refused(ConfigError, "unlikeliness_beta", 1.5):
        UnlikelinessConfig(beta=1.5)
    with refused(ConfigError, "darling_threshold", 1.0):
        DARLINGConfig(threshold=1.0)
    with refused(ConfigError, "darling_weight", "darling_combine", 0.5):
        DARLINGConfig(weight=0.5)
    with refused(ConfigError, "darling_combine", "times"):
        DARLINGConfig(combine="times")
    with refused(ConfigError, "gapo_invalid", 1.0):
        GAPOConfig(invalid=1.0)
    with refused(ConfigError, "mmr_lambda", 2.0):
        MMRConfig(weight=2.0)
    with refused(ConfigError, "batch_exploration_c", -1.0):
        BatchExplorationConfig(c=-1.0)
    with refused(ConfigError, "NaN"):
        darling_rewards(DARLINGConfig(), REWARDS, TWINS * math.nan)
