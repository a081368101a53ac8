"""Vendi score: the values of the vendi-score package, known matrices, and refused ones."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError
from polypath.metrics import (
    count_ngrams,
    mean_pairwise_distance,
    ngram_jaccard,
    vendi_score,
    vendi_score_at_k,
)
from tests.metrics.texts import SOLUTIONS, random_group, real_solutions
from tests.refusals import refused
from tests.rounding import rounding

# The package looks for a name that SciPy has moved.
pytestmark = pytest.mark.filterwarnings("ignore:Please import `csr_matrix`")


def package():
    pytest.importorskip("vendi_score", reason="vendi-score is not installed: nothing to agree with")
    from vendi_score import vendi

    return vendi


def spectral(size: int) -> float:
    """Return what a score of that many items may be off by.

    Eigenvalues of at most 1 are off by ``size`` sums of ``size`` products; in p log p the logarithm of
    one that is 0 but for that is about 40; the exponential of their sum is at most ``size``.
    """
    return rounding(size * size * 40, size)


def random_similarity(seed: int, size: int = 6) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(size, 4))
    x[1] = x[0]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


@given(st.integers(0, 1000), st.sampled_from([0.5, 1.0, 2.0, math.inf]))
def test_agrees_with_the_package_on_random_matrices(seed, q):
    s = random_similarity(seed)
    expected = package().score_K(s, q="inf" if math.isinf(q) else q)
    # At q = 0.5 the package adds the roots of the eigenvalues that are 0 but for rounding, and squares.
    roots = 0.0 if q >= 1 else 6 * math.sqrt(rounding(6)) * 2 * math.sqrt(6)
    assert vendi_score([s], q=q)[0] == pytest.approx(expected, rel=0, abs=spectral(6) + roots)


@given(st.integers(0, 1000))
def test_agrees_with_the_package_on_random_texts(seed):
    s = ngram_jaccard(count_ngrams([" ".join(row) for row in random_group(seed)], max_n=3))
    assert vendi_score([s])[0] == pytest.approx(package().score_K(s), rel=0, abs=spectral(len(s)))


def test_agrees_with_the_package_on_solutions_and_real_texts():
    for texts in (SOLUTIONS, real_solutions("math500", 16), real_solutions("gsm8k", 16)):
        s = ngram_jaccard(count_ngrams(texts, max_n=3))
        assert vendi_score([s])[0] == pytest.approx(
            package().score_K(s), rel=0, abs=spectral(len(s))
        )


@pytest.mark.parametrize("q", [0, 0.5, 1, 2, math.inf])
def test_counts_groups_of_equal_items(q):
    same, different = np.ones((4, 4)), np.eye(4)
    halves = np.kron(np.eye(2), np.ones((2, 2)))
    np.testing.assert_allclose(vendi_score([same, different, halves], q=q), [1, 4, 2])


@given(st.integers(0, 1000))
def test_lies_between_one_and_the_number_of_items_and_falls_with_q(seed):
    values = [vendi_score([random_similarity(seed)], q=q)[0] for q in (0, 0.5, 1, 2, math.inf)]
    assert values[0] <= 6 + spectral(6)
    assert values[-1] >= 1 - spectral(6)
    assert all(b <= a + spectral(6) for a, b in itertools.pairwise(values))


def test_at_k_is_the_mean_over_all_subsets():
    s = random_similarity(0, size=4)
    pairs = [s[np.ix_(p, p)] for p in ([0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3])]
    assert vendi_score_at_k(s, 2) == pytest.approx(vendi_score(pairs).mean())
    assert vendi_score_at_k(s, 4) == pytest.approx(vendi_score([s])[0])
    assert np.isnan(vendi_score_at_k(s, 5))


def test_mean_pairwise_distance():
    s = np.array([[1, 0.5, 0], [0.5, 1, 0.25], [0, 0.25, 1]])
    assert mean_pairwise_distance([s])[0] == pytest.approx(1 - 0.25)
    assert np.isnan(mean_pairwise_distance(np.ones((1, 1, 1))))[0]


def test_empty_groups_have_no_value():
    assert np.isnan(vendi_score(np.zeros((2, 0, 0)))).all()
    assert vendi_score(np.zeros((0, 3, 3))).shape == (0,)


@pytest.mark.parametrize(
    ("matrix", "fact"),
    [
        ([[1, 0.5], [0.4, 1]], "symmetric"),
        ([[2, 0], [0, 2]], "diagonal"),
        ([[1, np.nan], [np.nan, 1]], "finite"),
        ([[1, 1, 0], [1, 1, 1], [0, 1, 1]], "-0.414"),
    ],
)
def test_matrices_that_are_no_similarity_are_refused(matrix, fact):
    with refused(DataError, fact):
        vendi_score([matrix])


def test_negative_orders_are_refused():
    with refused(ConfigError, "q", -1):
        vendi_score([np.eye(2)], q=-1)
