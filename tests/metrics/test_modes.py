"""Problems and solutions lost, kept and found."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, ShapeError
from polypath.metrics import mode_changes, problem_changes
from tests.refusals import refused


def test_problems_by_hand():
    got = problem_changes([4] * 5, [1, 2, 0, 0, 0], [4, 4, 4, 4, 0], [1, 0, 3, 0, 0])
    assert got == ["kept", "lost", "found", "unsolved", None]


def test_modes_of_all_samples_are_sets():
    base = [["a", "b", "b", None, "x"]]
    run = [["b", "c", "c", "c", "x"]]
    right = [[True, True, True, True, False]]
    got = mode_changes(base, right, run, right, k=5)
    assert (got.kept_N[0], got.lost_N[0], got.found_N[0]) == pytest.approx((1, 1, 1))
    assert np.isnan(got.lost_by_luck_N[0])


samples = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([True, True, False])),
    min_size=4,
    max_size=4,
)


def modes(chosen) -> set[str]:
    return {solution for solution, right in chosen if right and solution}


@given(samples, samples, st.integers(1, 4))
def test_modes_at_k_are_means_over_all_pairs_of_draws(base, run, k):
    split = (
        [[s for s, _ in base]],
        [[c for _, c in base]],
        [[s for s, _ in run]],
        [[c for _, c in run]],
    )
    got = mode_changes(*split, k=k)
    pairs = [
        (modes(a), modes(b))
        for a in itertools.combinations(base, k)
        for b in itertools.combinations(run, k)
    ]
    assert got.kept_N[0] == pytest.approx(np.mean([len(a & b) for a, b in pairs]))
    assert got.lost_N[0] == pytest.approx(np.mean([len(a - b) for a, b in pairs]))
    assert got.found_N[0] == pytest.approx(np.mean([len(b - a) for a, b in pairs]))


@given(samples, st.integers(1, 2))
def test_lost_by_luck_is_the_mean_over_two_separate_draws(base, k):
    split = [[s for s, _ in base]], [[c for _, c in base]]
    got = mode_changes(*split, *split, k=k)
    lost = [
        len(modes(a) - modes(b))
        for both in itertools.permutations(base, 2 * k)
        for a, b in [(both[:k], both[k:])]
    ]
    assert got.lost_by_luck_N[0] == pytest.approx(np.mean(lost))


def test_samples_not_judged_are_no_samples():
    got = mode_changes([["a", "a"]], [[True, None]], [["a", "a"]], [[True, True]], k=2)
    assert np.isnan(got.kept_N[0])
    assert mode_changes([["a", "a"]], [[True, None]], [["a"]], [[True]], k=1).kept_N[0] == 1


def test_bad_input_is_named():
    with refused(ConfigError, "k"):
        mode_changes([], [], [], [], k=0)
    with refused(ShapeError, 0, 1):
        mode_changes([["a"]], [[True]], [], [], k=1)
    with refused(ShapeError, 1, 2):
        mode_changes([["a"]], [[True, True]], [["a"]], [[True]], k=1)
    with refused(ShapeError, 1, 2):
        problem_changes([1], [1], [1, 1], [1, 1])
