"""Distinct n-grams, pooled and per text, and at equal numbers of texts."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError
from polypath.metrics import count_ngrams, distinct_ngrams_per_text, distinct_ngrams_pooled
from tests.metrics.texts import random_group
from tests.refusals import refused


def test_by_hand():
    """Words a b a | a c: unigrams 3 of 5, bigrams (ab, ba, ac) 3 of 3, no text has more than one trigram."""
    counts = count_ngrams(["a b a", "a c"])
    assert distinct_ngrams_pooled(counts, orders=[1]) == pytest.approx(3 / 5)
    assert distinct_ngrams_pooled(counts) == pytest.approx((3 / 5 + 1 + 1) / 3)
    assert distinct_ngrams_per_text(counts, orders=[1]) == pytest.approx((2 / 3 + 1) / 2)
    assert distinct_ngrams_per_text(counts, orders=[3]) == 1  # of the first text alone


def test_copies_lower_the_pooled_and_leave_the_per_text_value():
    one, three = count_ngrams(["a b c d"]), count_ngrams(["a b c d"] * 3)
    assert distinct_ngrams_pooled(three) == pytest.approx(distinct_ngrams_pooled(one) / 3)
    assert distinct_ngrams_per_text(three) == distinct_ngrams_per_text(one) == 1


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_at_k_is_the_ratio_of_means_over_all_draws(seed, k):
    texts = [" ".join(row) for row in random_group(seed)]
    counts = count_ngrams(texts)
    got = distinct_ngrams_pooled(counts, orders=[2], k=k)
    if k > len(texts):
        assert np.isnan(got)
        return
    different, total = 0, 0
    for chosen in itertools.combinations(texts, k):
        drawn = count_ngrams(chosen, max_n=2)
        second = drawn.order_M == 1
        different += len(np.unique(drawn.gram_M[second]))
        total += drawn.count_M[second].sum()
    assert got == pytest.approx(different / total if total else np.nan, nan_ok=True)


def test_nothing_to_count_is_nan():
    assert np.isnan(distinct_ngrams_pooled(count_ngrams(["", ""])))
    assert np.isnan(distinct_ngrams_per_text(count_ngrams([])))


@pytest.mark.parametrize("orders", [[], [0], [5]])
def test_orders_must_have_been_counted(orders):
    counts = count_ngrams(["a b"])
    for measure in (distinct_ngrams_pooled, distinct_ngrams_per_text):
        with refused(ConfigError, "orders"):
            measure(counts, orders=orders)
    with refused(ConfigError, "k", 0):
        distinct_ngrams_pooled(counts, k=0)
