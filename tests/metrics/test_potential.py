"""Potential@k: the identity for greedy pass@1, unbiased parts, and when it is undefined."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics import bootstrap_ratio, potential_at_k, potential_from_counts
from tests.refusals import refused
from tests.rounding import rounding

# Four logarithms of factorials up to 9! = e^13 and sums over ten problems of at most 9 solutions.
COUNTED = rounding(4 * 4 + 10, size=13 * 9)


def test_golden():
    """(1 * 0 + 0.5 * 1 + 0 * 1) / 2."""
    assert potential_at_k([1.0, 0.5, 0.0], [1, 0, 0], 8).value == pytest.approx(0.25)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_with_greedy_and_pass_k_above_it_is_a_ratio_of_means(pairs):
    greedy_N = np.array([a for a, _ in pairs], dtype=float)
    pass_k_N = np.maximum(greedy_N, [b for _, b in pairs])
    potential = potential_at_k(pass_k_N, greedy_N, 8)
    if greedy_N.all():
        assert np.isnan(potential.value)
        assert potential.reason == "every problem is already solved by one sample"
    else:
        expected = (pass_k_N.mean() - greedy_N.mean()) / (1 - greedy_N.mean())
        assert potential.value == pytest.approx(expected)
        assert potential.reason is None


@pytest.mark.parametrize(("n", "k", "p"), [(4, 1, 0.3), (5, 3, 0.6), (9, 8, 0.1)])
def test_parts_from_counts_are_unbiased(n, k, p):
    """Averaged over Binomial(n, p): the numerator is (1 - (1-p)^k)(1-p), the denominator 1-p."""
    weight_C = np.array([comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)])
    [potential] = potential_from_counts(np.full(n + 1, n), np.arange(n + 1), [k])
    expected = (1 - (1 - p) ** k) * (1 - p)
    assert weight_C @ potential.numerator_N == pytest.approx(expected, abs=COUNTED)
    assert weight_C @ potential.denominator_N == pytest.approx(1 - p, abs=COUNTED)


def test_numerator_from_counts_is_a_failure_then_a_success_within_k():
    """By enumeration of ordered draws: one wrong sample, then at least one right of the next k."""
    samples = [True, True, False, False, False]
    k = 2
    draws = [d for d in product(range(5), repeat=k + 1) if len(set(d)) == k + 1]
    share = np.mean([not samples[d[0]] and any(samples[i] for i in d[1:]) for d in draws])
    [potential] = potential_from_counts([5], [2], [k])
    assert potential.numerator_N[0] == pytest.approx(share, abs=COUNTED)


def test_problems_with_too_few_samples_leave_both_sums():
    short, both = (
        potential_from_counts([8], [2], [3])[0],
        potential_from_counts([8, 2], [2, 0], [3]),
    )
    assert both[0].value == short.value
    interval = bootstrap_ratio(both[0].numerator_N, both[0].denominator_N)
    assert interval.estimate == pytest.approx(short.value)
    assert interval.num_problems == 1


def test_undefined_is_nan_with_a_reason():
    [solved] = potential_from_counts([4, 4], [4, 4], [2])
    assert np.isnan(solved.value)
    assert solved.reason == "every problem is already solved by one sample"
    [short] = potential_from_counts([4, 4], [1, 2], [4])
    assert short.reason == "no problem has enough samples for Potential@4"


def test_bad_input_is_named():
    with refused(DataError, "pass_at_k_N", 1.5):
        potential_at_k([0.5, 1.5], [0, 0], 8)
    with refused(ShapeError, "pass_at_1_N"):
        potential_at_k([0.5, 0.5], [0], 8)
    with refused(ConfigError, 0):
        potential_at_k([0.5], [0], 0)
