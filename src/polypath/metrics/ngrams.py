"""N-grams of a group of texts, counted once, and the measures that rest on them.

Distinct-n, the share of n-grams that are different: Li 2016, "A Diversity-Promoting Objective Function
for Neural Conversation Models", arXiv:1510.03055. Self-BLEU, how well the other texts predict the words
of one: Zhu 2018, "Texygen", arXiv:1802.01886; BLEU of Papineni 2002.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError
from polypath.metrics.equal_k import expected_distinct
from polypath.metrics.pass_at_k import BoolArray, FloatArray, IntArray

Tokenize = Callable[[str], Sequence[str]]

ORDERS = (1, 2, 3)

_GRAMS_AT_ONCE = 8192
_EPSILON = 0.1  # nltk's method 1: stands for a count of matches that is 0
_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    r"""Split a text into runs of word characters and single other signs: ``\w+|[^\w\s]``.

    Case is kept. Formulas are treated evenly: ``\frac{1}{2}`` gives eight tokens, ``3*(4+1)=15`` nine.

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
    """

    max_n: int  # longest n-gram
    lengths_S: IntArray  # tokens of each text
    gram_M: IntArray  # number of the n-gram, over all orders
    order_M: IntArray  # its length minus 1
    text_M: IntArray  # the text it is counted in
    count_M: IntArray  # times, >= 1

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
    parts: list[tuple[IntArray, ...]] = []
    num_grams = 0
    for n in range(max_n):
        if n:
            inside_T = left_T[start_T] > n  # the n-gram ends within its text
            start_T = start_T[inside_T]
            gram_T = gram_T[inside_T] * len(known) + token_T[start_T + n]
        gram_T = np.unique(gram_T, return_inverse=True)[1]
        cell_M, count_M = np.unique(gram_T * len(rows) + text_T[start_T], return_counts=True)
        gram_M, text_M = np.divmod(cell_M, max(len(rows), 1))
        first = np.lexsort((-count_M, gram_M))  # the largest count of an n-gram
        parts.append((gram_M + num_grams, np.full_like(gram_M, n), text_M[first], count_M[first]))
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
    return np.where(union_S_S > 0, shared_S_S / np.maximum(union_S_S, 1), 1.0)


def distinct_ngrams_pooled(
    counts: NgramCounts, *, orders: Sequence[int] = ORDERS, k: int | None = None
) -> float:
    """Different n-grams of all texts together by all their n-grams, averaged over the orders.

    What two texts share lowers it, as does repetition within one. It falls with the number of texts
    and with their length, so compare equal numbers and look at lengths. With k, it is the expected
    number of different n-grams in k of the texts by the expected number of n-grams, both exact.

    Args:
        counts: of ``count_ngrams``, which fixes the tokenizer.
        orders: each in [1, counts.max_n]; 1, 2 and 3 as in GEM. Orders longer than every text are
            left out.
        k: texts to draw; None takes all.

    Returns:
        In (0, 1], higher = more diverse; NaN without words or with fewer than k texts.

    Raises:
        ConfigError: an order is out of range, or k below 1.

    Differs from other scripts: GEM (and R1-zero-Div, whose values of 24 to 30 for five responses fit
    it) uses nltk's tokenizer, and counts the prompt in; cshaib/diversity joins the texts first, so
    that n-grams cross from one into the next.
    """
    _check_orders(counts, orders)
    if k is not None and k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    drawn = counts.num_texts if k is None else k
    if drawn > counts.num_texts:
        return float("nan")
    values = []
    for n in orders:
        this_order = counts.order_M == n - 1
        total = int(counts.count_M[this_order].sum())
        if total:
            having = np.unique(counts.gram_M[this_order], return_counts=True)[1]
            different = expected_distinct(having, counts.num_texts, drawn)
            values.append(different / (total * drawn / counts.num_texts))
    return float(np.mean(values)) if values else float("nan")


def distinct_ngrams_per_text(counts: NgramCounts, *, orders: Sequence[int] = ORDERS) -> float:
    """Different n-grams of one text by all its n-grams, averaged over texts, then over orders.

    Sees only repetition within a text: copies of one text score like that text. So it is a check
    for loops, and no measure of how many ways there are. It falls with length, and does not depend
    on the number of texts.

    Args:
        counts: of ``count_ngrams``.
        orders: each in [1, counts.max_n].

    Returns:
        In (0, 1], higher = less repetition; texts too short for an order are left out of it; NaN
        when all are.

    Raises:
        ConfigError: an order is out of range.

    Differs from other scripts: Kirk 2023, arXiv:2310.06452, averages the orders 1 to 5 over words
    split at white space.
    """
    _check_orders(counts, orders)
    values = []
    for n in orders:
        this_order = counts.order_M == n - 1
        text_M = counts.text_M[this_order]
        different_S = np.bincount(text_M, minlength=counts.num_texts)
        total_S = np.maximum(counts.lengths_S - (n - 1), 0)
        if (total_S > 0).any():
            values.append((different_S[total_S > 0] / total_S[total_S > 0]).mean())
    return float(np.mean(values)) if values else float("nan")


def _check_orders(counts: NgramCounts, orders: Sequence[int]) -> None:
    if not orders or min(orders) < 1 or max(orders) > counts.max_n:
        raise ConfigError(
            f"orders must be one or more of 1 to {counts.max_n}, got {tuple(orders)}. "
            "Count longer n-grams by count_ngrams(..., max_n=...)."
        )


def sentence_bleu_of_each(counts: NgramCounts) -> FloatArray:
    """BLEU of every text of a group against all the others as its references.

    BLEU up to order ``counts.max_n``, or up to the length of a text that is shorter, with equal weights,
    n-grams clipped by their largest count in any *one* other text, brevity penalty with the closest
    reference length (the shorter of two equally close), and nltk's smoothing method 1: no match of an
    order counts as 0.1. The values are those of ``nltk.translate.bleu_score.sentence_bleu(others, text,
    weights, smoothing_function=SmoothingFunction().method1)`` on the same tokens, with a weight for each
    order that the text has. With weights for orders that it lacks, equal texts of one word score 0.18.

    Cost: linear in the tokens of the group, not quadratic in its texts. The largest count among the
    *others* is the largest of all, or the second largest for the text that has it.

    Returns:
        ``(S,)`` in [0, 1]; 1 for a copy of another text, of any length; 0 for a text sharing no word
        with the others; NaN when it has no other.
    """
    size = counts.num_texts
    if size < 2:
        return np.full(size, np.nan)
    # Only the first entry of an n-gram can exceed the others: it is clipped to the second, if any.
    first_M = counts.first_M()
    next_M = np.append(np.where(first_M[1:], 0, counts.count_M[1:]), 0)[: len(first_M)]
    clipped_M = np.where(first_M, next_M, counts.count_M)
    cell_M = counts.order_M * size + counts.text_M
    matches_R_S = np.bincount(cell_M, clipped_M, minlength=counts.max_n * size)
    matches_R_S = matches_R_S.reshape(counts.max_n, size)
    totals_R_S = counts.lengths_S - np.arange(counts.max_n)[:, None]
    orders_S = np.clip(counts.lengths_S, 1, counts.max_n)
    precision_R_S = np.where(matches_R_S > 0, matches_R_S, _EPSILON) / np.maximum(totals_R_S, 1)
    log_R_S = np.where(totals_R_S > 0, np.log(precision_R_S), 0.0)
    bleu_S = _brevity_penalty(counts) * np.exp(log_R_S.sum(axis=0) / orders_S)
    return np.where((matches_R_S[0] > 0) | (counts.lengths_S == 0), bleu_S, 0.0)


def self_bleu(counts: NgramCounts) -> float:
    """Mean BLEU of a group's texts, each against all the others.

    Args:
        counts: of ``count_ngrams(texts, max_n=4)``, which also fixes the tokenizer.

    Returns:
        In [0, 1], lower = more diverse: 1 for copies of one text, of any length, and near 0 when no
        words are shared. NaN for fewer than two texts. It grows with the number of
        texts, as more references match more: compare equal numbers (``equal_k_expectation``). The
        papers' diversity is 100 * (1 - self_bleu).

    Differs from other scripts: GEM's and those after it call ``sacrebleu.corpus_bleu([text],
    [others])``, which takes the *first* other text as the only reference, so the result depends on
    the order of the texts; they also score the prompt with the answer.
    """
    each_S = sentence_bleu_of_each(counts)
    return float(each_S.mean()) if len(each_S) > 1 else float("nan")


def _brevity_penalty(counts: NgramCounts) -> FloatArray:
    """exp(1 - closest / own length) for texts shorter than the closest other length, else 1.

    For a text without words, 1 if another has none, else 0.
    """
    lengths_S = counts.lengths_S
    apart_S_S = np.abs(lengths_S[:, None] - lengths_S[None, :])
    # Twice the distance, plus one for the longer of two equally close.
    rank_S_S = 2 * apart_S_S + (lengths_S[None, :] > lengths_S[:, None])
    np.fill_diagonal(rank_S_S, np.iinfo(np.int64).max)
    closest_S = lengths_S[np.argmin(rank_S_S, axis=1)]
    penalty_S = np.exp(np.minimum(0.0, 1 - closest_S / np.maximum(lengths_S, 1)))
    return np.where((lengths_S > 0) | (closest_S == 0), penalty_S, 0.0)
