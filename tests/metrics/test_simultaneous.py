"""Bands over all k and ranks of all methods: they agree with single tests, and hold the truth together."""

import numpy as np
import pytest
from scipy.special import ndtri

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics import (
    paired_difference,
    pass_at_k_from_counts,
    rank_means,
    seed_difference,
    simultaneous_band,
)

KS = [1, 2, 4, 8, 16]
SAMPLES = 32


def curves(rng: np.random.Generator, rates_R_N: np.ndarray) -> np.ndarray:
    """Return pass@k of drawn samples, (R, N, K)."""
    correct_R_N = rng.binomial(SAMPLES, rates_R_N)
    return np.stack(
        [
            pass_at_k_from_counts(np.full(len(correct_N), SAMPLES), correct_N, KS)
            for correct_N in correct_R_N
        ]
    )


def seeds_of(rng: np.random.Generator, rates_N: np.ndarray, seeds: int, sd: float) -> np.ndarray:
    """Shift the logits of each seed, and of each problem in it."""
    logits = np.log(rates_N / (1 - rates_N)) + rng.normal(0, sd, (seeds, 1))
    return 1 / (1 + np.exp(-logits - rng.normal(0, 0.3, (seeds, len(rates_N)))))


@pytest.mark.parametrize(("mine", "theirs"), [(5, 5), (3, 5), (5, 1), (1, 1)])
def test_a_band_of_one_column_is_the_single_interval(mine: int, theirs: int):
    rng = np.random.default_rng(0)
    a = rng.random((mine, 150)) + rng.normal(0.1, 0.05, (mine, 1))
    b = rng.random((theirs, 150)) + rng.normal(0, 0.05, (theirs, 1))
    expected = seed_difference(a, b)
    found = simultaneous_band(a[..., None], b[..., None])
    assert found.estimate[0] == pytest.approx(expected.estimate)
    half = (expected.high - expected.low) / 2
    assert found.low[0] == pytest.approx(expected.low, abs=0.03 * half)
    assert found.high[0] == pytest.approx(expected.high, abs=0.03 * half)
    assert found.p_value[0] == pytest.approx(expected.p_value, abs=0.003)


def test_columns_that_move_alike_cost_nothing_and_others_what_many_tests_cost():
    rng = np.random.default_rng(1)
    one = rng.normal(size=(1, 400, 1))
    alike = simultaneous_band(np.concatenate([one * scale for scale in (1, 2, 5)], axis=2))
    assert alike.critical == pytest.approx(simultaneous_band(one).critical)
    apart = simultaneous_band(rng.normal(size=(1, 400, 10)))
    assert apart.critical == pytest.approx(-ndtri((1 - 0.95 ** (1 / 10)) / 2), abs=0.06)


def test_a_band_ignores_the_order_of_columns_and_the_scale():
    values = np.random.default_rng(2).normal(size=(2, 60, 4)) + 1
    first = simultaneous_band(values, num_resamples=500)
    turned = simultaneous_band(10 * values[..., ::-1], num_resamples=500)
    for key in ("estimate", "low", "high"):
        assert getattr(turned, key)[::-1] / 10 == pytest.approx(getattr(first, key))
    assert turned.p_value[::-1] == pytest.approx(first.p_value)


def test_equal_values_have_a_band_without_width_and_unknown_ones_are_left_out():
    values = np.random.default_rng(3).normal(size=(1, 50, 3))
    values[..., 1] = 1.0
    values[0, :10, 0] = np.nan
    values[..., 2] = np.nan
    found = simultaneous_band(values)
    assert (found.low[1], found.high[1]) == (1.0, 1.0)
    assert np.isnan(found.p_value[1])
    assert found.num_problems.tolist() == [40, 50, 0]
    alone = simultaneous_band(values[:, 10:, :1])
    assert found.estimate[0] == pytest.approx(alone.estimate[0])
    assert found.low[0] == pytest.approx(alone.low[0], abs=0.03)
    assert np.isnan([found.estimate[2], found.low[2]]).all()


@pytest.mark.parametrize("seeds", [1, 4])
def test_a_band_contains_a_whole_curve_where_pointwise_intervals_do_not(seeds: int):
    rng, sets, problems = np.random.default_rng(4), 250, 120
    # The truth: mean curves over all problems and seeds of the population, by quadrature.
    population = rng.beta(0.4, 0.7, 40_000).clip(1e-6, 1 - 1e-6)

    def truth(sd: float) -> np.ndarray:
        many = seeds_of(rng, population, 50, sd) if seeds > 1 else population[None]
        return np.array([(1 - (1 - many) ** k).mean() for k in KS])

    sd = 0.2
    expected = truth(sd)
    own = joint = pointwise = difference = 0
    for _ in range(sets):
        rates = rng.beta(0.4, 0.7, problems).clip(1e-6, 1 - 1e-6)
        a, b = (
            curves(rng, seeds_of(rng, rates, seeds, sd) if seeds > 1 else rates[None])
            for _ in range(2)
        )
        found, changed = (
            simultaneous_band(a, num_resamples=300),
            simultaneous_band(a, b, num_resamples=300),
        )
        own += bool(((found.low <= expected) & (expected <= found.high)).all())
        difference += bool(((changed.low <= 0) & (changed.high >= 0)).all())
        if seeds == 1:
            each = paired_difference(a[0], b[0], num_resamples=300)
            joint += bool(((each.low <= 0) & (each.high >= 0)).all())
        else:
            singles = [seed_difference(a[..., k], b[..., k]) for k in range(len(KS))]
            joint += all(one.low <= 0 <= one.high for one in singles)
        pointwise += bool(changed.low[0] <= 0 <= changed.high[0])
    assert 0.91 <= own / sets <= 0.995
    assert 0.92 <= difference / sets <= 0.995
    assert joint < difference
    assert pointwise >= difference


def test_ranks_say_what_cannot_be_told_apart():
    rng = np.random.default_rng(5)
    difficulty = rng.normal(size=200)
    means = [0.0, 0.02, 1.0, 0.5]
    values = [m + difficulty + rng.normal(0, 0.3, (3, 200)) for m in means]
    found = rank_means(values)
    assert found.best_rank.tolist() == [3, 3, 1, 2]
    assert found.worst_rank.tolist() == [4, 4, 1, 2]
    assert [found.alike(m) for m in range(4)] == [(1,), (0,), (), ()]
    assert found.difference[2, 0] == pytest.approx(found.estimate[2] - found.estimate[0])
    assert found.low == pytest.approx(-found.high.T)
    assert found.p_value[2, 0] < 0.001 < 0.05 < found.p_value[0, 1]


def test_a_shared_reference_cancels_where_it_is_the_same():
    rng = np.random.default_rng(6)
    values = [rng.normal(size=(2, 80)) + m for m in (0, 0.1, 1)]
    shared = np.broadcast_to(rng.normal(size=(5, 80)), (3, 5, 80))
    plain, less = rank_means(values), rank_means(values, shared)
    assert less.difference == pytest.approx(plain.difference)
    assert less.low == pytest.approx(plain.low)
    assert less.estimate == pytest.approx(plain.estimate - shared[0].mean())
    # Where it is not the same, its seeds are part of the error: those of what is left of it.
    first, second = values[0][:1], values[1][:1]
    moving = shared + rng.normal(size=(5, 1))
    found = rank_means([first, second], moving[:2] * np.array([1, 2])[:, None, None])
    expected = seed_difference(first - second + moving[0], np.zeros((1, 80)))
    assert found.difference[0, 1] == pytest.approx(expected.estimate)
    half = (expected.high - expected.low) / 2
    assert found.low[0, 1] == pytest.approx(expected.low, abs=0.03 * half)


def test_equal_methods_are_seldom_ranked_apart():
    rng, sets, wrong = np.random.default_rng(7), 250, 0
    for _ in range(sets):
        rates = rng.beta(0.5, 0.8, 80).clip(1e-6, 1 - 1e-6)
        values = [curves(rng, seeds_of(rng, rates, 4, 0.3))[..., 0] for _ in range(5)]
        found = rank_means(values, num_resamples=300)
        wrong += bool((found.best_rank > 1).any() or (found.worst_rank < 5).any())
    assert wrong / sets <= 0.08


def test_bad_arrays_are_refused_with_the_shape():
    good = np.zeros((1, 5, 2))
    with pytest.raises(ShapeError, match=r"\(5, 2\)"):
        simultaneous_band(good[0])
    with pytest.raises(ShapeError, match=r"\(1, 4, 2\)"):
        simultaneous_band(good, good[:, :4])
    with pytest.raises(DataError, match="infinity"):
        simultaneous_band(good + np.inf)
    with pytest.raises(ConfigError, match="level"):
        simultaneous_band(good, level=95)
    with pytest.raises(ShapeError, match="two means"):
        rank_means([good[..., 0]])
    with pytest.raises(ShapeError, match="3 means"):
        rank_means([good[..., 0]] * 3, np.zeros((2, 1, 5)))
    with pytest.raises(DataError, match="got 0"):
        rank_means([np.full((1, 5), np.nan), good[..., 0]])
