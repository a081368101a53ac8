"""Div-Equ: ratios by hand, exactness at k, and what is skipped."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError
from polypath.metrics import div_equ, extract_equations
from tests.refusals import refused
from tests.rounding import rounding


def test_by_hand():
    got = div_equ([[["a=1", "b=2"], ["a=1"]], [["c=3"]], [[], []], []])
    np.testing.assert_allclose(got.ratio_N, [2 / 3, 1, np.nan, np.nan])
    assert got.value == pytest.approx((2 / 3 + 1) / 2)
    assert (got.without_equations, got.too_few_responses) == (1, 1)
    assert np.isnan(div_equ([[[]]]).value)


@given(st.integers(1, 6))
def test_copies_divide_the_value_of_distinct_equations(copies):
    row = extract_equations("1+1=2, 2+2=4, 3+3=6")
    assert div_equ([[row] * copies]).value == pytest.approx(1 / copies)


group = st.lists(st.lists(st.sampled_from(["a=1", "b=2", "c=3", "d=4"]), max_size=4), max_size=5)


@given(group, st.integers(1, 5))
def test_at_k_is_the_ratio_of_means_over_all_draws(responses, k):
    got = div_equ([responses], k=k)
    if len(responses) < k:
        assert (got.too_few_responses, got.without_equations) == (1, 0)
        return
    draws = [list(itertools.chain(*chosen)) for chosen in itertools.combinations(responses, k)]
    distinct, total = np.mean([len(set(d)) for d in draws]), np.mean([len(d) for d in draws])
    assert got.distinct_N[0] == pytest.approx(distinct)
    assert got.total_N[0] == pytest.approx(total)
    assert got.value == pytest.approx(distinct / total if total else np.nan, nan_ok=True)


@given(group)
def test_never_rises_with_k(responses):
    values = [div_equ([responses], k=k).value for k in range(1, len(responses) + 1)]
    assert all(b <= a + rounding(20) for a, b in itertools.pairwise(values) if not np.isnan(a + b))


def test_k_below_one_is_refused():
    with refused(ConfigError, "k", 0):
        div_equ([[["a=1"]]], k=0)
