"""Normalisation: a mean over the step, however it is cut into micro-batches and processes."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from polypath.core.step import RULES, StepShape, normalize
from polypath.errors import ConfigError
from tests.strategies import FAST

GENERATOR = torch.Generator().manual_seed(0)
VALUES = torch.randn(12, 5, dtype=torch.float64, generator=GENERATOR)
MASK = torch.arange(5) < torch.tensor([1, 5, 2, 3, 5, 0, 4, 4, 1, 2, 5, 3])[:, None]


def shape(accumulation, processes):
    return StepShape(
        accumulation=accumulation,
        processes=processes,
        tokens=int(MASK.sum()),
        sequences=len(MASK),
        max_length=7,
    )


KEPT = VALUES * MASK
TRUTH = {
    "sequence_mean": (KEPT.sum(1) / MASK.sum(1).clamp(min=1)).mean(),
    "token_mean": KEPT.sum() / MASK.sum(),
    "constant": KEPT.sum() / (12 * 7),
    "sequence_sum": KEPT.sum() / 12,
}


@pytest.mark.parametrize("rule", TRUTH)
@FAST
@given(st.lists(st.integers(1, 11), max_size=5, unique=True), st.sampled_from([1, 2]))
def test_any_cut_of_a_step_gives_the_mean_of_the_whole(rule, cuts, processes):
    """Micro-batches are summed and processes averaged, as engines do; their sizes may differ."""
    bounds = [0, *sorted(cuts), 12]
    parts = [slice(a, b) for a, b in pairwise(bounds)]
    step = shape(len(parts), processes)
    total = sum(normalize(VALUES[part], MASK[part], step, rule) for part in parts)
    assert_close(total / processes, TRUTH[rule])


def test_the_mean_of_a_micro_batch_is_the_rule_that_depends_on_the_cut():
    step = shape(2, 1)
    halves = [slice(0, 3), slice(3, 12)]
    total = sum(normalize(VALUES[h], MASK[h], step, "micro_batch_mean") for h in halves)
    expected = sum(KEPT[h].sum() / MASK[h].sum() for h in halves) / 2
    assert_close(total, expected)
    assert abs(total - TRUTH["token_mean"]) > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_padding_may_hold_anything_and_nothing_at_all_is_0(rule):
    dirty = torch.where(MASK, VALUES, torch.nan)
    assert torch.isfinite(normalize(dirty, MASK, shape(1, 1), rule))
    assert normalize(dirty, torch.zeros_like(MASK), shape(1, 1), rule) == 0


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match="token_mean"):
        normalize(VALUES, MASK, shape(1, 1), "token_men")
