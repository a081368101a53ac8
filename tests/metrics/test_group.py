"""Statistics of training groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polypath.errors import DataError, ShapeError
from polypath.metrics import (
    encode_solutions,
    group_statistics,
    mean_pairwise_similarity,
    outcome_shares,
)
from tests.refusals import refused
from tests.rounding import rounding

correct_groups = arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 5)))


def test_golden_step():
    """Group 1: a, a, b, all right. Group 2: c right, c wrong, none. Group 3: no solution."""
    ids_P_G = encode_solutions([["a", "a", "b"], ["c", "c", None], [None, None, None]])
    correct_P_G = [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    similarity_P_G_G = np.stack([np.ones((3, 3)), np.eye(3), np.eye(3)])
    got = group_statistics(ids_P_G, correct_P_G, similarity_P_G_G)
    assert got == pytest.approx(
        {
            "distinct_solutions": (2 + 1 + 0) / 3,
            "distinct_correct": (2 + 1 + 0) / 3,
            "duplicate_rate": (1 / 3 + 1 / 2) / 2,
            "duplicate_rate_correct": (1 / 3 + 0) / 2,
            "all_correct": 1 / 3,
            "all_wrong": 1 / 3,
            "mixed": 1 / 3,
            "similarity": 1 / 3,
        }
    )


def test_without_similarity_and_without_solutions():
    got = group_statistics([[-1, -1]], [[False, False]])
    assert "similarity" not in got
    assert np.isnan(got["duplicate_rate"])
    assert got["distinct_solutions"] == 0


@given(correct_groups)
def test_outcome_shares_add_up_to_one(correct_P_G):
    got = outcome_shares(correct_P_G)
    assert got.all_correct + got.all_wrong + got.mixed == pytest.approx(1)
    flipped = outcome_shares(~correct_P_G)
    assert (flipped.all_correct, flipped.mixed) == (got.all_wrong, got.mixed)


@given(arrays(float, (3, 4, 4), elements=st.floats(-1, 1)), st.floats(-5, 5))
def test_mean_similarity_ignores_the_diagonal(similarity_P_G_G, diagonal):
    expected_P = [s[~np.eye(4, dtype=bool)].mean() for s in similarity_P_G_G]
    changed = similarity_P_G_G.copy()
    changed[:, range(4), range(4)] = diagonal
    np.testing.assert_allclose(
        mean_pairwise_similarity(changed), expected_P, atol=rounding(12 + 16, size=5)
    )


def test_groups_of_one_have_no_pair():
    assert np.isnan(mean_pairwise_similarity(np.ones((2, 1, 1)))).all()


def test_completions_that_nobody_scored_are_neither_right_nor_wrong():
    correct_P_G = [[True, False], [False, False], [True, False], [False, False]]
    scored_P_G = [[True, False], [True, False], [True, True], [False, False]]
    got = outcome_shares(correct_P_G, scored_P_G)
    assert (got.all_correct, got.all_wrong, got.mixed) == (1 / 3, 1 / 3, 1 / 3)
    assert np.isnan(outcome_shares([[False]], [[False]]).all_wrong)


def test_bad_input_is_named():
    with refused(DataError, "correct_P_G"):
        outcome_shares([[0.5]])
    with refused(ShapeError):
        outcome_shares(np.zeros((2, 0), dtype=bool))
    with refused(ShapeError, "similarity_P_G_G"):
        mean_pairwise_similarity(np.ones((1, 3, 2)))
