"""Buckets of rows of alike length: as little padding as can be, and every row in its place."""

from itertools import combinations

import pytest
import torch

from polypath.core.length_buckets import length_buckets, widened, without_padding

LENGTHS = torch.tensor([5, 1, 9, 9, 2, 7, 7, 3])


def padded(rows: list[torch.Tensor]) -> int:
    return sum(len(chosen) * int(LENGTHS[chosen].max()) for chosen in rows)


@pytest.mark.parametrize("buckets", range(1, 10))
def test_no_other_cut_has_less_padding(buckets: int) -> None:
    ordered, count = sorted(LENGTHS.tolist()), min(buckets, 8)
    fewest = min(
        sum(
            (end - start) * ordered[end - 1]
            for start, end in zip((0, *cut), (*cut, 8), strict=True)
        )
        for cut in combinations(range(1, 8), count - 1)
    )
    exact = length_buckets(LENGTHS, buckets, exactly=True)
    merged = length_buckets(LENGTHS, buckets, exactly=False)
    assert padded(exact) == padded(merged) == fewest
    assert len(exact) == count
    assert len(merged) == min(count, 6)  # different lengths
    for rows in (exact, merged):
        assert torch.cat(rows).sort().values.tolist() == list(range(8))


def test_rows_of_one_length_are_one_bucket_unless_others_wait() -> None:
    same = torch.full((6,), 4)
    assert len(length_buckets(same, 3, exactly=False)) == 1
    assert len(length_buckets(same, 3, exactly=True)) == 3
    assert len(length_buckets(same[:1], 3, exactly=True)) == 1


def test_padding_goes_on_both_sides_and_values_come_back_in_place() -> None:
    mask = torch.tensor([[0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]])
    ids = torch.arange(18).reshape(3, 6)
    rows = [torch.tensor([1, 0]), torch.tensor([2])]
    cut, kept_mask, keep = without_padding(ids, mask, 3, rows[0])
    assert (cut.tolist(), keep) == ([[7, 8, 9, 10], [1, 2, 3, 4]], 2)
    assert kept_mask.tolist() == [[0, 1, 1, 1], [1, 1, 1, 0]]
    parts = [ids[chosen, 3 : 3 + width] for chosen, width in zip(rows, (2, 3), strict=True)]
    assert widened(parts, rows, 3).tolist() == [[3, 4, 0], [9, 10, 0], [15, 16, 17]]


def test_rows_without_any_completion_keep_one_column() -> None:
    mask = torch.tensor([[1, 1, 0, 0]])
    ids, _, keep = without_padding(torch.arange(4).reshape(1, 4), mask, 2, torch.tensor([0]))
    assert (ids.tolist(), keep) == ([[0, 1, 2]], 1)
