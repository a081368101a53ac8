"""Rows of unequal length as one rectangle. Prompts end at one column, and completions start at it."""

from collections.abc import Sequence

import torch

Padded = tuple[torch.Tensor, torch.Tensor]


def pad_left(rows: Sequence[Sequence[int]], value: int) -> Padded:
    """Return ids and mask (1 at real tokens), both int64 of shape (rows, longest row)."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[value] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def pad_right(rows: Sequence[Sequence[int]], value: int) -> Padded:
    """Return ids and mask (1 at real tokens), both int64 of shape (rows, longest row)."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([list(row) + [value] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask
