"""Lines through models, and their intervals over runs."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from polypath.studies.relation_fit import _resampled, fit_relation
from tests.rounding import rounding

X, Y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0, 6.0])
RUNS = ["a", "a", "b", "c"]


def test_golden_four_points():
    """By hand: Sxx = 5, Syy = 14, Sxy = 7, so slope 7/5, R² 49/70; ranks of y 1 3 2 4, rho 4/5."""
    fit = fit_relation(X, Y, RUNS, num_resamples=200)
    assert (fit.models, fit.runs, fit.note) == (4, 3, "")
    assert (fit.slope, fit.intercept) == pytest.approx((1.4, 0.9))
    assert (fit.r_squared, fit.rho) == pytest.approx((0.7, 0.8))


points = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from("abc")), min_size=3, max_size=9
)


@given(points)
def test_a_resample_is_that_of_scipy_on_the_points_drawn_so_often(drawn):
    x, y, runs = zip(*drawn, strict=True)
    names, run_M = np.unique(runs, return_inverse=True)
    assume(len(names) > 1)
    x_M, y_M = np.array(x, dtype=float), np.array(y, dtype=float)
    rs, rhos = _resampled(x_M, y_M, run_M, 20, seed=1)
    count = len(names)
    times_Z_C = np.random.default_rng(1).multinomial(count, np.full(count, 1 / count), size=20)
    for r, rho, times_C in zip(rs, rhos, times_Z_C, strict=True):
        a, b = np.repeat(x_M, times_C[run_M]), np.repeat(y_M, times_C[run_M])
        if len(set(a)) < 2 or len(set(b)) < 2:
            assert math.isnan(r)
            assert math.isnan(rho)
        else:
            assert r == pytest.approx(stats.pearsonr(a, b).statistic)
            assert rho == pytest.approx(stats.spearmanr(a, b).statistic)


# Sums over at most 9 points of squares of numbers up to 54 times their spread: 0.1 apart, 5 from 0.
LINE = rounding(9 * 10, size=54**2)


@given(points, st.floats(0.1, 10), st.floats(-5, 5))
def test_units_and_direction_do_not_change_how_well_it_fits(drawn, scale, shift):
    x, y, runs = zip(*drawn, strict=True)
    x_M, y_M = np.array(x, dtype=float), np.array(y, dtype=float)
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    one = fit_relation(x_M, y_M, runs, num_resamples=100)
    other = fit_relation(-scale * x_M + shift, y_M, runs, num_resamples=100)
    assert other.r_squared == pytest.approx(one.r_squared, abs=LINE)
    assert other.r_squared_low == pytest.approx(one.r_squared_low, abs=LINE, nan_ok=True)
    assert (other.rho, other.rho_low) == pytest.approx((-one.rho, -one.rho_high), nan_ok=True)
    assert other.slope == pytest.approx(-one.slope / scale, abs=LINE)


def test_too_few_models_equal_values_and_one_run_say_what_they_cannot():
    few = fit_relation(X[:2], Y[:2], RUNS[:2])
    assert math.isnan(few.slope)
    assert few.note == "fewer than 3 models"
    level = fit_relation(X, np.full(4, 0.3), RUNS)
    assert math.isnan(level.r_squared)
    assert level.note == "all models have the same y"
    alone = fit_relation(X, Y, ["a"] * 4)
    assert (alone.runs, alone.r_squared) == (1, pytest.approx(0.7))
    assert math.isnan(alone.r_squared_low)
    assert math.isnan(alone.rho_high)


def runs_of_four(rng: np.random.Generator, runs: int, r: float) -> tuple[np.ndarray, ...]:
    """Four models of each run, 80 % of whose variance is the run's; correlation r at both levels."""
    run_M = np.repeat(np.arange(runs), 4)
    parts = [rng.standard_normal((2, n)) for n in (runs, 4 * runs)]
    both = [np.stack([a, r * a + math.sqrt(1 - r * r) * b]) for a, b in parts]
    x_M, y_M = math.sqrt(0.8) * both[0][:, run_M] + math.sqrt(0.2) * both[1]
    return x_M, y_M, run_M


@pytest.mark.parametrize("r", [0.0, 0.8])
def test_intervals_hold_the_truth_where_those_of_single_models_do_not(r: float):
    rng = np.random.default_rng(0)
    held, naive = [], []
    for _ in range(250):
        x_M, y_M, run_M = runs_of_four(rng, 8, r)
        by_run = fit_relation(x_M, y_M, run_M.astype(str), num_resamples=300)
        by_model = fit_relation(x_M, y_M, np.arange(32).astype(str), num_resamples=300)
        held.append(by_run.r_squared_low <= r * r <= by_run.r_squared_high)
        naive.append(by_model.r_squared_low <= r * r <= by_model.r_squared_high)
    assert np.mean(held) > 0.9
    assert np.mean(naive) < 0.85
