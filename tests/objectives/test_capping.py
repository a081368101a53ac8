"""A cap that keeps the gradient."""

import torch

from polypath.objectives.capping import MAX_EXPONENT, cap_value
from tests.objectives.tiny_policy import grad


def test_value_is_capped_above_only_and_the_gradient_passes_everywhere():
    x = torch.tensor([-1e4, 0.0, 2.0, 3.0, 1e4], requires_grad=True)
    capped = cap_value(x, 2.0)
    assert capped.tolist() == [-1e4, 0.0, 2.0, 2.0, 2.0]
    assert grad(capped.sum(), x).tolist() == [1.0] * 5


def test_value_is_exact_even_where_the_excess_is_larger_than_a_rounding_step():
    x = torch.tensor([9984.0], dtype=torch.bfloat16)
    assert cap_value(x, 80.0).item() == 80.0


def test_the_largest_exponent_fits_float32_and_bfloat16():
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.isfinite(torch.tensor(MAX_EXPONENT, dtype=dtype).exp())
