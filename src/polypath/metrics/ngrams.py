"""N-grams of a group of texts, counted once for every metric that needs them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError
from polypath.metrics.pass_at_k import BoolArray, FloatArray, IntArray

Tokenize = Callable[[str], Sequence[str]]

_GRAMS_AT_ONCE = 8192
_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    r"""Split a text into runs of word characters and single other signs: ``\w+|[^\w\s]``.

    Case is kept. It needs no data files and treats formulas evenly: ``\frac{1}{2}`` gives eight
    tokens, ``3*(4+1)=15`` nine.

    Differs from other scripts: nltk's ``word_tokenize`` (GEM) follows the Penn Treebank ("don't"
    becomes "do" and "n't", "3*4" stays whole, quotes are rewritten); Kirk 2023 splits at white space
    after deleting full stops. Values of different tokenizers do not compare.
    """
    return _WORD.findall(text)


@dataclass(frozen=True, kw_only=True, eq=False)
class NgramCounts:
    """How often each n-gram of each order up to ``max_n`` occurs in each text of a group.

    One entry for each (n-gram, text) that occurs, the entries of an n-gram side by side with the
    largest count first. N-grams never cross from one text into the next.

    Attributes:
        max_n: longest n-gram.
        lengths_S: tokens of each text.
        gram_M: number of the n-gram, over all orders.
        order_M: its length minus 1.
        text_M: the text it is counted in.
        count_M: times, >= 1.
    """

    max_n: int
    lengths_S: IntArray
    gram_M: IntArray
    order_M: IntArray
    text_M: IntArray
    count_M: IntArray

    @property
    def num_texts(self) -> int:
        """Texts of the group."""
        return len(self.lengths_S)

    def take(self, texts: npt.ArrayLike) -> "NgramCounts":
        """Keep these texts only, given as distinct positions; nothing is counted again."""
        chosen = np.asarray(texts, dtype=np.int64)
        position_S = np.full(self.num_texts, -1)
        position_S[chosen] = np.arange(len(chosen))
        text_M = position_S[self.text_M]
        kept_M = np.flatnonzero(text_M >= 0)
        return NgramCounts(
            max_n=self.max_n,
            lengths_S=self.lengths_S[chosen],
            gram_M=self.gram_M[kept_M],
            order_M=self.order_M[kept_M],
            text_M=text_M[kept_M],
            count_M=self.count_M[kept_M],
        )

    def first_M(self) -> BoolArray:
        """Return True at the first entry of each n-gram, which has its largest count."""
        return np.concatenate(
            [np.ones(min(1, len(self.gram_M)), np.bool_), np.diff(self.gram_M) > 0]
        )


def count_ngrams(
    texts: Sequence[str], *, max_n: int = 4, tokenize: Tokenize | None = None
) -> NgramCounts:
    """Count the n-grams of a group of texts.

    Args:
        texts: S texts; an empty one has no n-grams.
        max_n: longest n-gram, >= 1.
        tokenize: turns a text into tokens; ``words`` when None.

    Raises:
        ConfigError: max_n is below 1.
    """
    if max_n < 1:
        raise ConfigError(f"max_n must be at least 1, got {max_n}.")
    rows = [(tokenize or words)(text) for text in texts]
    known: dict[str, int] = {}
    token_T = np.array(
        [known.setdefault(token, len(known)) for row in rows for token in row], dtype=np.int64
    )
    lengths_S = np.array([len(row) for row in rows], dtype=np.int64)
    text_T = np.repeat(np.arange(len(rows)), lengths_S)
    left_T = np.repeat(np.cumsum(lengths_S), lengths_S) - np.arange(len(token_T))

    gram_T, start_T = token_T, np.arange(len(token_T))
    parts: list[tuple[IntArray, IntArray, IntArray, IntArray]] = []
    num_grams = 0
    for n in range(max_n):
        if n:
            inside_T = left_T[start_T] > n  # the n-gram ends within its text
            start_T = start_T[inside_T]
            gram_T = gram_T[inside_T] * len(known) + token_T[start_T + n]
        gram_T, entries = _count_order(gram_T, text_T[start_T])
        gram_M, text_M, count_M = entries
        parts.append((gram_M + num_grams, np.full_like(gram_M, n), text_M, count_M))
        num_grams += int(gram_M.max(initial=-1)) + 1
    gram_M, order_M, text_M, count_M = (np.concatenate(part) for part in zip(*parts, strict=True))
    return NgramCounts(
        max_n=max_n,
        lengths_S=lengths_S,
        gram_M=gram_M,
        order_M=order_M,
        text_M=text_M,
        count_M=count_M,
    )


def _count_order(
    key_T: IntArray, text_T: IntArray
) -> tuple[IntArray, tuple[IntArray, IntArray, IntArray]]:
    """Number the n-grams of one order, and count them per text: gram, text and count of entries."""
    if not len(key_T):
        empty = np.zeros(0, np.int64)
        return empty, (empty, empty, empty)
    by_key_T = np.argsort(key_T, kind="stable")  # stable: the texts of an n-gram stay in order
    sorted_T = key_T[by_key_T]
    new_gram_T = np.concatenate([[True], sorted_T[1:] != sorted_T[:-1]])
    rank_T = np.cumsum(new_gram_T) - 1
    gram_T = np.empty_like(rank_T)
    gram_T[by_key_T] = rank_T

    in_text_T = text_T[by_key_T]
    new_entry_T = new_gram_T.copy()
    new_entry_T[1:] |= in_text_T[1:] != in_text_T[:-1]
    start_M = np.flatnonzero(new_entry_T)
    gram_M, text_M = rank_T[start_M], in_text_T[start_M]
    count_M = np.diff(start_M, append=len(key_T))
    # Largest count first within an n-gram.
    by_count_M = np.argsort(gram_M * (int(count_M.max()) + 1) - count_M, kind="stable")
    return gram_T, (gram_M, text_M[by_count_M], count_M[by_count_M])


def ngram_jaccard(counts: NgramCounts) -> FloatArray:
    """Jaccard index of the n-gram sets (all orders up to max_n) of every two texts of a group.

    Returns:
        ``(S, S)`` in [0, 1], symmetric, positive semi-definite, 1 on the diagonal; 1 = the same
        n-grams, also for two empty texts, and 0 = none in common.
    """
    size = counts.num_texts
    shared_S_S = np.zeros((size, size))
    # Some n-grams at a time: a text of megabytes has millions.
    for first in range(0, int(counts.gram_M.max(initial=-1)) + 1, _GRAMS_AT_ONCE):
        start, stop = np.searchsorted(counts.gram_M, [first, first + _GRAMS_AT_ONCE])
        has_G_S = np.zeros((_GRAMS_AT_ONCE, size), dtype=np.float32)
        has_G_S[counts.gram_M[start:stop] - first, counts.text_M[start:stop]] = 1.0
        shared_S_S += has_G_S.T @ has_G_S  # whole numbers, exact below 2^24
    own_S = np.diagonal(shared_S_S)
    union_S_S = own_S[:, None] + own_S[None, :] - shared_S_S
    result: FloatArray = np.where(union_S_S > 0, shared_S_S / np.maximum(union_S_S, 1), 1.0)
    return result
