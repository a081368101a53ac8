"""Bootstrap intervals: exact small cases, NaN accounting, coverage, and the paired test."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics import bootstrap_mean, bootstrap_ratio, effective_problems, paired_difference
from tests.refusals import refused
from tests.rounding import rounding


def test_two_problems_resample_to_the_three_possible_means():
    """Values 0 and 1: resampled means 0, 1/2, 1 with chances 1/4, 1/2, 1/4.

    With t of one degree of freedom, ends lie within the middle half up to a level of about 0.28.
    """
    assert [bootstrap_mean([0, 1], level=0.95).low, bootstrap_mean([0, 1]).high] == [0, 1]
    inner = bootstrap_mean([0, 1], level=0.2)
    assert [inner.low, inner.estimate, inner.high] == [0.5, 0.5, 0.5]
    assert bootstrap_mean([0, 1], level=0.4).low == 0  # a plain percentile interval says 0.5


def test_ends_are_those_of_the_expanded_percentiles():
    values_N = np.random.default_rng(5).random(10)
    plain = np.random.default_rng(6).choice(values_N, size=(200_000, 10)).mean(axis=1)
    got = bootstrap_mean(values_N, num_resamples=20_000)
    # Hesterberg 2015: for n = 10 the normal tail beyond sqrt(10/9) * 2.262 is 0.86 %.
    expected = np.quantile(plain, [0.00855, 0.99145])
    assert [got.low, got.high] == pytest.approx(expected, abs=0.008)


def test_one_problem_has_an_estimate_but_no_interval():
    got = bootstrap_mean([[0.3, np.nan], [np.nan, np.nan]])
    assert got.estimate[0] == 0.3
    assert got.num_problems.tolist() == [1, 0]
    assert np.isnan([got.low, got.high]).all()
    assert np.isnan(paired_difference([1.0], [0.0]).p_value)


def test_agrees_with_the_normal_interval_for_many_problems():
    values_N = np.random.default_rng(0).normal(3.0, 2.0, size=2000)
    got = bootstrap_mean(values_N)
    half = 1.96 * values_N.std() / np.sqrt(len(values_N))
    assert got.low == pytest.approx(values_N.mean() - half, abs=0.05 * half)
    assert got.high == pytest.approx(values_N.mean() + half, abs=0.05 * half)


def test_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    values_N_K = rng.beta(0.5, 1.0, size=(100, 400))  # 400 data sets of 100 problems, mean 1/3
    got = bootstrap_mean(values_N_K, num_resamples=1000)
    covered = np.mean((got.low <= 1 / 3) & (got.high >= 1 / 3))
    assert 0.917 <= covered <= 0.983  # 3 standard errors of 400 trials around 0.95


def test_covers_the_truth_for_twenty_problems_where_plain_percentiles_do_not():
    rng = np.random.default_rng(2)
    values_N_K = rng.beta(0.5, 1.0, size=(20, 2000))
    got = bootstrap_mean(values_N_K, num_resamples=1000)
    covered = np.mean((got.low <= 1 / 3) & (got.high >= 1 / 3))
    assert 0.935 <= covered <= 0.97  # plain percentiles: 0.924


values = st.lists(st.floats(-10, 10), min_size=2, max_size=12)


@given(values)
def test_interval_lies_within_the_values(drawn):
    got = bootstrap_mean(drawn, num_resamples=200)
    slack = rounding(12 * 10, size=10)  # means of 12 numbers, corrected
    assert min(drawn) - slack <= got.low <= got.high <= max(drawn) + slack
    assert got.estimate == pytest.approx(np.mean(drawn))
    assert got.num_problems == len(drawn)


def test_same_seed_same_interval_and_the_global_generator_is_untouched():
    values_N = np.random.default_rng(0).random(20)
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first, second = bootstrap_mean(values_N, seed=3), bootstrap_mean(values_N, seed=3)
    assert (first.low, first.high) == (second.low, second.high)
    assert bootstrap_mean(values_N, seed=4).low != first.low
    assert (np.random.get_state()[1] == before).all()


def test_trailing_axes_equal_each_column_alone():
    values_N_2_3 = np.random.default_rng(0).random((15, 2, 3))
    got = bootstrap_mean(values_N_2_3, seed=1)
    assert got.low.shape == got.num_problems.shape == (2, 3)
    alone = bootstrap_mean(values_N_2_3[:, 1, 2], seed=1)
    assert alone.low.shape == ()
    assert got.low[1, 2] == pytest.approx(alone.low)
    assert got.high[1, 2] == pytest.approx(alone.high)


def test_resampling_in_chunks_draws_the_asked_number(monkeypatch):
    values_N = np.random.default_rng(0).random(50)
    whole = bootstrap_mean(values_N, num_resamples=3000)
    monkeypatch.setattr("polypath.metrics.bootstrap._CHUNK", 50 * 7)  # 429 chunks, the last short
    chunked = bootstrap_mean(values_N, num_resamples=3000)
    assert chunked.low == pytest.approx(whole.low, abs=0.01)
    assert chunked.high == pytest.approx(whole.high, abs=0.01)


def test_nan_is_left_out_and_counted():
    values_N_2 = np.array([[1.0, np.nan], [0.0, np.nan], [np.nan, np.nan]])
    got = bootstrap_mean(values_N_2)
    assert got.num_problems.tolist() == [2, 0]
    assert got.estimate[0] == 0.5
    assert np.isnan([got.estimate[1], got.low[1], got.high[1]]).all()


def test_ratio_is_of_sums_and_not_a_mean_of_ratios():
    got = bootstrap_ratio([1.0, 0.0], [1.0, 3.0])
    assert got.estimate == pytest.approx(1 / 4)
    assert (got.low, got.high) == (0, 1)


def test_ratio_without_a_denominator_is_nan():
    assert np.isnan(bootstrap_ratio([0.0, 0.0], [0.0, 0.0]).estimate)
    partly = bootstrap_ratio([1.0, 0.0, 0.0], [2.0, 0.0, 0.0])
    assert (partly.low, partly.estimate, partly.high) == (0.5, 0.5, 0.5)


def test_paired_difference_of_equal_models_is_zero_with_p_one():
    values_N = np.random.default_rng(0).random(30)
    got = paired_difference(values_N, values_N)
    assert (got.estimate, got.low, got.high, got.p_value) == (0, 0, 0, 1)


def test_paired_difference_cancels_the_difficulty_of_problems():
    rng = np.random.default_rng(0)
    difficulty_N = rng.random(100)
    a_N, b_N = difficulty_N + 0.02 + rng.normal(0, 0.02, 100), difficulty_N
    got = paired_difference(a_N, b_N)
    assert got.low > 0
    # No resample at or below 0: 2 / 10,001, whose normal quantile -3.719 becomes t = -3.700.
    assert got.p_value == pytest.approx(2 * 0.000176, rel=0.02)
    apart = bootstrap_mean(a_N).low, bootstrap_mean(b_N).high
    assert apart[0] < apart[1]


@given(st.integers(0, 1000))
def test_swapping_the_models_flips_the_sign_and_keeps_p(seed):
    rng = np.random.default_rng(seed)
    a_N, b_N = rng.integers(0, 3, size=(2, 12)) / 2
    forth = paired_difference(a_N, b_N, num_resamples=200)
    back = paired_difference(b_N, a_N, num_resamples=200)
    assert forth.p_value == back.p_value
    np.testing.assert_allclose([forth.low, forth.high], [-back.high, -back.low], atol=rounding(10))


def test_p_value_counts_resamples_at_or_beyond_zero():
    """Differences -1 and 1: resampled means -1, 0, 1 by 1/4, 1/2, 1/4; p = 2 * 3/4, cut at 1.

    Differences 1, 1 and -1: the resampled mean is <= 0 when 2 or 3 of the 3 draws are the -1, with
    chance 3 (1/9)(2/3) + 1/27 = 7/27; so the percentile p is near 14/27, and with the normal
    quantile of 7/27, -0.646, times sqrt(2/3), read as t of two degrees of freedom: 0.651.
    """
    assert paired_difference([0, 1], [1, 0]).p_value == 1
    got = paired_difference([1, 1, 0], [0, 0, 1], num_resamples=40_000)
    assert got.p_value == pytest.approx(0.651, abs=0.015)


def test_paired_difference_drops_a_problem_that_either_lacks():
    got = paired_difference([1.0, np.nan, 0.5], [0.5, 0.0, np.nan])
    assert got.num_problems == 1
    assert got.estimate == 0.5
    nothing = paired_difference([np.nan], [1.0])
    assert np.isnan([nothing.estimate, nothing.p_value]).all()


def test_effective_problems_counts_those_that_carry_the_spread():
    values_N_K = np.zeros((10, 4))
    values_N_K[:3, 1] = -0.5
    values_N_K[:, 2] = np.nan
    values_N_K[0, 3], values_N_K[1:, 3] = 1.0, np.linspace(0, 1e-6, 9)
    np.testing.assert_allclose(effective_problems(values_N_K), [0, 3, 0, 1], atol=1e-4)


def test_the_same_draws_are_kept_for_the_next_metric_and_do_not_change():
    values_N = np.random.default_rng(0).random(40)
    alone = bootstrap_mean(values_N, seed=9)
    for other in range(4):
        bootstrap_mean(values_N, seed=other)
    again = bootstrap_mean(values_N, seed=9)
    assert (alone.low, alone.high) == (again.low, again.high)


@pytest.mark.parametrize(
    ("call", "error", "facts"),
    [
        (lambda: bootstrap_mean([1.0], level=95), ConfigError, (95, 0.95)),
        (lambda: bootstrap_mean([1.0], num_resamples=10), ConfigError, (10, 100)),
        (lambda: bootstrap_mean([]), ShapeError, ()),
        (lambda: bootstrap_mean([np.inf]), DataError, ()),
        (lambda: paired_difference([1.0, 2.0], [1.0]), ShapeError, ()),
    ],
)
def test_bad_input_is_named(call, error, facts):
    with refused(error, *facts):
        call()
