"""pass@k against brute force over all draws, and the product formula of openai/human-eval."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics import pass_at_k, pass_at_k_from_counts
from tests.refusals import refused
from tests.rounding import rounding


def log_factorials(n: int) -> float:
    """Return what a sum of four logarithms of factorials up to n! may be off by, and 1 - e to it.

    A logarithm of the gamma function is right to a few roundings of its value, at most n ln n.
    """
    return rounding(4 * 4, size=1 + n * np.log(max(n, 1)))


def product_formula(n: int, c: int, k: int) -> float:
    return 1.0 if n - c < k else 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


@pytest.mark.parametrize("n", range(1, 8))
def test_equals_brute_force_over_all_draws(n):
    for c in range(n + 1):
        correct = [True] * c + [False] * (n - c)
        got_1_K = pass_at_k([correct], range(1, n + 1))
        for k in range(1, n + 1):
            expected = np.mean([any(draw) for draw in combinations(correct, k)])
            assert got_1_K[0, k - 1] == pytest.approx(expected, abs=log_factorials(n))


@pytest.mark.parametrize("n", [16, 64, 256, 1000])
def test_equals_the_product_formula(n):
    ks = sorted({1, 2, 7, n // 2, n - 1, n})
    got_N_K = pass_at_k_from_counts(np.full(n + 1, n), np.arange(n + 1), ks)
    expected = [[product_formula(n, c, k) for k in ks] for c in range(n + 1)]
    np.testing.assert_allclose(got_N_K, expected, rtol=0, atol=log_factorials(n) + rounding(n))


def test_large_n_equals_exact_integers():
    n, c, k = 2000, 3, 100
    exact = 1 - comb(n - c, k) / comb(n, k)
    assert pass_at_k_from_counts([n], [c], [k])[0, 0] == pytest.approx(exact, abs=log_factorials(n))


counts = st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(counts)
def test_never_decreasing_in_k_and_exact_at_the_ends(n_c):
    n, c = n_c
    got_K = pass_at_k_from_counts([n], [c], range(1, n + 3))[0]
    assert np.isnan(got_K[n:]).all()
    known_K = got_K[:n]
    assert (np.diff(known_K) >= -log_factorials(n)).all()
    assert ((known_K >= 0) & (known_K <= 1)).all()
    if n:
        assert known_K[0] == c / n
        assert known_K[-1] == (c > 0)
        assert (known_K[n - c :] == 1).all()
    if c == 0:
        assert (known_K == 0).all()


@given(st.integers(1, 30), st.data())
def test_never_decreasing_in_c(n, data):
    k = data.draw(st.integers(1, n))
    got_C = pass_at_k_from_counts(np.full(n + 1, n), np.arange(n + 1), [k])[:, 0]
    assert (np.diff(got_C) >= -log_factorials(n)).all()


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.randoms())
def test_order_of_samples_does_not_matter(correct, random):
    ks = range(1, len(correct) + 1)
    shuffled = random.sample(correct, len(correct))
    np.testing.assert_array_equal(pass_at_k([correct], ks), pass_at_k([shuffled], ks))


def test_unbiased_for_the_chance_of_k_fresh_samples():
    """The sum over c of Binomial(n, p)(c) * estimate(c) is 1 - (1 - p)^k."""
    n, k, p = 9, 4, 0.3
    weight_C = np.array([comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)])
    estimate_C = pass_at_k_from_counts(np.full(n + 1, n), np.arange(n + 1), [k])[:, 0]
    assert weight_C @ estimate_C == pytest.approx(1 - (1 - p) ** k, abs=log_factorials(n))


def test_too_few_samples_is_nan_for_counts_and_an_error_for_an_array():
    got_N_K = pass_at_k_from_counts([2, 8, 0], [1, 4, 0], [1, 4])
    np.testing.assert_array_equal(np.isnan(got_N_K), [[False, True], [False, False], [True, True]])
    with refused(ConfigError, 64):
        pass_at_k([[True, False]], [1, 64])


@pytest.mark.parametrize(
    ("call", "error", "facts"),
    [
        (lambda: pass_at_k([[0.5, 1.0]], [1]), DataError, ()),
        (lambda: pass_at_k([[np.nan, 1.0]], [1]), DataError, ()),
        (lambda: pass_at_k([True], [1]), ShapeError, ("(N, S)",)),
        (lambda: pass_at_k([[True]], [0]), ConfigError, (0,)),
        (lambda: pass_at_k([[True]], []), ConfigError, ("[]",)),
        (lambda: pass_at_k_from_counts([4], [1], [1.5]), ConfigError, (1.5,)),
        (lambda: pass_at_k_from_counts([4], [5], [1]), DataError, (5, 4)),
        (lambda: pass_at_k_from_counts([4], [-1], [1]), DataError, (-1,)),
        (lambda: pass_at_k_from_counts([4.5], [1], [1]), DataError, ()),
        (lambda: pass_at_k_from_counts([4, 4], [1], [1]), ShapeError, ("c_N",)),
    ],
)
def test_bad_input_is_named(call, error, facts):
    with refused(error, *facts):
        call()


def test_zero_one_integers_count_as_bool():
    np.testing.assert_array_equal(pass_at_k([[0, 1]], [1]), pass_at_k([[False, True]], [1]))
