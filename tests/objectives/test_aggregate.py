"""Normalisers: by hand, exact under splitting, blind to padding."""

import math

import pytest
import torch
from hypothesis import given
from torch.testing import assert_close

from polypath.errors import ShapeError
from polypath.objectives.aggregate import sequence_mean, token_sum
from tests.objectives.tiny_policy import grad
from tests.refusals import refused
from tests.rounding import F32, rounding
from tests.strategies import FAST, token_batches

VALUES = torch.tensor([[1.0, 2.0, 6.0], [5.0, 0.0, 0.0], [7.0, 7.0, 7.0]])
MASK = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0]])


def test_golden_sequence_mean_and_token_sum():
    """Means 3, 5 and 0 (no tokens) over three completions: 8/3. The sum of four tokens is 14."""
    assert sequence_mean(VALUES, MASK).item() == pytest.approx(8 / 3)
    assert token_sum(VALUES, MASK, tokens=4).item() == pytest.approx(3.5)
    assert token_sum(VALUES, MASK, tokens=MASK.sum()).item() == pytest.approx(3.5)


@FAST
@given(token_batches())
def test_property_token_sum_does_not_depend_on_how_rows_are_split(batch):
    values, _, mask, _ = batch
    tokens = mask.sum()
    parts = [
        token_sum(values[i : i + 1], mask[i : i + 1], tokens=tokens) for i in range(len(values))
    ]
    assert_close(torch.stack(parts).sum(), token_sum(values, mask, tokens=tokens))


@FAST
@given(token_batches())
def test_property_padding_changes_neither_value_nor_gradient(batch):
    clean, _, mask, _ = batch
    dirty = torch.where(mask, clean, math.nan)
    more = torch.nn.functional.pad(dirty, (0, 2), value=math.inf)
    more_mask = torch.nn.functional.pad(mask, (0, 2))
    for function in (sequence_mean, lambda v, m: token_sum(v, m, tokens=5)):
        reference = clean.clone().requires_grad_()
        expected = function(reference, mask)
        for values, its_mask in ((dirty, mask), (more, more_mask)):
            x = values.clone().requires_grad_()
            got = function(x, its_mask)
            assert_close(got, expected)
            slope = grad(got, x)
            assert_close(slope[:, : clean.shape[1]], grad(function(reference, mask), reference))
            assert not slope[~its_mask].any()


def test_half_precision_is_summed_in_float32():
    """In bfloat16 the sum of 1000 ones is 1000 only if it is not added up one by one, and 0.001 has
    three digits; the mean of 1000 times bfloat16(0.1) must be bfloat16(0.1)."""
    values = torch.full((1, 1000), 0.1, dtype=torch.bfloat16)
    tenth = values[0, 0].double().item()
    mask = torch.ones(1, 1000)
    # A thousand float32 sums whose errors partly cancel; in bfloat16 one alone is off by 2^-8.
    rounded = rounding(100, eps=F32)
    assert sequence_mean(values, mask).item() == pytest.approx(tenth, rel=rounded)
    assert token_sum(values, mask, tokens=1000).item() == pytest.approx(tenth, rel=rounded)


def test_nothing_at_all_is_zero():
    empty = torch.zeros(0, 3)
    assert sequence_mean(empty, empty).item() == 0.0
    assert token_sum(VALUES, torch.zeros_like(MASK), tokens=0).item() == 0.0


def test_mask_of_another_shape_is_refused():
    with refused(ShapeError, "mask_B_T"):
        sequence_mean(VALUES, MASK[:, :2])
    with refused(ShapeError, "mask_B_T"):
        token_sum(VALUES, MASK[:2], tokens=4)
