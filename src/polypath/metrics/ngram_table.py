"""N-grams of the texts of many groups, without those that cannot matter one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError
from polypath.metrics.ngram_counts import NgramCounts
from polypath.metrics.pass_at_k import BoolArray, IntArray
from polypath.metrics.token_ids import Tokenize, number_tokens

_KEY_BITS = 63


@dataclass(frozen=True, kw_only=True, eq=False)
class NgramTable:
    """How often n-grams of each order up to ``max_n`` occur in S different texts.

    Most n-grams of long texts occur in one text only. Of these it is enough to know how many there are.

    Attributes:
        shared: n-grams that two or more texts of a group have. Equal n-grams of two groups are two.
        own_R_S: different n-grams that only this text of its group has, by order.
        total_R_S: all n-grams of each text, with repeats, by order.
    """

    shared: NgramCounts
    own_R_S: IntArray
    total_R_S: IntArray

    @property
    def lengths_S(self) -> IntArray:
        """Tokens of each text."""
        return self.shared.lengths_S

    @property
    def num_texts(self) -> int:
        """Number of texts, S."""
        return self.shared.num_texts

    def among(self, kept_S: BoolArray) -> "NgramTable":
        """Return the table of some texts, without the others; the texts keep their numbers."""
        counts = self.shared.of_texts(kept_S)
        first_M = np.flatnonzero(counts.first_M())
        texts_G = np.diff(first_M, append=len(counts.gram_M))
        shared = counts.entries(np.flatnonzero(np.repeat(texts_G > 1, texts_G)))
        own = counts.entries(first_M[texts_G == 1])
        own_R_S = np.where(kept_S, self.own_R_S + _by_text(own), 0)
        total_R_S = np.where(kept_S, self.total_R_S, 0)
        return NgramTable(shared=shared, own_R_S=own_R_S, total_R_S=total_R_S)

    def different_R_S(self) -> IntArray:
        """Return the different n-grams of each text, by order."""
        return self.own_R_S + _by_text(self.shared)

    def own_total_R_S(self) -> IntArray:
        """Return the n-grams that only this text of its group has, with repeats, by order."""
        return self.total_R_S - _by_text(self.shared, self.shared.count_M)


def _by_text(counts: NgramCounts, value_M: npt.ArrayLike | None = None) -> IntArray:
    """Return the number of entries of each text, or the sum of a value of theirs, by order."""
    cell_M = counts.order_M * counts.num_texts + counts.text_M
    sum_M = np.bincount(cell_M, value_M, minlength=counts.max_n * counts.num_texts)
    return sum_M.astype(np.int64).reshape(counts.max_n, counts.num_texts)


def tabulate_ngrams(
    texts: Sequence[str],
    groups: npt.ArrayLike,
    *,
    max_n: int = 4,
    tokenize: Tokenize | None = None,
) -> NgramTable:
    """Count the n-grams of several groups of texts.

    An n-gram occurs once if one of the two shorter ones in it does, so only those are looked at whose shorter
    ones occur twice or more.

    Args:
        texts: S texts, each different from the others of its group.
        groups: number of each text's group, from 0.
        max_n: longest n-gram, >= 1.
        tokenize: turns a text into tokens; ``words`` when None.

    Raises:
        ConfigError: max_n is below 1.
    """
    if max_n < 1:
        raise ConfigError(f"max_n must be at least 1, got {max_n}.")
    token_T, lengths_S = number_tokens(texts, tokenize)
    text_T = np.repeat(np.arange(len(texts)), lengths_S)
    goes_on_T = np.diff(text_T, append=-1) == 0  # the next token is in the same text
    total_R_S = np.maximum(lengths_S - np.arange(max_n)[:, None], 0)
    own_R_S = total_R_S.copy()  # less the occurrences that are not the only one of their n-gram
    parts: list[tuple[IntArray, ...]] = []
    num_grams = 0
    start_T = np.arange(len(token_T))
    gram_T = np.asarray(groups, dtype=np.int64)[text_T]  # one empty n-gram per group
    for n in range(max_n):
        start_T, new_T = in_order(gram_T[start_T], token_T[start_T + n], start_T)
        text_of_T = text_T[start_T]
        cells = _Cells.of(new_T, text_of_T)
        own_R_S[n] -= np.bincount(text_of_T, minlength=len(texts))
        own_R_S[n] += np.bincount(cells.text_M[~cells.shared_M], minlength=len(texts))
        gram_M, text_M, count_M = cells.of_shared()
        parts.append((gram_M + num_grams, np.full_like(gram_M, n), text_M, count_M))
        num_grams += int(gram_M.max(initial=-1)) + 1
        start_T = _to_lengthen(start_T, new_T, gram_T, goes_on_T)
    gram_M, order_M, text_M, count_M = (np.concatenate(part) for part in zip(*parts, strict=True))
    shared = NgramCounts(
        max_n=max_n,
        lengths_S=lengths_S,
        gram_M=gram_M,
        order_M=order_M,
        text_M=text_M,
        count_M=count_M,
    )
    return NgramTable(shared=shared, own_R_S=own_R_S, total_R_S=total_R_S)


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """The occurrences of each n-gram of one order in each text that has it, n-gram by n-gram."""

    gram_M: IntArray
    text_M: IntArray
    count_M: IntArray
    shared_M: BoolArray  # the n-gram is in another text, too

    @classmethod
    def of(cls, new_T: BoolArray, text_T: IntArray) -> "_Cells":
        """Count.

        Args:
            new_T: True at the first occurrence of each n-gram.
            text_T: text of each occurrence, increasing for each n-gram.
        """
        new_cell_T = new_T.copy()
        new_cell_T[1:] |= text_T[1:] != text_T[:-1]
        at_M = np.flatnonzero(new_cell_T)
        first_M = new_T[at_M]
        texts_G = np.diff(np.flatnonzero(first_M), append=len(at_M))
        return cls(
            gram_M=np.cumsum(first_M) - 1,
            text_M=text_T[at_M],
            count_M=np.diff(at_M, append=len(text_T)),
            shared_M=np.repeat(texts_G > 1, texts_G),
        )

    def of_shared(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return the cells of shared n-grams, the largest count of an n-gram first."""
        kept_M = np.flatnonzero(self.shared_M)
        gram_M, text_M, count_M = self.gram_M[kept_M], self.text_M[kept_M], self.count_M[kept_M]
        gram_M = np.cumsum(np.diff(gram_M, prepend=-1) > 0) - 1
        most = int(count_M.max(initial=0))
        if most > 1:
            order_M, _ = in_order(gram_M, most - count_M, np.arange(len(gram_M)))
            text_M, count_M = text_M[order_M], count_M[order_M]
        return gram_M, text_M, count_M


def in_order(
    first_T: IntArray, second_T: IntArray, place_T: IntArray
) -> tuple[IntArray, BoolArray]:
    """Sort pairs of numbers >= 0, and equal pairs by their places.

    Args:
        first_T: first number of each pair.
        second_T: second number.
        place_T: different numbers >= 0, increasing.

    Returns:
        The places in order, and True at the first of equal pairs.
    """
    place_bits, second_bits, first_bits = (
        int(number_T.max(initial=0)).bit_length() for number_T in (place_T, second_T, first_T)
    )
    if first_bits + second_bits + place_bits <= _KEY_BITS:
        # Sorting numbers that hold the place is several times faster than argsort.
        key_T = np.sort((first_T << second_bits | second_T) << place_bits | place_T)
        pair_T = key_T >> place_bits
        return key_T & ((1 << place_bits) - 1), np.diff(pair_T, prepend=-1) != 0
    order_T = np.lexsort((second_T, first_T))
    new_T = np.diff(first_T[order_T], prepend=-1) != 0
    new_T |= np.diff(second_T[order_T], prepend=-1) != 0
    return place_T[order_T], new_T


def _to_lengthen(
    start_T: IntArray, new_T: BoolArray, gram_T: IntArray, goes_on_T: BoolArray
) -> IntArray:
    """Return where n-grams start that may occur twice, a token longer than those given.

    Args:
        start_T: starts of n-grams, n-gram by n-gram.
        new_T: True at the first of each.
        gram_T: receives at each start the number of the n-gram, if it occurs twice or more.
        goes_on_T: True where the next token is in the same text.
    """
    times_G = np.diff(np.flatnonzero(new_T), append=len(new_T))
    several_G = times_G > 1
    again_T = start_T[np.repeat(several_G, times_G)]
    gram_T[again_T] = np.repeat(np.arange(several_G.sum()), times_G[several_G])
    twice_T = np.zeros(len(gram_T) + 1, dtype=np.bool_)
    twice_T[again_T] = True
    return np.flatnonzero(twice_T[:-1] & twice_T[1:] & goes_on_T)
