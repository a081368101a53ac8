"""Keep and Explore: golden counts and the accounting identity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import DataError, ShapeError
from polypath.metrics import keep_explore
from tests.refusals import refused
from tests.rounding import rounding

chance = st.floats(0, 1)
pairs = st.lists(st.tuples(chance, chance), min_size=1, max_size=20)


def test_golden_counts():
    got = keep_explore([True, True, True, False, False], [True, True, False, True, False])
    assert (got.kept, got.lost, got.gained, got.unsolved) == (2, 1, 1, 1)
    assert got.keep == pytest.approx(2 / 3)
    assert got.explore == pytest.approx(1 / 2)


@given(pairs)
def test_accounting_identity(drawn):
    base_N, trained_N = np.array(drawn).T
    got = keep_explore(base_N, trained_N)
    total = got.kept + got.lost + got.gained + got.unsolved
    assert total == pytest.approx(got.num_problems)
    # A share of nothing is NaN and has weight 0 in the identity.
    base = base_N.mean()
    identity = np.nansum([base * got.keep, (1 - base) * got.explore])
    assert identity == pytest.approx(trained_N.mean(), abs=rounding(100))


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_same_solved_set_keeps_all_and_explores_nothing(solved):
    got = keep_explore(solved, solved)
    assert np.isnan(got.keep) if not any(solved) else got.keep == 1
    assert np.isnan(got.explore) if all(solved) else got.explore == 0


def test_a_model_against_itself_by_chances_has_keep_below_one():
    """0.5 * 0.5 / 0.5: a problem solved half of the time is lost half of the time."""
    assert keep_explore([0.5], [0.5]).keep == pytest.approx(0.5)


def test_bad_input_is_named():
    with refused(DataError, "trained_solved_N"):
        keep_explore([1.0], [np.nan])
    with refused(ShapeError, 2, 1):
        keep_explore([1, 0], [1])
