"""Live statistics: exact over micro-steps and processes, one collective, NaN where there is nothing."""

import math

import pytest
import torch

from polypath.core.processes import SingleProcess
from polypath.core.statistics import (
    TokenMeans,
    adjustment_metrics,
    gradient_sizes,
    group_metrics,
)
from tests.core.ranks import Ranks


def test_means_span_micro_steps_and_processes():
    values = torch.tensor([[1.0, 2.0, math.nan], [5.0, math.inf, 7.0]])
    masks = torch.tensor([[1, 1, 0], [1, 0, 0]])

    def work(rank):
        means = TokenMeans()
        means.add_tokens("x", values[rank.rank][None], masks[rank.rank][None])
        means.add_tokens("x", values[rank.rank][None] * 2, masks[rank.rank][None])
        means.add("none", torch.tensor(0.0), torch.tensor(0))
        return means.flush(rank)

    for found in Ranks(2).run(work):
        assert found["x"] == pytest.approx((1 + 2 + 2 + 4 + 5 + 10) / 6)
        assert math.isnan(found["none"])


class Counting(SingleProcess):
    calls = 0

    def sum(self, values):
        self.calls += 1
        return values


def test_one_collective_whatever_is_logged_and_none_for_nothing():
    means, alone = TokenMeans(), Counting()
    assert means.flush(alone) == {}
    assert alone.calls == 0
    for name in "abc":
        means.add(name, torch.tensor(1.0), torch.tensor(2))
    assert means.flush(alone) == {"a": 0.5, "b": 0.5, "c": 0.5}
    assert alone.calls == 1
    assert means.flush(alone) == {}


def test_entropy_is_told_apart_by_correctness():
    means = TokenMeans()
    entropy = torch.tensor([[1.0, 3.0], [10.0, math.nan], [20.0, 40.0]])
    mask = torch.tensor([[1, 1], [1, 0], [1, 1]])
    correct = torch.tensor([True, False, False])
    means.add_entropy(entropy, mask, correct, torch.tensor([True, True, True]))
    found = means.flush(SingleProcess())
    assert found["diversity/entropy_correct"] == 2.0
    assert found["diversity/entropy_wrong"] == pytest.approx(70 / 3)
    means.add_entropy(entropy, mask, correct, torch.tensor([True, False, True]))
    assert means.flush(SingleProcess())["diversity/entropy_wrong"] == 30.0


def test_gradient_sizes_are_sums_over_tokens_and_shares_add_up():
    logp = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    mask = torch.tensor([[1, 0]])
    elsewhere = torch.tensor(2.0, requires_grad=True)
    sizes = gradient_sizes(
        {
            "a": (3 * logp).sum(),
            "b": -(logp[0, 0] ** 2),
            "none": elsewhere * 2,
            "still": torch.ones(()),
        },
        logp,
        mask,
    )
    assert sizes["a"] == 3.0
    assert sizes["b"] == 2.0
    assert sizes["none"].isnan()
    assert sizes["still"].isnan()
    means = TokenMeans()
    means.add_shares("share", sizes)
    found = means.flush(SingleProcess())
    assert found["share/a"] == pytest.approx(0.6)
    assert found["share/b"] == pytest.approx(0.4)
    means.add_shares("share", {"a": torch.tensor(1.0)})
    assert means.flush(SingleProcess()) == {}


def test_group_metrics_by_hand():
    correct = torch.tensor([[True, True, False], [False, False, False]])
    found = group_metrics([["a", "b", "a"], ["c", None, "c"]], correct)
    assert found["diversity/accuracy"] == pytest.approx(1 / 3)
    assert found["diversity/distinct_correct"] == 1.0
    assert found["diversity/mixed"] == 0.5
    assert "diversity/similarity" not in found
    assert group_metrics([["a", "b", "a"], ["c", None, "c"]], correct.numpy()) == pytest.approx(
        found, nan_ok=True
    )


def test_adjustment_metrics_leave_out_what_has_no_weight():
    raw = torch.tensor([[1.0, 0.0, math.nan, 2.0]])
    found = adjustment_metrics(raw, torch.tensor([[0.5, 0.0, math.nan, 2.0]]))
    assert found["diversity/reward_weight_mean"] == 0.75
    assert found["diversity/reward_weight_std"] == 0.25
    assert found["diversity/adjusted_reward"] == pytest.approx(2.5 / 3)
    assert math.isnan(adjustment_metrics(raw * 0, raw * 0)["diversity/reward_weight_mean"])
