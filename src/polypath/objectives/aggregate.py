"""From a value per token to a number: the normalisers, in one place.

Values outside the mask may be anything, NaN included. Half-precision values are summed in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


def sequence_mean(values_B_T: Tensor, mask_B_T: Tensor) -> Tensor:
    """Return the mean over the tokens of each completion, then over all B completions.

    A completion without tokens counts as 0 and still counts in B. No completion at all gives 0.
    """
    check_shapes(values_B_T=values_B_T, mask_B_T=mask_B_T)
    length_B = mask_B_T.bool().sum(dim=1).clamp(min=1)
    per_completion_B = _masked(values_B_T, mask_B_T).sum(dim=1) / length_B
    return per_completion_B.sum() / max(per_completion_B.numel(), 1)


def token_sum(values_B_T: Tensor, mask_B_T: Tensor, *, tokens: Tensor | float) -> Tensor:
    """Return the sum over masked tokens divided by ``tokens``, a count that may span more than B.

    Passing the count of the whole optimizer step makes a mean over tokens exact when the step is
    split into micro-batches and processes; a mean of per-micro-batch means is not.
    """
    check_shapes(values_B_T=values_B_T, mask_B_T=mask_B_T)
    total = _masked(values_B_T, mask_B_T).sum()
    return total / torch.as_tensor(tokens, device=total.device).clamp(min=1.0)


def _masked(values_B_T: Tensor, mask_B_T: Tensor) -> Tensor:
    """Replace, not multiply: a NaN times zero is still NaN."""
    wide_B_T = values_B_T.to(torch.promote_types(values_B_T.dtype, torch.float32))
    return torch.where(mask_B_T.bool(), wide_B_T, torch.zeros_like(wide_B_T))
