"""From a value per token to a number: the normalisers, in one place."""

import torch
from torch import Tensor

from polypath.checks import check_shapes


def sequence_mean(values_B_T: Tensor, mask_B_T: Tensor) -> Tensor:
    """Return the mean over the tokens of each completion, then over all B completions.

    A completion without tokens counts as 0 and still counts in B.
    """
    check_shapes(values_B_T=values_B_T, mask_B_T=mask_B_T)
    mask_B_T = mask_B_T.to(values_B_T.dtype)
    return ((values_B_T * mask_B_T).sum(dim=1) / mask_B_T.sum(dim=1).clamp(min=1.0)).mean()


def token_sum(values_B_T: Tensor, mask_B_T: Tensor, *, tokens: Tensor | float) -> Tensor:
    """Return the sum over masked tokens divided by ``tokens``, a count that may span more than B.

    Passing the count of the whole optimizer step makes a mean over tokens exact when the step is
    split into micro-batches and processes; a mean of per-micro-batch means is not.
    """
    check_shapes(values_B_T=values_B_T, mask_B_T=mask_B_T)
    total = (values_B_T * mask_B_T.to(values_B_T.dtype)).sum()
    return total / torch.as_tensor(tokens, device=total.device).clamp(min=1.0)
