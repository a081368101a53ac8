"""Distinct solutions, duplicates and entropy against brute force and closed forms."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import DataError, ShapeError
from polypath.metrics import (
    NO_SAMPLE,
    answer_entropy,
    count_distinct,
    distinct_solutions_at_k,
    duplicate_rate,
    encode_solutions,
    pass_at_k,
)
from tests.refusals import refused
from tests.rounding import rounding

sample = st.tuples(st.none() | st.sampled_from("abcd"), st.booleans())
problem = st.lists(sample, min_size=1, max_size=7)

# Four logarithms of factorials up to 9! = e^13 and sums over ten problems of at most 9 solutions.
COUNTED = rounding(4 * 4 + 10, size=13 * 9)


def arrays(problem: list[tuple[str | None, bool]]):
    return encode_solutions([[s for s, _ in problem]]), np.array([[c for _, c in problem]])


@given(problem)
def test_expected_distinct_equals_brute_force_over_all_draws(drawn):
    ids_1_S, correct_1_S = arrays(drawn)
    ks = range(1, len(drawn) + 1)
    got_K = distinct_solutions_at_k(ids_1_S, correct_1_S, ks)[0]
    for k in ks:
        numbers = [len({s for s, c in d if c and s}) for d in combinations(drawn, k)]
        assert got_K[k - 1] == pytest.approx(np.mean(numbers), abs=COUNTED)


@given(problem)
def test_expected_distinct_grows_with_k_and_ends_at_the_plain_count(drawn):
    ids_1_S, correct_1_S = arrays(drawn)
    got_K = distinct_solutions_at_k(ids_1_S, correct_1_S, range(1, len(drawn) + 1))[0]
    assert (np.diff(got_K) >= -COUNTED).all()
    assert got_K[-1] == count_distinct(ids_1_S, correct_1_S)[0]


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_with_a_single_solution_it_is_pass_at_k(correct):
    ks = range(1, len(correct) + 1)
    ids_1_S = np.zeros((1, len(correct)), dtype=int)
    np.testing.assert_allclose(
        distinct_solutions_at_k(ids_1_S, [correct], ks), pass_at_k([correct], ks), atol=COUNTED
    )


def test_with_all_different_and_correct_it_is_k():
    got_1_K = distinct_solutions_at_k([[0, 1, 2, 3]], [[True] * 4], [1, 2, 4])
    np.testing.assert_allclose(got_1_K, [[1, 2, 4]])


@given(problem, st.randoms())
def test_order_of_samples_does_not_matter(drawn, random):
    shuffled = random.sample(drawn, len(drawn))
    for statistic in (
        lambda i, c: distinct_solutions_at_k(i, c, [1, 3]),
        duplicate_rate,
        answer_entropy,
        count_distinct,
    ):
        np.testing.assert_allclose(
            statistic(*arrays(drawn)), statistic(*arrays(shuffled)), rtol=0, atol=COUNTED
        )


@given(st.lists(problem, min_size=2, max_size=4))
def test_ragged_problems_equal_each_problem_alone(problems):
    ids_N_S = encode_solutions([[s for s, _ in p] for p in problems])
    correct_N_S = np.zeros(ids_N_S.shape, dtype=bool)
    for i, p in enumerate(problems):
        correct_N_S[i, : len(p)] = [c for _, c in p]
    for statistic in (
        lambda i, c: distinct_solutions_at_k(i, c, [1, 3, 7]),
        duplicate_rate,
        answer_entropy,
        count_distinct,
    ):
        alone = np.concatenate([statistic(*arrays(p)) for p in problems])
        np.testing.assert_allclose(statistic(ids_N_S, correct_N_S), alone, atol=COUNTED)


def test_fewer_samples_than_k_is_nan_and_not_padded():
    ids_N_S = encode_solutions([["a", "b"], ["a", "b", "c", None]])
    correct_N_S = ids_N_S != NO_SAMPLE
    got_N_K = distinct_solutions_at_k(ids_N_S, correct_N_S, [2, 4])
    assert got_N_K[0, 0] == pytest.approx(2)
    assert np.isnan(got_N_K[0, 1])
    assert got_N_K[1, 1] == pytest.approx(3)
    # Also where nothing was found: unknown is not 0.
    assert np.isnan(distinct_solutions_at_k([[-1, -1]], [[False, False]], [3])).all()


def test_golden_duplicates_and_entropy():
    """a, a, b and one without answer: 1 of 3 repeats; shares 2/3 and 1/3."""
    ids_1_S = encode_solutions([["a", "a", "b", None]])
    assert duplicate_rate(ids_1_S) == pytest.approx(1 / 3)
    entropy = -(2 / 3) * np.log(2 / 3) - (1 / 3) * np.log(1 / 3)
    assert answer_entropy(ids_1_S) == pytest.approx(entropy)
    only_b = [[False, False, True, True]]
    assert duplicate_rate(ids_1_S, only_b) == 0
    assert answer_entropy(ids_1_S, only_b) == 0


def test_no_solution_at_all_is_nan_not_zero():
    ids_N_S = encode_solutions([[None, None]])
    assert np.isnan(duplicate_rate(ids_N_S)).all()
    assert np.isnan(answer_entropy(ids_N_S)).all()
    assert count_distinct(ids_N_S) == 0
    np.testing.assert_array_equal(distinct_solutions_at_k(ids_N_S, [[True, True]], [1, 2]), 0)


@given(problem)
def test_entropy_is_between_zero_and_the_log_of_the_distinct_count(drawn):
    ids_1_S, _ = arrays(drawn)
    entropy, distinct = answer_entropy(ids_1_S)[0], count_distinct(ids_1_S)[0]
    assert np.isnan(entropy) if distinct == 0 else 0 <= entropy <= np.log(distinct) + COUNTED


def test_no_problems_give_empty_results():
    ids_0_0 = encode_solutions([])
    assert distinct_solutions_at_k(ids_0_0, ids_0_0 >= 0, [1]).shape == (0, 1)
    assert duplicate_rate(ids_0_0).shape == (0,)


def test_bad_input_is_named():
    with refused(DataError, "encode_solutions"):
        count_distinct([["a", "b"]])
    with refused(DataError, -2):
        count_distinct([[-3]])
    with refused(ShapeError, "correct_N_S"):
        count_distinct([[0, 1]], [[True]])
    with refused(DataError, "ids_N_S"):
        count_distinct([[0, NO_SAMPLE]], [[True, True]])
