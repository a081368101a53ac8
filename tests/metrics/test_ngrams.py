"""Counting n-grams once, against plain counters."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError
from polypath.metrics import count_ngrams, ngram_jaccard, words
from tests.metrics.texts import random_group
from tests.refusals import refused
from tests.rounding import rounding


def test_words_are_runs_and_single_signs():
    assert words(r"So \frac{1}{2}=0.5, naïve don't") == [
        *("So", "\\", "frac", "{", "1", "}", "{", "2", "}", "=", "0", ".", "5", ","),
        *("naïve", "don", "'", "t"),
    ]


def plain(row: list[str], n: int) -> Counter:
    return Counter(tuple(row[i : i + n]) for i in range(len(row) - n + 1))


@given(st.integers(0, 10_000))
def test_counts_are_those_of_plain_counters(seed):
    rows = random_group(seed)
    counts = count_ngrams([" ".join(row) for row in rows], max_n=3)
    assert counts.lengths_S.tolist() == [len(row) for row in rows]
    for n in (1, 2, 3):
        chosen = counts.order_M == n - 1
        for s, row in enumerate(rows):
            got = counts.count_M[chosen & (counts.text_M == s)]
            assert sorted(got) == sorted(plain(row, n).values())
        everywhere = Counter(gram for row in rows for gram in plain(row, n))
        of_gram = np.unique(counts.gram_M[chosen], return_counts=True)[1]
        assert sorted(of_gram) == sorted(everywhere.values())


@given(st.integers(0, 10_000))
def test_entries_of_an_ngram_are_side_by_side_largest_first(seed):
    counts = count_ngrams([" ".join(row) for row in random_group(seed)])
    assert (np.diff(counts.gram_M) >= 0).all()
    within = np.diff(counts.gram_M) == 0
    assert (np.diff(counts.count_M)[within] <= 0).all()


def test_another_tokenizer_can_be_given():
    assert count_ngrams(["ab cd"], max_n=1, tokenize=list).lengths_S.tolist() == [5]
    with refused(ConfigError, 0):
        count_ngrams(["a"], max_n=0)


def test_jaccard_of_more_ngrams_than_are_held_at_once(monkeypatch):
    counts = count_ngrams([" ".join(row) for row in random_group(3)])
    whole = ngram_jaccard(counts)
    monkeypatch.setattr("polypath.metrics.ngrams._GRAMS_AT_ONCE", 5)
    np.testing.assert_array_equal(ngram_jaccard(counts), whole)


@given(st.integers(0, 10_000))
def test_jaccard_is_that_of_sets(seed):
    rows = random_group(seed)
    got = ngram_jaccard(count_ngrams([" ".join(row) for row in rows], max_n=2))
    sets = [set(plain(row, 1)) | set(plain(row, 2)) for row in rows]
    for i, a in enumerate(sets):
        for j, b in enumerate(sets):
            assert got[i, j] == pytest.approx(len(a & b) / len(a | b) if a | b else 1.0)
    assert np.linalg.eigvalsh(got).min() > -rounding(10 * len(rows) ** 2)
