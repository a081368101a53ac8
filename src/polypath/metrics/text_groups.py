"""Diversity of the texts of many groups (problems) at once, at the same number of texts for all.

The values equal those of the functions for one group: ``distinct_ngrams_pooled``, ``self_bleu``,
``vendi_score`` and the others, with ``equal_k_expectation`` where there is no formula. Equal texts of a
group are read once, and arrays hold the n-grams of all groups one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from polypath.metrics.equal_k import chance_drawn, subsets
from polypath.metrics.ngram_table import tabulate_ngrams
from polypath.metrics.ngrams import (
    ORDERS,
    clipped_matches,
    closest_lengths,
    jaccard_of_sets,
    smoothed_bleu,
)
from polypath.metrics.pass_at_k import BoolArray, FloatArray, IntArray
from polypath.metrics.token_ids import Tokenize
from polypath.metrics.vendi import vendi_score

_SMALL = 1 << 15  # words of bits that are compared at once
_BITS_FASTER = 4  # times as many words of bits as pairs of a sparse product take the same time


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Sets of k texts, some of each group.

    Attributes:
        group_D: the group of each draw, increasing.
        round_D: its place among the draws of its group, from 0.
        text_D_K: which different text each of the k is.
    """

    group_D: IntArray
    round_D: IntArray
    text_D_K: IntArray

    def mean(self, value_D: FloatArray, num_groups: int) -> FloatArray:
        """Return the mean over the draws of each group, ``(N,)``; NaN for a group without."""
        number_N = np.bincount(self.group_D, minlength=num_groups)
        total_N = np.bincount(self.group_D, value_D, minlength=num_groups)
        return _divide(total_N, number_N)


class TextGroups:
    """The texts of N groups and their n-grams.

    Measures take ``chosen_S``: which of the S texts of all groups, one group after the other, count.
    Each returns an array ``(N,)``, NaN for a group with too few.

    Args:
        groups: the texts of each group.
        max_n: longest n-gram, >= 1.
        tokenize: turns a text into tokens; ``words`` when None.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[str]],
        *,
        max_n: int = 4,
        tokenize: Tokenize | None = None,
    ) -> None:
        different = [list(dict.fromkeys(texts)) for texts in groups]
        self.num_groups = len(groups)
        self.group_U = np.repeat(np.arange(len(groups)), [len(texts) for texts in different])
        self.group_S = np.repeat(np.arange(len(groups)), [len(texts) for texts in groups])
        self.first_text_N = np.searchsorted(self.group_U, np.arange(len(groups) + 1))
        text_S: list[int] = []
        for first, unlike, texts in zip(
            self.first_text_N.tolist(), different, groups, strict=False
        ):
            place = {text: first + number for number, text in enumerate(unlike)}
            text_S += [place[text] for text in texts]
        self.text_S = np.array(text_S, dtype=np.int64)
        self.ngrams = tabulate_ngrams(
            [*chain.from_iterable(different)], self.group_U, max_n=max_n, tokenize=tokenize
        )

    def distinct_pooled(
        self, chosen_S: BoolArray, k: int, *, orders: Sequence[int] = ORDERS
    ) -> FloatArray:
        """Return ``distinct_ngrams_pooled`` for k of the chosen texts of each group.

        With ``extract_equations`` as the tokenizer and order 1 alone it is Div-Equ.
        """
        copies_U, n_N = self._copies(chosen_S)
        shared = self.ngrams.shared
        first_M = np.flatnonzero(shared.first_M())
        having_M = copies_U[shared.text_M]
        having_I = np.add.reduceat(having_M, first_M) if len(first_M) else first_M
        group_I, order_I = self.group_U[shared.text_M[first_M]], shared.order_M[first_M]
        chance_I, chance_U = np.full(len(first_M), np.nan), np.full(len(copies_U), np.nan)
        for n in np.unique(n_N[n_N >= k]).tolist():
            drawn_R = chance_drawn(n, k)
            same_I, same_U = n_N[group_I] == n, n_N[self.group_U] == n
            chance_I[same_I] = drawn_R[having_I[same_I]]
            chance_U[same_U] = drawn_R[copies_U[same_U]]
        cell_I, size = order_I * self.num_groups + group_I, shared.max_n * self.num_groups
        different_R_N = np.bincount(cell_I, chance_I, minlength=size)
        different_R_N = different_R_N.reshape(shared.max_n, self.num_groups)
        ratios = []
        for n in orders:
            own_N = self._by_group(self.ngrams.own_R_S[n - 1] * chance_U)
            total_N = self._by_group(self.ngrams.total_R_S[n - 1] * copies_U)
            ratios.append(_divide(different_R_N[n - 1] + own_N, total_N * k / np.maximum(n_N, 1)))
        return np.where(n_N >= k, _mean_of_known(np.stack(ratios)), np.nan)

    def distinct_per_text(
        self, chosen_S: BoolArray, *, orders: Sequence[int] = ORDERS
    ) -> FloatArray:
        """Return ``distinct_ngrams_per_text`` of the chosen texts of each group."""
        copies_U, _ = self._copies(chosen_S)
        different_R_U, total_R_U = self.ngrams.different_R_S(), self.ngrams.total_R_S
        means = []
        for n in orders:
            weight_U = np.where(total_R_U[n - 1] > 0, copies_U, 0)
            share_U = different_R_U[n - 1] / np.maximum(total_R_U[n - 1], 1)
            means.append(_divide(self._by_group(weight_U * share_U), self._by_group(weight_U)))
        return _mean_of_known(np.stack(means))

    def draws(self, chosen_S: BoolArray, k: int, *, draws: int = 32, seed: int = 0) -> Draws:
        """Draw k of the chosen texts of each group, as ``equal_k_expectation`` does."""
        at_S = np.flatnonzero(chosen_S)
        n_N = np.bincount(self.group_S[at_S], minlength=self.num_groups)
        first_N = np.cumsum(n_N) - n_N
        parts = []
        for n in np.unique(n_N[n_N >= k]).tolist():
            group_G = np.flatnonzero(n_N == n)
            place_D_K = subsets(n, k, draws=draws, seed=seed)
            text_D_K = self.text_S[at_S[(first_N[group_G, None, None] + place_D_K)]].reshape(-1, k)
            parts.append(
                (
                    np.repeat(group_G, len(place_D_K)),
                    np.tile(np.arange(len(place_D_K)), len(group_G)),
                    text_D_K,
                )
            )
        if not parts:
            none = np.zeros(0, np.int64)
            return Draws(group_D=none, round_D=none, text_D_K=none.reshape(0, k))
        group_D, round_D, text_D_K = (np.concatenate(part) for part in zip(*parts, strict=True))
        order_D = np.argsort(group_D, kind="stable")
        return Draws(group_D=group_D[order_D], round_D=round_D[order_D], text_D_K=text_D_K[order_D])

    def self_bleu(self, drawn: Draws) -> FloatArray:
        """Return the mean of ``self_bleu`` over draws of two or more texts."""
        bleu_D = np.full(len(drawn.group_D), np.nan)
        if drawn.text_D_K.shape[1] < 2:
            return drawn.mean(bleu_D, self.num_groups)
        lengths_U = self.ngrams.lengths_S
        drawn_U = np.bincount(drawn.text_D_K.ravel(), minlength=len(lengths_U)) > 0
        table = self.ngrams.among(drawn_U)
        own_R_U = table.own_total_R_S()
        for number in range(int(drawn.round_D.max(initial=-1)) + 1):
            # At most one draw per group, so no text is in two of them.
            at_D = np.flatnonzero(drawn.round_D == number)
            text_D_K = drawn.text_D_K[at_D]
            copies_U = np.bincount(text_D_K.ravel(), minlength=len(lengths_U))
            matches_R_U = clipped_matches(table.shared, copies_U)
            matches_R_U -= own_R_U * (copies_U == 1)  # no other text has them, except a copy
            lengths_D_K = lengths_U[text_D_K]
            bleu_D_K = smoothed_bleu(
                matches_R_U[:, text_D_K], lengths_D_K, closest_lengths(lengths_D_K)
            )
            bleu_D[at_D] = bleu_D_K.mean(axis=1)
        return drawn.mean(bleu_D, self.num_groups)

    def vendi(self, drawn: Draws) -> FloatArray:
        """Return the mean of ``vendi_score`` over draws, by the Jaccard index of n-grams."""
        first_N = np.searchsorted(drawn.group_D, np.arange(self.num_groups + 1))
        size = drawn.text_D_K.shape[1]
        similarity_D_K_K = np.empty((len(drawn.group_D), size, size))
        for group, similarity_U_U in enumerate(self.jaccard_N):
            at = slice(first_N[group], first_N[group + 1])
            text_D_K = drawn.text_D_K[at] - self.first_text_N[group]
            similarity_D_K_K[at] = similarity_U_U[text_D_K[:, :, None], text_D_K[:, None, :]]
        return drawn.mean(vendi_score(similarity_D_K_K), self.num_groups)

    def distance(self, chosen_S: BoolArray) -> FloatArray:
        """Return ``mean_pairwise_distance`` of the chosen texts, by the Jaccard index of n-grams."""
        copies_U, n_N = self._copies(chosen_S)
        bounds = zip(self.first_text_N[:-1], self.first_text_N[1:], strict=True)
        total_N = np.array(
            [
                copies_U[start:stop] @ similarity_U_U @ copies_U[start:stop]
                for (start, stop), similarity_U_U in zip(bounds, self.jaccard_N, strict=True)
            ]
        )
        return 1.0 - _divide(total_N - n_N, n_N * (n_N - 1))

    @cached_property
    def jaccard_N(self) -> list[FloatArray]:
        """``ngram_jaccard`` of the different texts of each group."""
        shared, different_U = self.ngrams.shared, self.ngrams.different_R_S().sum(axis=0)
        group_M = self.group_U[shared.text_M]
        order_M = np.argsort(group_M, kind="stable")
        gram_M, text_M = shared.gram_M[order_M], shared.text_M[order_M]
        bounds_N = np.searchsorted(group_M[order_M], np.arange(self.num_groups + 1)).tolist()
        found = []
        for group, (first, last) in enumerate(pairwise(self.first_text_N.tolist())):
            at = slice(bounds_N[group], bounds_N[group + 1])
            shared_U_U = _in_common(gram_M[at], text_M[at] - first, last - first)
            found.append(jaccard_of_sets(shared_U_U, different_U[first:last]))
        return found

    def _copies(self, chosen_S: BoolArray) -> tuple[IntArray, IntArray]:
        """Return how often each different text is chosen, and how many texts of each group are."""
        copies_U = np.bincount(self.text_S[chosen_S], minlength=self.ngrams.num_texts)
        return copies_U, np.bincount(self.group_S[chosen_S], minlength=self.num_groups)

    def _by_group(self, value_U: npt.NDArray[np.generic]) -> FloatArray:
        return np.bincount(self.group_U, value_U, minlength=self.num_groups).astype(np.float64)


def _in_common(gram_M: IntArray, text_M: IntArray, size: int) -> FloatArray:
    """Return how many n-grams each two texts of a group have in common, ``(size, size)``.

    Sets are rows of bits where that is less work than a sparse product. BLAS is not used: it would start
    threads, which cost more than such small products.
    """
    first_M = np.flatnonzero(np.diff(gram_M, prepend=-1) != 0)
    texts_G = np.diff(first_M, append=len(gram_M))
    words = -(-len(texts_G) // 64)
    if size * size * words <= max(_SMALL, _BITS_FASTER * int(texts_G @ texts_G)):
        has_U_G = np.zeros((size, words * 64), dtype=np.bool_)
        has_U_G[text_M, np.repeat(np.arange(len(texts_G)), texts_G)] = True
        bits_U_W = np.packbits(has_U_G, axis=1).view(np.uint64)
        common_U_U = np.empty((size, size))
        step = max(1, _SMALL // max(1, size * words))
        for start in range(0, size, step):
            both_R_U_W = bits_U_W[start : start + step, None, :] & bits_U_W
            common_U_U[start : start + step] = np.bitwise_count(both_R_U_W).sum(axis=2, dtype=int)
        return common_U_U
    pointers = np.append(first_M, len(gram_M))
    has_G_U = csr_array((np.ones(len(gram_M)), text_M, pointers), shape=(len(texts_G), size))
    return np.asarray((has_G_U.T @ has_G_U).toarray())


def _divide(top: npt.ArrayLike, bottom: npt.ArrayLike) -> FloatArray:
    """Divide, NaN by 0."""
    top, bottom = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    return np.where(bottom != 0, top / np.where(bottom != 0, bottom, 1.0), np.nan)


def _mean_of_known(value_R_N: FloatArray) -> FloatArray:
    """Return the mean over the first axis, without NaN."""
    known_R_N = ~np.isnan(value_R_N)
    return _divide(np.where(known_R_N, value_R_N, 0.0).sum(axis=0), known_R_N.sum(axis=0))
