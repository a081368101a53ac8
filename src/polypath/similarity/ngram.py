"""Similarity by shared n-grams of tokens: no model, no text, nothing to download."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from polypath.errors import ConfigError
from polypath.similarity.base import Completions, as_list, clean, count_groups
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_BUCKETS = np.int64(2**18 - 1)  # a mask of the hash; its counts stay in the cache
_FEW = 2**12  # n-grams of a group up to which sorting all costs less than looking for the lone ones
_SMALL = 2**15  # entries of a matrix up to which a dense product costs less than a sparse one


class NgramSimilarity:
    r"""Jaccard index of the token n-grams of two completions.

    .. math:: s_{ij} = \frac{|A_i \cap A_j|}{|A_i \cup A_j|}, \qquad
        A_i = \text{the set of all n-grams of completion } i,\ n = 1 \dots n_{\max}

    In [0, 1]: 1 when both have the same n-grams, 0 when they share none.

    Why Jaccard on sets, and not a cosine of counts:

    * It is positive semi-definite, which the log-det adjustment needs. Order all n-grams at random;
      :math:`s_{ij}` is the chance that the first one present in i is also the first one present in
      j. So the matrix is an average of 0/1 "same class" matrices, and each of those is positive
      semi-definite.
    * Counts are ruled by the tokens every solution is full of (spaces, digits, "="), which puts all
      cosines of a group near 1. In a set such a token weighs as much as any other, and there are
      more distinct 3-grams than 2-grams than 1-grams, so word order and wording decide.
    * The union in the denominator handles length: a long completion that contains a short one does
      not count as its copy.

    What it cannot see: how often an n-gram is repeated, and that two wordings mean the same.

    Rows are compared by 64-bit hashes of their n-grams, the same on every process. Two different
    n-grams of one group collide with a chance of about m^2 / 2^65 for m distinct n-grams, 1e-9 for
    m = 200,000.

    Args:
        max_n: longest n-gram, >= 1.
        ignored_ids: token ids removed first. Give the tokenizer's special ids: a closing
            end-of-sequence token is otherwise an n-gram shared by all finished completions, which
            matters when completions are a few tokens long. A row left without tokens is empty.

    Raises:
        ConfigError: ``max_n`` is below 1.
    """

    def __init__(self, *, max_n: int = 3, ignored_ids: tuple[int, ...] = ()) -> None:
        if max_n < 1:
            raise ConfigError(f"ngram similarity: max_n must be at least 1, got {max_n}.")
        self.max_n = max_n
        self.ignored_ids = np.array(sorted(ignored_ids), dtype=np.int64)

    def features(self, rows: Completions) -> list[Any]:
        """Return the distinct n-gram hashes of each row as an int64 array."""
        tokens, lengths_B = _without(rows.token_ids, self.ignored_ids)
        # An n-gram belongs to a row when it starts and ends inside it.
        sizes_N_B = np.stack([np.maximum(lengths_B - n, 0) for n in range(self.max_n)])
        ends_B = np.cumsum(sizes_N_B.sum(axis=0))
        flat = np.empty(ends_B[-1] if len(ends_B) else 0, dtype=np.int64)
        hashes_N = _rolling_hashes(tokens, self.max_n)
        start = place = 0
        for length, end, *sizes_N in zip(lengths_B, ends_B, *sizes_N_B, strict=True):
            row = flat[place:end]
            for hashes, size in zip(hashes_N, sizes_N, strict=True):
                flat[place : place + size] = hashes[start : start + size]
                place += size
            row.sort()
            start += length
        return _distinct(flat, ends_B)

    def matrix(self, features: Tensor | list[Any], group_size: int) -> Tensor:
        """Return ``similarity_P_G_G`` in float64 on the CPU. See ``Similarity.matrix``."""
        rows = as_list(features)
        groups = count_groups(len(rows), group_size)
        shared_P_G_G = np.zeros((groups, group_size, group_size))
        for p in range(groups):
            shared_P_G_G[p] = _shared(rows[p * group_size : (p + 1) * group_size])
        size_P_G = np.array([len(row) for row in rows], dtype=np.float64).reshape(
            groups, group_size
        )
        union_P_G_G = size_P_G[:, :, None] + size_P_G[:, None, :] - shared_P_G_G
        # 0 / 0 is two empty completions: nothing shared, and clean() sets their diagonal.
        return clean(torch.from_numpy(shared_P_G_G / np.maximum(union_P_G_G, 1.0)))


def _without(
    token_ids: Sequence[Sequence[int]], ignored: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the tokens that are kept, row after row, and how many of them each row has."""
    lengths_B = np.array([len(ids) for ids in token_ids], dtype=np.int64)
    tokens = np.fromiter(chain.from_iterable(token_ids), np.int64, count=int(lengths_B.sum()))
    if ignored.size:
        kept = ~np.isin(tokens, ignored)
        before = np.concatenate([[0], np.cumsum(kept)])
        ends_B = np.cumsum(lengths_B)
        tokens, lengths_B = tokens[kept], before[ends_B] - before[ends_B - lengths_B]
    return tokens, lengths_B


def _distinct(flat: npt.NDArray[np.int64], ends_B: npt.NDArray[np.int64]) -> list[Any]:
    """Return the distinct values of each row; each is sorted, and ends at ``ends_B`` of ``flat``."""
    first = np.ones(len(flat), dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=first[1:])
    starts_B = np.concatenate([[0], ends_B])[:-1]
    first[starts_B[starts_B < len(flat)]] = True  # a row starts anew, whatever ended the last one
    count = np.concatenate([[0], np.cumsum(first)])
    # Copies, not views: a row that is pickled for other processes must not take all rows along.
    return [row.copy() for row in np.split(flat[first], count[ends_B])[:-1]]


def _shared(rows: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.float64]:
    """Return how many distinct n-grams each two rows of one group share, ``(G, G)``."""
    hashes = np.concatenate(rows)
    owners = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    if len(hashes) > _FEW:
        # Most n-grams occur in one row only. Nearly all of these are alone in their bucket too, and
        # what is alone is shared with no row: it need not be sorted.
        bucket = hashes & _BUCKETS
        several = (np.bincount(bucket) > 1)[bucket]
        hashes, owners = hashes[several], owners[several]
    order = np.argsort(hashes, kind="stable")  # the rows are sorted: a merge of sorted runs
    hashes, owners = hashes[order], owners[order]
    first = np.ones(len(hashes), dtype=bool)
    np.not_equal(hashes[1:], hashes[:-1], out=first[1:])
    starts_K = np.flatnonzero(first)
    rows_K = np.diff(np.append(starts_K, len(hashes)))
    shared = _pairs(owners, rows_K, len(rows))
    np.fill_diagonal(shared, [len(row) for row in rows])
    return shared


def _pairs(
    owners: npt.NDArray[np.int64], rows_K: npt.NDArray[np.int64], group_size: int
) -> npt.NDArray[np.float64]:
    """Return how many n-grams each two rows share, from the rows of one n-gram after the other.

    An n-gram that many rows share is cheap in a dense product, one that few share in a sparse one.
    """
    common_K = (rows_K * 8 > group_size) | (len(rows_K) * group_size <= _SMALL)
    common = np.repeat(common_K, rows_K)
    numbers = np.repeat(np.cumsum(common_K) - 1, rows_K)[common]
    # Counts up to 2^24 are exact in float32.
    dense_K_G = np.zeros((int(common_K.sum()), group_size), dtype=np.float32)
    dense_K_G[numbers, owners[common]] = 1.0
    pairs: npt.NDArray[np.float64] = (dense_K_G.T @ dense_K_G).astype(np.float64)
    if common_K.all():
        return pairs
    few_K = rows_K[~common_K]
    pointers = np.concatenate([[0], np.cumsum(few_K)])
    present = (np.ones(int(pointers[-1])), owners[~common], pointers)
    sparse_K_G = csr_matrix(present, shape=(len(few_K), group_size))
    pairs += (sparse_K_G.T @ sparse_K_G).toarray()
    return pairs


def _rolling_hashes(flat: npt.NDArray[np.int64], max_n: int) -> list[npt.NDArray[np.int64]]:
    """Return, for n = 1..max_n, the hash of the n-gram that starts at each position."""
    tokens = _mix(flat.astype(np.uint64) + _STEP)
    current = tokens
    hashes = [current.view(np.int64)]
    for n in range(2, max_n + 1):
        following = tokens[n - 1 :]
        current = _mix(current[: len(following)] * _STEP + following)
        hashes.append(current.view(np.int64))
    return hashes


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread 64 bits over 64 bits, one to one (the finaliser of SplitMix64, public domain)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    mixed: npt.NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed
