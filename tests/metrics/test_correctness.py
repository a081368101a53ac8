"""Mean, majority and all of k: by hand, and against every draw of k."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError
from polypath.metrics import (
    NO_SAMPLE,
    NO_SOLUTION,
    majority_at_k,
    mean_at_k,
    pass_at_k_from_counts,
    pass_hat_k,
)
from tests.refusals import refused
from tests.rounding import rounding


def test_mean_is_the_share_where_there_are_k_samples():
    np.testing.assert_allclose(
        mean_at_k([4, 2, 0], [1, 2, 0], [1, 3]), [[0.25, 0.25], [1, np.nan], [np.nan, np.nan]]
    )


@given(st.integers(0, 8), st.integers(0, 8), st.integers(1, 8))
def test_all_of_k_is_the_share_of_all_draws(n, c, k):
    c = min(c, n)
    samples = [True] * c + [False] * (n - c)
    draws = [all(chosen) for chosen in itertools.combinations(samples, k)]
    got = pass_hat_k([n], [c], [k])[0, 0]
    assert got == pytest.approx(np.mean(draws) if draws else np.nan, nan_ok=True)


def test_all_of_k_is_never_above_one_of_k_and_exact_for_large_counts():
    n, c = np.full(257, 256), np.arange(257)
    ks = [1, 2, 64, 256]
    every, some = pass_hat_k(n, c, ks), pass_at_k_from_counts(n, c, ks)
    assert (every <= some).all()
    np.testing.assert_allclose(every[:, 0], c / 256)
    np.testing.assert_allclose(every[-1], 1)
    assert every[255, 3] == 0


def majority_by_draws(ids, correct, k) -> float:
    """Mean over all draws of k, ties shared evenly, answers judged both ways by their share."""
    share = {a: correct[ids == a].mean() for a in set(ids.tolist()) if a >= 0}
    wins = []
    for chosen in itertools.combinations(range(len(ids)), k):
        votes = Counter(ids[list(chosen)].tolist())
        votes.pop(NO_SOLUTION, None)
        most = max(votes.values(), default=0)
        tied = [answer for answer, times in votes.items() if times == most]
        wins.append(np.mean([share[answer] for answer in tied]) if tied else 0.0)
    return float(np.mean(wins))


@given(st.integers(0, 10_000))
def test_majority_is_the_mean_over_all_draws(seed):
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 9)
    ids, correct = rng.integers(-1, 4, size=n), rng.random(n) < 0.4
    ks = range(1, n + 1)
    got = majority_at_k([ids], [correct], list(ks))[0]
    np.testing.assert_allclose(
        got, [majority_by_draws(ids, correct, k) for k in ks], atol=rounding(100)
    )


def exact_majority(votes, right, n, k) -> Fraction:
    """Count draws with whole numbers: polynomials in samples drawn and rivals tied, winner by winner."""
    won = Fraction(0)
    for x, winner in itertools.product(range(1, k + 1), range(len(votes))):
        draws = Counter({(x, 0): math.comb(votes[winner], x)})
        for m in (m for rival, m in enumerate(votes) if rival != winner):
            longer = Counter()
            for (drawn, ties), ways in draws.items():
                for j in range(min(m, x, k - drawn) + 1):
                    longer[drawn + j, ties + (j == x)] += ways * math.comb(m, j)
            draws = longer
        for (drawn, ties), ways in draws.items():
            if drawn <= k:
                ways *= math.comb(n - sum(votes), k - drawn)
                won += Fraction(right[winner], votes[winner]) * Fraction(ways, ties + 1)
    return won / math.comb(n, k)


def test_majority_of_many_samples_is_exact():
    problems = [
        ([40, 40, 40, 5, 1, 1, 1], [40, 0, 7, 5, 1, 0, 1], 140),
        ([1] * 20, [1] * 5 + [0] * 15, 30),
        ([90, 8], [0, 8], 98),
        ([25, 24], [20, 3], 60),
    ]
    ids, correct = np.full((4, 140), NO_SAMPLE), np.zeros((4, 140), bool)
    for row, (votes, right, n) in enumerate(problems):
        ids[row, :n] = NO_SOLUTION
        ids[row, : sum(votes)] = np.repeat(range(len(votes)), votes)
        for answer, number in enumerate(right):
            correct[row, np.flatnonzero(ids[row] == answer)[:number]] = True
    ks = [2, 7, 25]
    expected = [[float(exact_majority(*problem, k)) for k in ks] for problem in problems]
    np.testing.assert_allclose(majority_at_k(ids, correct, ks), expected, rtol=0, atol=1e-13)


def test_majority_by_hand():
    """Answers a a b: of one, 2/3; of two, aa wins and two ties; of three, a wins."""
    got = majority_at_k([[0, 0, 1]], [[True, True, False]], [1, 2, 3])
    np.testing.assert_allclose(got, [[2 / 3, 1 / 3 + 2 / 3 / 2, 1]])


def test_samples_without_an_answer_do_not_vote_but_are_drawn():
    ids = [[NO_SOLUTION, NO_SOLUTION, 0]]
    np.testing.assert_allclose(majority_at_k(ids, [[0, 0, 1]], [1, 2, 3]), [[1 / 3, 2 / 3, 1]])


def test_majority_ragged_and_empty():
    ids = [[0, NO_SAMPLE, NO_SAMPLE], [NO_SAMPLE] * 3]
    got = majority_at_k(ids, [[1, 0, 0], [0, 0, 0]], [1, 2])
    np.testing.assert_allclose(got, [[1, np.nan], [np.nan, np.nan]])


def test_majority_amplifies_a_lead_and_stays_a_chance_for_many_samples():
    rng = np.random.default_rng(0)
    ids = rng.choice(30, size=(3, 256), p=[0.3] + [0.7 / 29] * 29)
    got = majority_at_k(ids, ids == 0, [1, 16, 256])
    assert (np.diff(got, axis=1) > 0).all()
    assert (got <= 1).all()


def test_bad_input_is_named():
    with refused(ConfigError, "k"):
        mean_at_k([3], [1], [0])
    with refused(DataError):
        pass_hat_k([3], [4], [1])
    with refused(DataError, 1001, 1000):
        majority_at_k([[0] * 1001], [[True] * 1001], [1])
    with refused(DataError):
        majority_at_k([[NO_SAMPLE]], [[True]], [1])
