"""The group stage: by hand, in any layout of rows over processes, and only what is switched on."""

import math
import random
import warnings
from dataclasses import dataclass, replace

import pytest
import torch
from torch.testing import assert_close

from polypath.core.correctness import Correctness
from polypath.core.groups import GroupResult, GroupRows, GroupStage
from polypath.core.objectives import BUILT_IN, read_objectives
from polypath.core.processes import SingleProcess
from polypath.errors import DataError
from polypath.objectives import AdvantageConfig, RewardAdjustment, group_advantages
from polypath.objectives.dra import DRAConfig, adjust_rewards
from polypath.settings import setting
from polypath.similarity import get_similarity
from tests.core.ranks import Ranks


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """No settings."""


DEFAULTS = {key: s.default for key, s in BUILT_IN.settings.items()}
NAN = math.nan


def stage(processes=None, similarity="answer", *, more=(), **changes):
    values = {**DEFAULTS, **{k: v for k, v in changes.items() if k in DEFAULTS}}
    rest = {k: v for k, v in changes.items() if k not in DEFAULTS}
    return GroupStage(
        **{
            "objectives": read_objectives(values).plus(more),
            "similarity": get_similarity(similarity),
            "processes": processes or SingleProcess(),
            "correctness": Correctness(columns=(0,), names=["right", "form"], threshold=0.5),
            "advantages": AdvantageConfig(scale="group"),
            "special_ids": frozenset({0}),
            "measured": True,
            **rest,
        }
    )


def rows(*given, functions=1, weights=(1.0,)):
    """Rows from (key, solution, rewards)."""

    def never():
        raise AssertionError("nothing asked for this")

    rewards = [r if isinstance(r, tuple) else (r,) * functions for _, _, r in given]
    return GroupRows(
        keys=[key for key, _, _ in given],
        texts=[str(solution) for _, solution, _ in given],
        token_ids=[[0] if solution is None else [5, 0] for _, solution, _ in given],
        solutions=[solution for _, solution, _ in given],
        rewards_B_F=torch.tensor(rewards),
        weights_F=torch.tensor(weights),
        hidden_B_D=never,
        sequence_logp_B=never,
    )


TWO_GROUPS = [
    ("p", "a", 1.0), ("p", "a", 1.0), ("p", "b", 1.0), ("p", None, 0.0),
    ("q", "c", 1.0), ("q", "d", 0.0), ("q", "d", 0.0), ("q", "c", NAN),
]  # fmt: skip
SAME_P_G_G = torch.tensor(
    [
        [[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        [[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]],
    ]
)


def expected_dra(**settings):
    rewards = torch.tensor([[r for _, _, r in TWO_GROUPS[:4]], [r for _, _, r in TWO_GROUPS[4:]]])
    empty = torch.tensor([[False] * 3 + [True], [False] * 4])
    adjusted = adjust_rewards(DRAConfig(**settings), rewards, SAME_P_G_G, empty)
    return adjusted, group_advantages(AdvantageConfig(), adjusted).flatten()


def test_dra_over_two_groups_by_hand():
    result = stage(dra=True)(rows(*TWO_GROUPS))
    adjusted, advantages = expected_dra()
    assert adjusted[0].tolist() == [0.5, 0.5, 1.0, 0.0]
    assert_close(result.advantages_B, advantages)
    assert_close(result.advantages_all, advantages)
    assert result.metrics["diversity/accuracy"] == 4 / 7  # one was not scored
    assert result.metrics["diversity/distinct_correct"] == (2 + 1) / 2
    assert result.metrics["diversity/adjusted_reward"] == pytest.approx(adjusted.nanmean().item())


def test_nothing_on_changes_nothing_and_asks_for_nothing():
    off = stage()(rows(*TWO_GROUPS))
    assert off.advantages_B is None
    assert off.metrics["diversity/reward_weight_mean"] == 1.0
    assert not stage(measured=False).acts
    assert stage(measured=False, dra=True).acts
    assert stage(measured=False, dra=True)(rows(*TWO_GROUPS)).metrics == {}


def test_a_group_of_one_keeps_the_advantages_of_the_engine():
    result = stage(dra=True)(rows(("p", "a", 1.0), ("q", "b", 0.0)))
    assert result.advantages_B is None
    assert result.metrics["diversity/accuracy"] == 0.5


def test_rewards_are_the_weighted_sum():
    given = rows(
        ("p", "a", (1.0, 0.0)), ("p", "b", (NAN, 4.0)), ("p", "c", (NAN, NAN)), weights=(2.0, 0.5)
    )
    assert stage(advantage="maxrl")(given).advantages_B.tolist() == [0, 0, 0]  # sums 2, 2 and none


def test_only_the_reward_of_correctness_is_divided():
    """Twice right and alike, with and without a reward of 1/2 for form; wrong and well formed."""
    given = rows(
        *(("p", "a", (1.0, 1.0)), ("p", "a", (1.0, 0.0)), ("p", None, (0.0, 1.0))),
        weights=(2.0, 0.5),
    )
    seen = {}

    def keep(config, rewards_P_G, correct_rewards_P_G):
        del config
        seen["part"] = correct_rewards_P_G
        seen["rewards"] = rewards_P_G
        return rewards_P_G

    see = RewardAdjustment(name="see", config=Nothing, function=keep, line="Sees.", paper="None")
    stage(dra=True, more=[see.on()])(given)
    assert seen["part"].tolist() == [[1.0, 1.0, 0.0]]  # what DRA left of 2
    assert seen["rewards"].tolist() == [[1.5, 1.0, 0.5]]


def test_two_adjustments_multiply_the_reward_of_correctness():
    """DRA halves the twins; unlikeliness takes from what is left, by rank: never below a wrong one."""
    given = rows(
        *(("p", "a", (1.0, 1.0)), ("p", "a", (1.0, 1.0)), ("p", "b", (1.0, 0.0))),
        ("p", None, (0.0, 1.0)),
        weights=(2.0, 0.5),
    )
    given = replace(given, sequence_logp_B=lambda: torch.tensor([-2.0, -4.0, -1.0, -9.0]))
    seen = {}

    def keep(config, rewards_P_G):
        del config
        seen["rewards"] = rewards_P_G
        return rewards_P_G

    see = RewardAdjustment(name="see", config=Nothing, function=keep, line="Sees.", paper="None")
    both = {"dra": True, "unlikeliness": True, "unlikeliness_beta": 1.0}
    stage(more=[see.on()], **both)(given)
    # Per token -1, -2, -1/2 and, of one token, -9: ranks 2, 1, 3 and 0 of 4.
    assert seen["rewards"].tolist() == [[1.0 / 2 + 0.5, 3.0 / 4 + 0.5, 2.0 / 4, 0.5]]


@pytest.mark.parametrize("scale", ["group", "none"])
def test_an_advantage_may_start_from_the_engine_s_own_rule(scale):
    own = AdvantageConfig(scale=scale)
    rule = {"advantage": "w_reinforce", "w_reinforce_of": "advantage", "w_reinforce_lambda": 0.5}
    result = stage(dra=True, advantages=own, **rule)(rows(*TWO_GROUPS))
    adjusted, _ = expected_dra()
    base = group_advantages(own, adjusted).flatten()
    assert_close(result.advantages_B, torch.where(base > 0, 0.5 * base, base))


def test_lengths_and_log_probabilities_follow_their_rows():
    """Of two processes' rows in any order; a method that wants neither never asks for log-probs."""
    seen = {}

    def keep(config, rewards_P_G, lengths_P_G, sequence_logp_P_G):
        del config
        seen["lengths"], seen["logp"] = lengths_P_G, sequence_logp_P_G
        return rewards_P_G

    see = RewardAdjustment(name="see", config=Nothing, function=keep, line="Sees.", paper="None")
    given = rows(("p", "a", 1.0), ("q", "b", 0.0), ("p", None, 0.0), ("q", "c", 1.0))
    given = replace(given, sequence_logp_B=lambda: torch.tensor([-1.0, -2.0, -3.0, -4.0]))
    stage(more=[see.on()])(given)
    assert seen["lengths"].tolist() == [[2, 1], [2, 2]]
    assert seen["logp"].tolist() == [[-1.0, -3.0], [-2.0, -4.0]]


def test_accuracy_is_of_what_was_scored():
    given = rows(("p", "a", 1.0), ("p", "b", NAN), ("p", "c", 0.0), ("p", "d", NAN))
    assert stage()(given).metrics["diversity/accuracy"] == 0.5
    assert math.isnan(stage()(rows(("p", "a", NAN))).metrics["diversity/accuracy"])


def test_an_advantage_sees_adjusted_rewards():
    adjusted, _ = expected_dra()
    result = stage(dra=True, advantage="maxrl")(rows(*TWO_GROUPS))
    mean = adjusted.nanmean(dim=1, keepdim=True)
    expected = torch.where(adjusted.isnan(), 0.0, (adjusted - mean) / mean)
    assert_close(result.advantages_B, expected.flatten())
    plain = stage(advantage="maxrl")(rows(*TWO_GROUPS)).advantages_B
    assert plain[:4].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, -1.0])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("world", [1, 2, 4])
def test_rows_may_lie_on_any_process_in_any_order(world, seed):
    """Groups go by key: what comes back for a completion does not depend on where it was."""
    shuffled = list(enumerate(TWO_GROUPS))
    random.Random(seed).shuffle(shuffled)
    size = len(shuffled) // world
    parts = [shuffled[rank * size : (rank + 1) * size] for rank in range(world)]

    def work(rank) -> GroupResult:
        return stage(rank, dra=True)(rows(*(row for _, row in parts[rank.rank])))

    results = Ranks(world).run(work)
    _, expected = expected_dra()
    for part, result in zip(parts, results, strict=True):
        assert_close(result.advantages_B, expected[[place for place, _ in part]])
        assert result.metrics == pytest.approx(results[0].metrics)
        assert_close(result.advantages_all, expected[[place for place, _ in shuffled]])
    assert results[0].metrics["diversity/distinct_correct"] == 1.5


def test_features_that_are_tensors_follow_their_rows():
    """Embeddings are gathered as tensors, answers as objects; both must end in the right group."""
    order = [3, 6, 0, 5, 1, 7, 2, 4]
    vectors = torch.eye(8)
    shuffled = [TWO_GROUPS[i] for i in order]
    given = replace(rows(*shuffled), hidden_B_D=lambda: vectors[order])
    result = stage(similarity="policy", dra=True)(given)
    # Nothing resembles anything: DRA leaves the rewards alone.
    rewards = torch.tensor([r for _, _, r in TWO_GROUPS]).reshape(2, 4)
    expected = group_advantages(AdvantageConfig(), rewards).flatten()[order]
    assert_close(result.advantages_B, expected)
    vectors[:4] = vectors[0]  # all of the first group are alike, none of the second
    found = stage(similarity="policy")(given).metrics["diversity/similarity"]
    assert found == pytest.approx(0.5)


def test_groups_of_unequal_size_are_refused():
    with pytest.raises(DataError, match=r"\[1, 2\]"):
        stage()(rows(("p", "a", 1.0), ("p", "b", 1.0), ("q", "c", 1.0)))


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    by: float = setting(1.0, "Factor.")


def test_a_method_gets_what_it_wants_and_only_then_is_it_computed():
    seen = {}

    def likely(config, rewards_P_G, sequence_logp_P_G, solutions_P_G, correct_P_G):
        seen.update(logp=sequence_logp_P_G, solutions=solutions_P_G, correct=correct_P_G)
        return rewards_P_G * config.by

    entry = RewardAdjustment(name="likely", config=NoSettings, function=likely, line="", paper="")
    given = replace(rows(*TWO_GROUPS), sequence_logp_B=lambda: torch.arange(8.0))
    result = stage(more=[entry.on(by=2.0)], measured=False)(given)
    assert seen["logp"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert seen["solutions"][0] == ["a", "a", "b", None]
    assert seen["correct"].tolist() == [[True, True, True, False], [True, False, False, False]]
    plain = torch.tensor([r for _, _, r in TWO_GROUPS]).reshape(2, 4) * 2.0
    assert_close(result.advantages_B, group_advantages(AdvantageConfig(), plain).flatten())


@pytest.mark.parametrize(("solutions", "warns"), [("aa", True), ("ab", True), ("aab", False)])
def test_answers_that_tell_nothing_apart_are_told_once(solutions, warns):
    made = stage(dra=True)
    given = rows(*((key, s, 1.0) for key in range(64) for s in solutions))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made(given)
        made(given)
    assert len(caught) == int(warns)


def test_groups_of_unequal_size_go_through_size_by_size():
    three = [("r", "a", 1.0), ("r", "b", 0.0), ("r", "a", 1.0)]
    mixed = [TWO_GROUPS[0], three[0], *TWO_GROUPS[1:5], three[1], *TWO_GROUPS[5:], three[2]]
    acting = stage(dra=True)
    found = acting.of_any_size(rows(*mixed))
    whole, small = acting(rows(*TWO_GROUPS)), acting(rows(*three))
    of_three = [place for place, row in enumerate(mixed) if row[0] == "r"]
    rest = [place for place in range(len(mixed)) if place not in of_three]
    assert_close(found.advantages_B[rest], whole.advantages_B, rtol=0, atol=0)
    assert_close(found.advantages_B[of_three], small.advantages_B, rtol=0, atol=0)
    name = "diversity/accuracy"
    expected = (8 * whole.metrics[name] + 3 * small.metrics[name]) / 11
    assert found.metrics[name] == pytest.approx(expected)


def test_an_engine_may_want_the_advantages_of_its_own_rule():
    found = stage(own_advantages=True)(rows(*TWO_GROUPS))
    expected = group_advantages(
        AdvantageConfig(scale="group"), torch.tensor([[r for *_, r in TWO_GROUPS]]).reshape(2, 4)
    )
    assert_close(found.advantages_B, expected.flatten(), rtol=0, atol=0)
    assert stage()(rows(*TWO_GROUPS)).advantages_B is None
