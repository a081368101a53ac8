"""Dynamic sampling (DAPO, arXiv 2503.14476, equation 11): fresh groups replace those without a gradient.

In a group whose advantages are all 0 nothing is learned. Its place in the batch is given to a group of
another prompt that has a gradient, as long as the allowed number of further generations lasts.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad


def groups_with_gradient(advantages_B: Tensor, group: int) -> Tensor:
    """Return which groups have an advantage that is not 0, ``(P,)`` booleans.

    Args:
        advantages_B: of whole groups, one after the other, ``(P * group,)`` or with a column per token.
        group: completions of a group.
    """
    rows_B = (advantages_B.reshape(len(advantages_B), -1) != 0).any(dim=1)
    return rows_B.reshape(-1, group).any(dim=1)


def draw_prompts(prompts: int, count: int, *, seed: int, step: int, attempt: int) -> list[int]:
    """Return the numbers of random prompts, different as long as there are enough.

    They depend on the arguments only, so that a resumed run draws the same.

    Args:
        prompts: in the training data.
        count: how many to draw.
        seed: the run's.
        step: micro-steps before this generation.
        attempt: number of the further generation, from 0.
    """
    generator = torch.Generator().manual_seed(hash((seed, step, attempt)) % 2**63)
    drawn: list[int] = []
    while len(drawn) < count:
        drawn += torch.randperm(prompts, generator=generator).tolist()
    return drawn[:count]


def replace_groups(
    batch: dict[str, Any],
    fresh: dict[str, Any],
    places: list[int],
    taken: list[int],
    *,
    group: int,
    pad_token_id: int,
) -> dict[str, Any]:
    """Return the batch with some of its groups replaced by groups of another batch.

    Args:
        batch: tensors with a row for each completion, prompts padded on the left and completions on the
            right; what is not such a tensor stays as it is.
        fresh: a batch of the same names, of any number of groups.
        places: groups of ``batch`` to replace.
        taken: groups of ``fresh`` to put there, as many.
        group: completions of a group.
        pad_token_id: fills token ids; everything else is filled with 0.
    """
    rows, width = batch["completion_mask"].shape
    into = _rows(places, group)
    out_of = _rows(taken, group)
    merged = dict(batch)
    for name, value in batch.items():
        if not isinstance(value, Tensor) or value.dim() == 0 or len(value) != rows:
            continue
        new = fresh[name]
        filler = pad_token_id if name in ("prompt_ids", "completion_ids") else 0
        by_token = value.dim() > 1 and (name.startswith("prompt_") or value.shape[1] == width)
        if by_token and value.shape[1] != new.shape[1]:
            left = name.startswith("prompt_")
            widest = max(value.shape[1], new.shape[1])
            value, new = (
                pad(v, (widest - v.shape[1], 0) if left else (0, widest - v.shape[1]), value=filler)
                for v in (value, new)
            )
        merged[name] = value.index_copy(0, into.to(value.device), new[out_of].to(value))
    return merged


def _rows(groups: list[int], group: int) -> Tensor:
    starts = torch.tensor(groups, dtype=torch.long).reshape(-1, 1) * group
    return (starts + torch.arange(group)).flatten()
