"""Distinct-n: the share of n-grams that are different, pooled over a group or within each text.

Li 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models", arXiv:1510.03055.
"""

from collections.abc import Sequence

import numpy as np

from polypath.errors import ConfigError
from polypath.metrics.equal_k import expected_distinct
from polypath.metrics.ngrams import NgramCounts

ORDERS = (1, 2, 3)


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
