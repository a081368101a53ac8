"""Divide rows into buckets of alike length, so that a forward runs over less padding."""

import numpy as np
import torch
from torch import Tensor


def length_buckets(lengths_B: Tensor, buckets: int, *, exactly: bool) -> list[Tensor]:
    """Return the row numbers of each bucket, shortest rows first, with the fewest padded tokens.

    A bucket is padded to its longest row. Of all ways to cut the sorted rows, this is the one with the
    smallest sum of rows times longest row, found by dynamic programming.

    Args:
        lengths_B: tokens of each row, ``(B,)``.
        buckets: the most buckets, at least 1.
        exactly: make as many buckets as asked, or B if there are fewer rows, even where that saves nothing:
            processes that wait for each other's forwards need the same number of them. Otherwise
            buckets of the same longest row are one.
    """
    order_B = lengths_B.argsort(stable=True)
    ends = _cuts(lengths_B[order_B].cpu().numpy().astype(np.int64), buckets)
    if not exactly:
        longest = [int(lengths_B[order_B[end - 1]]) for end in ends]
        ends = [
            end
            for place, end in enumerate(ends)
            if place + 1 == len(ends) or longest[place + 1] > longest[place]
        ]
    starts = [0, *ends[:-1]]
    return [order_B[start:end] for start, end in zip(starts, ends, strict=True)]


def _cuts(sorted_B: np.ndarray[tuple[int], np.dtype[np.int64]], buckets: int) -> list[int]:
    """Return where each bucket ends, for lengths in ascending order."""
    rows = len(sorted_B)
    count = min(buckets, rows)
    if count <= 1:
        return [rows]
    # cost[start, end - 1]: of one bucket that holds the rows from start to end.
    size = np.arange(1, rows + 1) - np.arange(rows)[:, None]
    cost = np.where(size > 0, size * sorted_B.astype(np.float64), np.inf)
    best = cost[0]  # of the first rows in one bucket, by their number - 1
    chosen = []
    for _ in range(count - 1):
        # best[m - 1] + cost[m, end - 1]: the last bucket starts at row m.
        totals = best[:-1, None] + cost[1:]
        chosen.append(totals.argmin(axis=0) + 1)
        best = totals.min(axis=0)
    ends = [rows]
    for starts in reversed(chosen):
        ends.append(int(starts[ends[-1] - 1]))
    return ends[::-1]


def used_columns(prompt_mask_B_P: Tensor, mask_B_T: Tensor) -> tuple[int, int]:
    """Return the columns of prompts that are padding in all rows, and how many of completions are not.

    Args:
        prompt_mask_B_P: 1 on tokens; padded on the left.
        mask_B_T: 1 on tokens; padded on the right. At least one column is kept.
    """
    before = (
        int(prompt_mask_B_P.bool().any(dim=0).int().argmax()) if prompt_mask_B_P.shape[1] else 0
    )
    inside = mask_B_T.bool().any(dim=0).nonzero()
    return before, int(inside[-1]) + 1 if len(inside) else 1


def without_padding(
    ids_B_T: Tensor, mask_B_T: Tensor, keep: int, rows: Tensor
) -> tuple[Tensor, Tensor, int]:
    """Return some rows without the columns that are padding in all of them.

    Args:
        ids_B_T: prompts, padded on the left, and completions, padded on the right.
        mask_B_T: 1 on tokens.
        keep: columns of the completions.
        rows: the rows to take.

    Returns:
        Ids, mask, and columns of the completions, at least one.
    """
    prompts = mask_B_T.shape[1] - keep
    before, kept = used_columns(mask_B_T[rows, :prompts], mask_B_T[rows, prompts:])
    columns = slice(before, prompts + kept)
    return ids_B_T[rows, columns], mask_B_T[rows, columns], kept


def widened(parts: list[Tensor], rows: list[Tensor], width: int) -> Tensor:
    """Put values of buckets, ``(rows, columns)`` each, back in the rows' order, 0 where there was padding."""
    padded = [torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts]
    back = torch.cat(rows).argsort()
    return torch.cat(padded)[back]
