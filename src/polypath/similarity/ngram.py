"""Similarity by shared n-grams of tokens: no model, no text, nothing to download."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from polypath.errors import ConfigError
from polypath.similarity.base import Completions, as_list, clean, count_groups

_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)


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
        kept = [np.asarray(ids, dtype=np.int64) for ids in rows.token_ids]
        if self.ignored_ids.size:
            kept = [ids[~np.isin(ids, self.ignored_ids)] for ids in kept]
        if not kept:
            return []
        hashes = _rolling_hashes(np.concatenate(kept), self.max_n)
        ends = np.cumsum([len(ids) for ids in kept])
        return [
            # An n-gram belongs to a row when it starts and ends inside it.
            np.unique(
                np.concatenate(
                    [h[end - len(ids) : max(end - len(ids), end - n)] for n, h in enumerate(hashes)]
                )
            )
            for ids, end in zip(kept, ends, strict=True)
        ]

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


def _shared(rows: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.float64]:
    """Return how many distinct n-grams each two rows of one group share, ``(G, G)``."""
    keys, columns = np.unique(np.concatenate(rows), return_inverse=True)
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    ones = np.ones(len(columns))
    present_G_K = csr_matrix((ones, columns, pointers), shape=(len(rows), len(keys)))
    shared: npt.NDArray[np.float64] = (present_G_K @ present_G_K.T).toarray()
    return shared


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
