"""N-grams of the texts of many groups, without those that cannot matter one by one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError
from polypath.metrics.ngram_counts import NgramCounts
from polypath.metrics.ordering import changes, stable_order
from polypath.metrics.pass_at_k import BoolArray, IntArray
from polypath.metrics.token_ids import Tokenize, number_tokens


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
        at_M = np.flatnonzero(kept_S[self.shared.text_M])
        shared_M = _not_alone(changes(self.shared.gram_M[at_M]))
        own = self.shared.entries(at_M.compress(~shared_M))
        return NgramTable(
            shared=self.shared.entries(at_M.compress(shared_M)),
            own_R_S=np.where(kept_S, self.own_R_S + _by_text(own), 0),
            total_R_S=np.where(kept_S, self.total_R_S, 0),
        )

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
    gram_T = np.asarray(groups, dtype=np.int64)[text_T]  # one empty n-gram per group
    start_T, last_T = stable_order(token_T), token_T
    for n in range(max_n):
        # In order of the last token, or of the n-gram without the first: now of the other part.
        start_T = start_T[stable_order(gram_T[start_T])]
        new_T = changes(gram_T[start_T]) | changes(last_T[start_T])
        text_of_T = text_T[start_T]
        cells = _Cells.of(new_T, text_of_T)
        own_R_S[n] -= np.bincount(text_of_T, minlength=len(texts))
        own_R_S[n] += np.bincount(cells.text_M.compress(~cells.shared_M), minlength=len(texts))
        gram_M, text_M, count_M = cells.of_shared()
        parts.append((gram_M + num_grams, np.full_like(gram_M, n), text_M, count_M))
        num_grams += int(gram_M.max(initial=-1)) + 1
        start_T, gram_T = _to_lengthen(start_T, new_T, goes_on_T)
        last_T = gram_T[1:]
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

    first_M: BoolArray  # the first of its n-gram
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
        at_M = np.flatnonzero(new_T | changes(text_T))
        first_M = new_T[at_M]
        return cls(
            first_M=first_M,
            text_M=text_T[at_M],
            count_M=np.diff(at_M, append=len(text_T)),
            shared_M=_not_alone(first_M),
        )

    def of_shared(self) -> tuple[IntArray, IntArray, IntArray]:
        """Return the cells of shared n-grams, the largest count of an n-gram first."""
        first_M, text_M, count_M = (
            of_M.compress(self.shared_M) for of_M in (self.first_M, self.text_M, self.count_M)
        )
        gram_M = np.cumsum(first_M) - 1
        most = int(count_M.max(initial=0))
        if most > 1:
            order_M = stable_order(most - count_M)
            order_M = order_M[stable_order(gram_M[order_M])]
            text_M, count_M = text_M[order_M], count_M[order_M]
        return gram_M, text_M, count_M


def _not_alone(first_T: BoolArray) -> BoolArray:
    """Return True for members of groups of two or more.

    Args:
        first_T: True at the first member of each group; those of a group are adjacent.
    """
    return np.asarray(~(first_T & np.append(first_T[1:], True)))


def _to_lengthen(
    start_T: IntArray, new_T: BoolArray, goes_on_T: BoolArray
) -> tuple[IntArray, IntArray]:
    """Return n-grams that may occur twice when they are a token longer.

    Args:
        start_T: where n-grams start, n-gram by n-gram.
        new_T: True at the first of each.
        goes_on_T: True where the next token is in the same text.

    Returns:
        Where the longer ones start, in order of the n-gram that they end with; and the number of the n-gram
        that starts at each token, if it occurs twice or more, else -1.
    """
    several_T = _not_alone(new_T)
    again_T = start_T.compress(several_T)
    gram_T = np.full(len(goes_on_T), -1)
    gram_T[again_T] = np.cumsum(new_T.compress(several_T)) - 1
    may_T = goes_on_T & (gram_T >= 0)
    before_T = again_T - 1  # that of the first token is the last token, which nothing follows
    return before_T.compress(may_T[before_T]), gram_T
