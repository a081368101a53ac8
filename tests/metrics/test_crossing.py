"""The k at which two curves cross, and its interval."""

import numpy as np
import pytest

from polypath.errors import ShapeError
from polypath.metrics import find_crossing, paired_difference, pass_at_k_from_counts

KS = [1, 2, 4, 8, 16]


def test_a_line_over_log_k_crosses_where_it_is_0():
    estimate = np.array([2.0, 1.0, 0.0, -1.0, -2.0])
    found = find_crossing(KS, estimate, estimate - 0.5, estimate + 0.5)
    assert found.k == pytest.approx(4)
    assert (found.low, found.high) == pytest.approx((4 / 2**0.5, 4 * 2**0.5))
    assert (found.found, found.sign_before) == ("once", 1)
    assert not found.from_start
    assert not found.to_end
    between = find_crossing(KS, estimate - 0.5, estimate - 1, estimate)
    assert between.k == pytest.approx(2 * 2**0.5)
    turned = find_crossing(KS, -estimate, -estimate - 0.5, -estimate + 0.5)
    assert (turned.k, turned.sign_before) == (pytest.approx(4), -1)


def test_curves_that_do_not_cross_say_so():
    estimate = np.array([3.0, 2.5, 2.0, 1.5, 1.0])
    found = find_crossing(KS, estimate, estimate - 0.5, estimate + 0.5)
    assert found.found == "nowhere"
    assert np.isnan([found.k, found.low, found.high]).all()
    maybe = find_crossing(KS, estimate, estimate - 1.25, estimate + 1.25)
    assert np.isnan(maybe.k)
    assert maybe.to_end
    assert not maybe.from_start
    assert maybe.low == pytest.approx(8 * 2**0.5)  # before it, the curves are apart
    assert maybe.high == pytest.approx(16)


def test_a_crossing_may_lie_outside_the_k_or_be_one_of_several():
    estimate = np.array([0.1, -1.0, -2.0, -3.0, -4.0])
    found = find_crossing(KS, estimate, estimate - 0.5, estimate + 0.5)
    assert found.from_start
    assert found.low == pytest.approx(1)
    wavy = np.array([1.0, -1.0, 1.0, 1.0, 1.0])
    several = find_crossing(KS, wavy, wavy - 0.1, wavy + 0.1)
    assert several.found == "several times"
    assert several.k == pytest.approx(2**0.5)
    assert several.high == pytest.approx(2 * 2**0.55)
    touching = find_crossing(KS, [1.0, 0.0, 1.0, 1.0, 1.0], [0.5] * 5, [2.0] * 5)
    assert touching.found == "nowhere"


def test_its_interval_contains_the_crossing_as_often_as_a_single_interval_contains_0():
    rng, sets, samples, ks = np.random.default_rng(0), 300, 32, [1, 2, 3, 4, 6, 8, 12, 16, 32]
    population = rng.beta(0.6, 0.9, 200_000)

    def sharper(rates: np.ndarray) -> np.ndarray:
        """Right more often where it is right at all, and never on a tenth of the problems."""
        return np.where((rates * 1e6 % 1) < 0.12, 0.0, rates**0.7)

    dense = np.exp(np.linspace(0, np.log(32), 200))
    change = [((1 - population) ** k - (1 - sharper(population)) ** k).mean() for k in dense]
    truth = float(dense[np.flatnonzero(np.diff(np.sign(change)))[0]])
    assert 1.5 < truth < 16
    held = 0
    for _ in range(sets):
        rates = rng.choice(population, 150)
        a, b = (
            pass_at_k_from_counts(np.full(150, samples), rng.binomial(samples, p), ks)
            for p in (sharper(rates), rates)
        )
        d = paired_difference(a, b, num_resamples=300)
        found = find_crossing(ks, d.estimate, d.low, d.high)
        held += found.low * 0.99 <= truth <= found.high * 1.01
    assert 0.915 <= held / sets <= 0.985


def test_bad_arrays_are_refused():
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        find_crossing([1, 2], [0.0], [0.0], [0.0])
    with pytest.raises(ShapeError, match=r"\[2, 1\]"):
        find_crossing([2, 1], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0])
    with pytest.raises(ShapeError, match="two k"):
        find_crossing([1], [1.0], [1.0], [1.0])
