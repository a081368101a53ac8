"""Subsets of k, and means over them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError
from polypath.metrics import equal_k_expectation, expected_distinct, subsets
from tests.refusals import refused


@given(st.integers(0, 9), st.integers(1, 9), st.integers(1, 40))
def test_subsets_are_all_of_them_or_the_asked_number(n, k, draws):
    chosen = subsets(n, k, draws=draws)
    assert chosen.shape == (min(math.comb(n, k), draws), k)
    assert all(row[0] >= 0 and row[-1] < n and (np.diff(row) > 0).all() for row in chosen)
    if math.comb(n, k) <= draws:
        assert sorted(map(tuple, chosen)) == list(itertools.combinations(range(n), k))


def test_draws_depend_on_the_seed_and_on_nothing_else():
    np.random.seed(1)
    first = subsets(30, 4, seed=7).tolist()
    subsets(31, 4, seed=7)
    assert subsets(30, 4, seed=7).tolist() == first
    assert subsets(30, 4, seed=8).tolist() != first


def test_every_position_is_drawn_about_equally_often():
    times = np.bincount(subsets(10, 3, draws=100, seed=0).ravel(), minlength=10)
    assert times.sum() == 300
    assert (abs(times - 30) < 5 * math.sqrt(30 * 0.7)).all()


def test_expectation_is_exact_for_few_subsets():
    values = np.array([1.0, 2.0, 4.0])
    assert equal_k_expectation(lambda c: values[c].max(), 3, 2) == pytest.approx((2 + 4 + 4) / 3)
    assert equal_k_expectation(lambda c: values[c].sum(), 3, 3) == 7
    assert math.isnan(equal_k_expectation(lambda _: 1.0, 3, 4))


def test_expectation_leaves_out_subsets_without_a_value():
    got = equal_k_expectation(lambda c: math.nan if 0 in c else 5.0, 3, 1)
    assert got == 5
    assert math.isnan(equal_k_expectation(lambda _: math.nan, 3, 1))


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(1, 6))
def test_expected_distinct_is_the_mean_over_all_draws(having, k):
    holders = [set(range(r)) for r in having]
    draws = [
        sum(bool(texts & set(chosen)) for texts in holders)
        for chosen in itertools.combinations(range(5), k)
    ]
    got = expected_distinct(having, 5, k)
    assert got == pytest.approx(np.mean(draws) if draws else math.nan, nan_ok=True)


def test_bad_settings_are_named():
    with refused(ConfigError, "k=0", "draws=32"):
        subsets(3, 0)
