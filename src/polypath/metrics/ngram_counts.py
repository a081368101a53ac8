"""N-grams of texts, counted once for every measure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError
from polypath.metrics.ordering import changes, stable_order
from polypath.metrics.pass_at_k import BoolArray, IntArray
from polypath.metrics.token_ids import Tokenize, number_tokens


@dataclass(frozen=True, kw_only=True, eq=False)
class NgramCounts:
    """How often each n-gram of each order up to ``max_n`` occurs in each of S texts.

    There is one entry per occurring (n-gram, text). Entries of an n-gram are adjacent, the largest
    count first. N-grams never cross from one text into the next.
    """

    max_n: int  # longest n-gram
    lengths_S: IntArray  # tokens of each text
    gram_M: IntArray  # number of the n-gram, over all orders
    order_M: IntArray  # its length minus 1
    text_M: IntArray  # the text it is counted in
    count_M: IntArray  # number of times, >= 1

    @property
    def num_texts(self) -> int:
        """Number of texts, S."""
        return len(self.lengths_S)

    def take(self, texts: npt.ArrayLike) -> "NgramCounts":
        """Keep only these texts, given as distinct positions; nothing is counted again."""
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

    def entries(self, at_M: IntArray) -> "NgramCounts":
        """Return some of the entries, given by their places; the texts keep their numbers."""
        return replace(
            self,
            gram_M=self.gram_M[at_M],
            order_M=self.order_M[at_M],
            text_M=self.text_M[at_M],
            count_M=self.count_M[at_M],
        )

    def first_M(self) -> BoolArray:
        """Return True at the first entry of each n-gram, which has its largest count."""
        return changes(self.gram_M)


def count_ngrams(
    texts: Sequence[str],
    *,
    max_n: int = 4,
    tokenize: Tokenize | None = None,
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
    token_T, lengths_S = number_tokens(texts, tokenize)
    text_T = np.repeat(np.arange(len(texts)), lengths_S)
    left_T = np.repeat(np.cumsum(lengths_S), lengths_S) - np.arange(len(token_T))

    gram_T, start_T = np.zeros_like(token_T), np.arange(len(token_T))  # the empty n-gram
    parts: list[tuple[IntArray, ...]] = []
    num_grams = 0
    for n in range(max_n):
        if n:
            inside_T = left_T[start_T] > n  # the n-gram ends within its text
            start_T = start_T[inside_T]
            gram_T = gram_T[inside_T]
        longer = (gram_T, token_T[start_T + n], text_T[start_T])
        gram_T, gram_M, text_M, count_M = _tallied(*longer)
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


def _tallied(gram_T: IntArray, token_T: IntArray, text_T: IntArray) -> tuple[IntArray, ...]:
    """Lengthen n-grams by a token, number them 0, 1, ..., and count them in each text.

    Args:
        gram_T: number of the n-gram of each occurrence.
        token_T: number of the token after it.
        text_T: its text, increasing.

    Returns:
        The number of each occurrence's n-gram; then for each (n-gram, text) the n-gram, the text and the
        count, the largest count of an n-gram first.
    """
    order_T = stable_order(token_T)
    order_T = order_T[stable_order(gram_T[order_T])]
    gram_T, token_T, text_T = gram_T[order_T], token_T[order_T], text_T[order_T]
    new_gram_T = changes(gram_T) | changes(token_T)
    sorted_gram_T = np.cumsum(new_gram_T) - 1
    gram_T = np.empty_like(sorted_gram_T)
    gram_T[order_T] = sorted_gram_T
    at_M = np.flatnonzero(new_gram_T | changes(text_T))
    gram_M, text_M = sorted_gram_T[at_M], text_T[at_M]
    count_M = np.diff(at_M, append=len(gram_T))
    most = int(count_M.max(initial=0))
    if most > 1:  # nearly in order already
        first_M = np.argsort(gram_M * most - count_M, kind="stable")
        text_M, count_M = text_M[first_M], count_M[first_M]
    return gram_T, gram_M, text_M, count_M
