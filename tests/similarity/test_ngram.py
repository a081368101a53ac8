"""n-gram similarity against plain Python sets, and its edge rules."""

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from torch.testing import assert_close

import polypath.similarity.ngram as ngram
from polypath.errors import ConfigError
from polypath.similarity.ngram import NgramSimilarity
from tests.refusals import refused
from tests.rounding import rounding
from tests.similarity.strategies import groups, rows_of


def matrix(token_ids: list[list[int]], **settings: object) -> torch.Tensor:
    """One group."""
    similarity = NgramSimilarity(**settings)
    return similarity.matrix(similarity.features(rows_of(token_ids)), len(token_ids))[0]


def grams(ids: list[int], max_n: int) -> set[tuple[int, ...]]:
    return {tuple(ids[i : i + n]) for n in range(1, max_n + 1) for i in range(len(ids) - n + 1)}


def test_golden_two_rows():
    """{1, 2, 3, 12, 23, 123} and {1, 2, 4, 12, 24, 124} share {1, 2, 12} of 9 n-grams."""
    assert matrix([[1, 2, 3], [1, 2, 4]])[0, 1].item() == pytest.approx(3 / 9)


def expect_jaccard(token_ids: list[list[int]], size: int) -> None:
    similarity = NgramSimilarity(max_n=3)
    got_P_G_G = similarity.matrix(similarity.features(rows_of(token_ids)), size)
    sets = [grams(ids, 3) for ids in token_ids]
    for p in range(len(sets) // size):
        for i in range(size):
            for j in range(size):
                a, b = sets[p * size + i], sets[p * size + j]
                expected = 1.0 if i == j else len(a & b) / len(a | b) if a | b else 0.0
                assert got_P_G_G[p, i, j].item() == pytest.approx(expected, abs=rounding(10))


@contextlib.contextmanager
def as_if_large() -> Iterator[None]:
    """Small groups go the way of large ones: lone n-grams are left out, and rare ones sparse."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngram, "_FEW", -1)
        patch.setattr(ngram, "_SMALL", -1)
        yield


@given(groups())
def test_equals_jaccard_of_plain_python_sets(drawn):
    rows, _, size = drawn
    expect_jaccard(rows.token_ids, size)
    with as_if_large():
        expect_jaccard(rows.token_ids, size)


def test_rare_and_common_ngrams_of_a_wide_group():
    """Of 40 rows: tokens of nearly all, of a few, and of one."""
    draw = np.random.default_rng(0)
    rows = [[*draw.integers(0, 3, 5), *draw.integers(3, 100, 5), 100 + i] for i in range(40)]
    expect_jaccard([[int(t) for t in row] for row in rows], 40)
    with as_if_large():
        expect_jaccard([[int(t) for t in row] for row in rows], 40)


def test_word_order_counts_from_bigrams_on():
    rows = [[1, 2, 3], [3, 2, 1]]
    assert matrix(rows, max_n=1)[0, 1] == 1.0
    assert matrix(rows, max_n=2)[0, 1] == pytest.approx(3 / 7)


def test_an_ngram_never_spans_two_rows():
    # Side by side these rows read 1 2 3 4; "2 3" is in neither.
    assert matrix([[1, 2], [3, 4], [2, 3]], max_n=2)[0, 2] == pytest.approx(1 / 5)


def test_empty_completions_resemble_nothing_not_even_each_other():
    assert_close(matrix([[], [], [1]]), torch.eye(3, dtype=torch.float64))


def test_ignored_ids_do_not_make_short_answers_alike():
    eos = 9
    rows = [[5, eos], [7, eos], [eos]]
    assert matrix(rows)[0, 1] == pytest.approx(1 / 5)
    assert_close(matrix(rows, ignored_ids=(eos,)), torch.eye(3, dtype=torch.float64))


def test_a_long_completion_that_contains_a_short_one_is_no_copy():
    assert matrix([[1, 2], list(range(1, 30))])[0, 1] < 0.05


@given(groups())
def test_the_buckets_that_spare_work_change_no_value(drawn):
    rows, _, size = drawn
    similarity = NgramSimilarity()
    features = similarity.features(rows)
    expected = similarity.matrix(features, size)
    with as_if_large(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngram, "_BUCKETS", np.int64(1))  # nearly nothing is alone in two buckets
        assert torch.equal(similarity.matrix(features, size), expected)


def test_features_of_a_row_are_its_own_memory():
    """A view would send all rows of the process with each one."""
    for row in NgramSimilarity().features(rows_of([[1, 2, 3], [], [4]])):
        assert row.base is None


def test_max_n_below_one_is_refused():
    with refused(ConfigError, "max_n", 0):
        NgramSimilarity(max_n=0)
