"""N-gram measures of one group of texts; ``text_groups`` has those of many groups.

Distinct-n, the share of n-grams that are different: Li 2016, "A Diversity-Promoting Objective Function
for Neural Conversation Models", arXiv:1510.03055. Self-BLEU, how well the other texts predict the words
of one: Zhu 2018, "Texygen", arXiv:1802.01886; BLEU of Papineni 2002.
"""

from collections.abc import Sequence

import numpy as np

from polypath.errors import ConfigError
from polypath.metrics.equal_k import expected_distinct
from polypath.metrics.ngram_counts import NgramCounts
from polypath.metrics.ordering import changes
from polypath.metrics.pass_at_k import FloatArray, IntArray

ORDERS = (1, 2, 3)

_GRAMS_AT_ONCE = 8192
_EPSILON = 0.1  # nltk's method 1: replaces a match count of 0


def ngram_jaccard(counts: NgramCounts) -> FloatArray:
    """Jaccard index of the n-gram sets (all orders up to max_n) of every two texts of a group.

    Returns:
        ``(S, S)`` in [0, 1], symmetric, positive semi-definite, 1 on the diagonal; 1 = the same
        n-grams, also for two empty texts, and 0 = none in common.
    """
    size = counts.num_texts
    shared_S_S = np.zeros((size, size))
    # In chunks of n-grams: a text of megabytes has millions.
    for first in range(0, int(counts.gram_M.max(initial=-1)) + 1, _GRAMS_AT_ONCE):
        start, stop = np.searchsorted(counts.gram_M, [first, first + _GRAMS_AT_ONCE])
        has_G_S = np.zeros((_GRAMS_AT_ONCE, size), dtype=np.float32)
        has_G_S[counts.gram_M[start:stop] - first, counts.text_M[start:stop]] = 1.0
        shared_S_S += has_G_S.T @ has_G_S  # whole numbers, exact below 2^24
    return jaccard_of_sets(shared_S_S, np.bincount(counts.text_M, minlength=size))


def jaccard_of_sets(shared_S_S: FloatArray, own_S: IntArray) -> FloatArray:
    """Jaccard index of every two of S sets; 1 for two empty ones.

    Args:
        shared_S_S: items that two sets share; the diagonal is ignored.
        own_S: items of each set.
    """
    shared_S_S = shared_S_S.copy()
    np.fill_diagonal(shared_S_S, own_S)
    union_S_S = own_S[:, None] + own_S[None, :] - shared_S_S
    return np.where(union_S_S > 0, shared_S_S / np.maximum(union_S_S, 1), 1.0)


def distinct_ngrams_pooled(
    counts: NgramCounts, *, orders: Sequence[int] = ORDERS, k: int | None = None
) -> float:
    """Different n-grams of all texts together divided by all their n-grams, averaged over the orders.

    N-grams shared by two texts lower it, as does repetition within one. It falls with the number of
    texts and with their length, so compare equal numbers and check lengths. With k, it is the expected
    number of different n-grams in k of the texts divided by the expected number of n-grams, both exact.

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
    """Different n-grams of a text divided by all its n-grams, averaged over texts, then over orders.

    It sees only repetition within a text: copies of one text score like that text. So it checks for
    loops and does not measure how many ways there are. It falls with length, and does not depend on
    the number of texts.

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

    BLEU up to order ``counts.max_n``, or up to the length of a shorter text, with equal weights. N-grams
    are clipped by their largest count in any *one* other text. The brevity penalty uses the closest
    reference length (the shorter of two equally close). Smoothing is nltk's method 1: no match of an
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
    matches_R_S = clipped_matches(counts, np.ones(size, np.int64))
    return smoothed_bleu(matches_R_S, counts.lengths_S, closest_lengths(counts.lengths_S))


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


def clipped_matches(counts: NgramCounts, copies_S: IntArray) -> IntArray:
    """Count the n-grams of each text that another text of its group has, too, ``(max_n, S)`` by order.

    Args:
        counts: of one group of texts, or of several; n-grams that are not listed count as matches.
        copies_S: how often each text is in its group: the copy of a text is another text. A text that is
            not in it has no use here: its own row is not defined.
    """
    at_M = np.flatnonzero((copies_S > 0)[counts.text_M])
    first_M = changes(counts.gram_M[at_M])
    # Only the first entry of an n-gram can exceed the others: it is clipped to the second, if any.
    first_I = np.flatnonzero(first_M)
    first_I = first_I.compress((copies_S == 1)[counts.text_M[at_M[first_I]]])
    entry_I = at_M[first_I]
    has_second_I = ~np.append(first_M, True)[first_I + 1]
    second_I = counts.count_M[np.append(at_M, 0)[first_I + 1]]
    excess_I = counts.count_M[entry_I] - np.where(has_second_I, second_I, 0)
    cell_I = counts.order_M[entry_I] * counts.num_texts + counts.text_M[entry_I]
    excess_R_S = np.bincount(cell_I, excess_I, minlength=counts.max_n * counts.num_texts)
    total_R_S = np.maximum(counts.lengths_S - np.arange(counts.max_n)[:, None], 0)
    return np.asarray(total_R_S - excess_R_S.astype(np.int64).reshape(total_R_S.shape))


def closest_lengths(lengths_S: IntArray) -> IntArray:
    """Return the length of another text closest to each text's own; of two, the shorter.

    Args:
        lengths_S: tokens of each text, ``(..., S)`` with the texts of a group on the last axis, S >= 2.
    """
    order_S = np.argsort(lengths_S, axis=-1)
    sorted_S = np.take_along_axis(lengths_S, order_S, axis=-1)
    # Sorted by length, the closest is a neighbour.
    shorter_S, longer_S = np.roll(sorted_S, 1, axis=-1), np.roll(sorted_S, -1, axis=-1)
    take_shorter_S = sorted_S - shorter_S <= longer_S - sorted_S
    take_shorter_S[..., 0], take_shorter_S[..., -1] = False, True
    closest_S = np.empty_like(sorted_S)
    chosen_S = np.where(take_shorter_S, shorter_S, longer_S)
    np.put_along_axis(closest_S, order_S, chosen_S, axis=-1)
    return closest_S


def smoothed_bleu(matches_R_S: IntArray, lengths_S: IntArray, closest_S: IntArray) -> FloatArray:
    """BLEU of texts from their matches; the rules are those of ``sentence_bleu_of_each``.

    Args:
        matches_R_S: clipped matches of the orders 1 to R, ``(R, ...)``.
        lengths_S: tokens of each text.
        closest_S: of its closest reference.
    """
    orders_R = np.arange(len(matches_R_S)).reshape(-1, *(1,) * lengths_S.ndim)
    totals_R_S = lengths_S - orders_R
    orders_S = np.clip(lengths_S, 1, len(matches_R_S))
    precision_R_S = np.where(matches_R_S > 0, matches_R_S, _EPSILON) / np.maximum(totals_R_S, 1)
    log_R_S = np.where(totals_R_S > 0, np.log(precision_R_S), 0.0)
    penalty_S = np.exp(np.minimum(0.0, 1 - closest_S / np.maximum(lengths_S, 1)))
    # For a text without words: 1 if another has none either, else 0.
    penalty_S = np.where((lengths_S > 0) | (closest_S == 0), penalty_S, 0.0)
    bleu_S = penalty_S * np.exp(log_R_S.sum(axis=0) / orders_S)
    return np.where((matches_R_S[0] > 0) | (lengths_S == 0), bleu_S, 0.0)
