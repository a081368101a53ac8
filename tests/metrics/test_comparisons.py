"""Holm's correction, detectable differences, and seeds as clusters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics import holm, paired_difference, seed_difference, smallest_detectable
from tests.refusals import refused
from tests.rounding import rounding


def test_holm_by_hand():
    """0.01 x 3, 0.02 x 2, then 0.03 x 1, which may not fall below the one before."""
    np.testing.assert_allclose(holm([0.03, 0.01, 0.02]), [0.04, 0.03, 0.04])
    np.testing.assert_allclose(holm([0.5, np.nan, 0.6]), [1, np.nan, 1])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values):
    got = holm(p_values)
    assert (got >= np.array(p_values)).all()
    assert (got <= np.minimum(1, len(p_values) * np.array(p_values)) + rounding(2)).all()
    assert (np.diff(got[np.argsort(p_values)]) >= 0).all()


def test_smallest_detectable_is_detected_in_four_of_five():
    rng = np.random.default_rng(0)
    noise_N_D = rng.normal(0, 0.1, size=(50, 2000))
    size = float(np.median(smallest_detectable(noise_N_D, np.zeros_like(noise_N_D))))
    found = paired_difference(noise_N_D + size, np.zeros_like(noise_N_D), num_resamples=1000)
    assert np.mean(found.p_value < 0.05) == pytest.approx(0.8, abs=0.03)


def test_smallest_detectable_leaves_out_what_either_lacks():
    a = np.array([[0.1, np.nan], [0.5, 1.0], [0.7, np.nan], [np.nan, np.nan]])
    got = smallest_detectable(a, np.zeros_like(a))
    assert got[0] == pytest.approx(smallest_detectable([0.1, 0.5, 0.7], [0, 0, 0]))
    assert np.isnan(got[1])
    assert smallest_detectable([1, 1], [0, 0]) == 0


def test_seed_difference_of_single_rows_is_the_paired_t_test():
    a, b = np.random.default_rng(0).random((2, 30))
    got = seed_difference([a], [b])
    d = a - b
    error = d.std(ddof=1) / np.sqrt(30)
    assert got.estimate == pytest.approx(d.mean())
    assert got.high - got.low == pytest.approx(2 * 2.0452296 * error)  # t, 29 degrees of freedom
    assert (got.degrees_of_freedom, got.seed_share) == (pytest.approx(29), 0)


def test_two_alike_seeds_do_not_make_the_interval_endless():
    """Freedoms below 1 came of the two parts that are taken off: half widths of hundreds."""
    rng = np.random.default_rng(0)
    found = [
        seed_difference(*simulate(rng, seeds=2, spread=0.0)).degrees_of_freedom for _ in range(200)
    ]
    assert min(found) >= 1


def simulate(rng, seeds, spread, effect=0.0):
    """Problems with a rate each; a seed shifts all of them."""
    rate_N = rng.normal(0.5, 0.2, size=80)
    shift_M_R = rng.normal(0, spread, size=(2, seeds, 1)) + np.array([effect, 0])[:, None, None]
    return rate_N + shift_M_R + rng.normal(0, 0.1, size=(2, seeds, 80))


@pytest.mark.parametrize(("seeds", "spread", "most"), [(2, 0.05, 0.98), (3, 0.05, 0.98), (3, 0, 1)])
def test_seed_difference_covers_methods_and_not_only_these_seeds(seeds, spread, most):
    """Seeds that do not differ leave the interval too long: how little they do is not known."""
    rng = np.random.default_rng(seeds)
    got = [seed_difference(*simulate(rng, seeds, spread)) for _ in range(800)]
    covered = np.mean([g.low <= 0 <= g.high for g in got])
    assert 0.93 <= covered <= most
    assert np.mean([g.p_value < 0.05 for g in got]) == pytest.approx(1 - covered)


def test_seed_share_says_where_the_noise_is():
    rng = np.random.default_rng(0)
    assert seed_difference(*simulate(rng, 4, 0.2)).seed_share > 0.8
    assert np.mean([seed_difference(*simulate(rng, 4, 0.0)).seed_share for _ in range(50)]) < 0.3


def test_a_base_without_seeds_may_be_compared_with_several_runs():
    rng = np.random.default_rng(0)
    runs, base = simulate(rng, 3, 0.02, effect=0.3)
    got = seed_difference(runs, base[:1])
    assert got.num_seeds == (3, 1)
    assert got.low > 0
    assert got.smallest_detectable > (got.high - got.low) / 2


def test_equal_runs_have_no_difference():
    same = np.tile(np.linspace(0, 1, 10), (2, 1))
    got = seed_difference(same, same)
    assert (got.estimate, got.low, got.high, got.p_value) == (0, 0, 0, 1)


def test_problems_missing_in_any_run_are_left_out():
    a = np.random.default_rng(0).random((2, 12))
    b = a + 0.1
    gap = a.copy()
    gap[1, 3] = np.nan
    rest = np.arange(12) != 3
    assert seed_difference(gap, b) == seed_difference(a[:, rest], b[:, rest])


@pytest.mark.parametrize(
    ("call", "error", "facts"),
    [
        (lambda: holm([1.5]), DataError, (1.5,)),
        (lambda: smallest_detectable([1, 2], [1, 2], power=0.3), ConfigError, ("power", 0.3)),
        (lambda: smallest_detectable([1, 2], [1]), ShapeError, ()),
        (lambda: seed_difference([[1, 2]], [[1]]), ShapeError, ()),
        (lambda: seed_difference([1, 2], [[1, 2]]), ShapeError, ("a_R_N",)),
        (lambda: seed_difference([[1]], [[1]]), DataError, ()),
        (lambda: seed_difference([[1, 2]], [[1, 2]], level=2), ConfigError, ("level", 2)),
    ],
)
def test_bad_input_is_named(call, error, facts):
    with refused(error, *facts):
        call()
