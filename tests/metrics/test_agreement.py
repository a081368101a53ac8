"""Does a similarity see solutions: AUC and rank correlation by hand, against scipy, and at their limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics import pair_agreement, pair_order

SAME = [True, True, False, False]


def brute_auc(similarity, same) -> float:
    """Count every same pair against every different pair; ties are half."""
    wins = [
        (s > d) + 0.5 * (s == d)
        for s, is_same in zip(similarity, same, strict=True)
        if is_same
        for d, other in zip(similarity, same, strict=True)
        if not other
    ]
    return float(np.mean(wins))


@pytest.mark.parametrize(
    ("similarity", "auc", "correlation"),
    [
        # Ranks 4, 3 and 2, 1: their means differ by 2, deviations of ranks sqrt(5/4), of 0/1 one half.
        ([0.9, 0.8, 0.2, 0.1], 1.0, 2 * 0.5 / np.sqrt(1.25)),
        ([0.1, 0.2, 0.8, 0.9], 0.0, -2 * 0.5 / np.sqrt(1.25)),
        ([0.9, 0.1, 0.8, 0.2], 0.5, 0.0),  # 0.9 beats both, 0.1 beats none
        ([1.0, 1.0, 0.0, 0.0], 1.0, 1.0),  # with ties, the correlation reaches 1
        ([0.3, 0.3, 0.3, 0.3], 0.5, 0.0),
        # 1 beats both; 0.5 ties with one and beats the other: 3.5 of 4.
        ([1.0, 0.5, 0.5, 0.0], 0.875, spearmanr([1, 0.5, 0.5, 0], [1, 1, 0, 0]).statistic),
        # Rounding is no order.
        ([0.3, 0.3 + 1e-13, 0.3 - 1e-13, 0.3], 0.5, 0.0),
    ],
)
def test_one_problem_by_hand(similarity, auc, correlation):
    assert pair_order(similarity, SAME) == pytest.approx((auc, correlation))


@pytest.mark.parametrize("same", [[True] * 4, [False] * 4])
def test_one_kind_of_pairs_has_no_order(same):
    assert np.isnan(pair_order([0.1, 0.2, 0.3, 0.4], same)).all()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30).filter(
        lambda pairs: len({same for _, same in pairs}) == 2
    )
)
def test_order_is_the_count_of_wins_and_scipys_correlation(pairs):
    similarity, same = np.array([s for s, _ in pairs]) / 5, [same for _, same in pairs]
    auc, correlation = pair_order(similarity, same)
    assert auc == pytest.approx(brute_auc(similarity, same))
    if len(set(similarity)) > 1:  # scipy has no correlation with a constant
        assert correlation == pytest.approx(spearmanr(similarity, same).statistic)
    # Only the order counts, and the other direction is the mirror image.
    assert pair_order(similarity**3, same) == pytest.approx((auc, correlation))
    assert pair_order(-similarity, same) == pytest.approx((1 - auc, -correlation))


def test_means_are_over_problems_with_both_kinds_and_the_pooled_value_is_over_all_pairs():
    similarity_N = [[0.9, 0.1], [0.2, 0.4, 0.6], [0.5, 0.7], []]
    same_N = [[True, False], [True, False, False], [True, True], []]
    found = pair_agreement(similarity_N, same_N, num_resamples=200)
    assert found.auc.estimate == pytest.approx((1 + 0) / 2)
    assert found.mean_same.estimate == pytest.approx((0.9 + 0.2) / 2)
    assert found.mean_different.estimate == pytest.approx((0.1 + 0.5) / 2)
    assert (found.num_same, found.num_different) == (4, 3)
    assert (found.num_problems, found.num_problems_both) == (3, 2)
    pooled = spearmanr(np.concatenate(similarity_N), np.concatenate(same_N)).statistic
    assert found.pooled_rank_correlation.estimate == pytest.approx(pooled)


def made(rng: np.random.Generator, shift: float, problems: int = 40):
    same_N = [rng.random(12) < 0.4 for _ in range(problems)]
    return [rng.random(12) + shift * same for same in same_N], same_N


@pytest.mark.parametrize(("shift", "auc"), [(0.0, 0.5), (5.0, 1.0), (-5.0, 0.0)])
def test_chance_perfect_and_reversed(shift, auc):
    found = pair_agreement(*made(np.random.default_rng(3), shift), num_resamples=500)
    for interval, chance in ((found.auc, 0.5), (found.pooled_rank_correlation, 0.0)):
        assert interval.low <= interval.estimate <= interval.high
        assert (interval.low <= chance <= interval.high) == (shift == 0)
    assert found.auc.estimate == pytest.approx(auc, abs=0.05 if shift == 0 else 1e-12)


def test_the_pooled_interval_is_that_of_scipys_correlation_of_resampled_problems():
    similarity_N, same_N = made(np.random.default_rng(0), 0.3, problems=15)
    found = pair_agreement(similarity_N, same_N, num_resamples=2_000).pooled_rank_correlation
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(600):
        chosen = rng.integers(0, 15, 15)
        parts = [np.concatenate([values[n] for n in chosen]) for values in (similarity_N, same_N)]
        drawn.append(spearmanr(*parts).statistic)
    # The expanded interval is wider than +-1.96 deviations by about a tenth at 15 problems.
    assert (found.high - found.low) / (2 * 1.96 * np.std(drawn)) == pytest.approx(1.1, abs=0.15)


def test_seeds_and_pieces_of_the_resampling_do_not_change_the_numbers(monkeypatch):
    pairs = made(np.random.default_rng(0), 0.3)
    first, again = (pair_agreement(*pairs, num_resamples=300) for _ in range(2))
    monkeypatch.setattr("polypath.metrics.agreement._AT_ONCE", 1000)
    pieces = pair_agreement(*pairs, num_resamples=300)
    for found in (again, pieces):
        assert found.pooled_rank_correlation == first.pooled_rank_correlation
        assert found.auc.low == first.auc.low


def test_one_problem_has_no_interval_and_one_kind_has_no_estimate():
    one = pair_agreement([[0.9, 0.1]], [[True, False]])
    assert one.auc.estimate == 1
    assert np.isnan([one.auc.low, one.pooled_rank_correlation.high]).all()
    none = pair_agreement([[0.9, 0.1], [0.3]], [[True, True], [True]])
    assert np.isnan([none.auc.estimate, none.pooled_rank_correlation.estimate]).all()
    assert none.num_problems_both == 0


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(DataError, match="no pair"):
        pair_agreement([[], []], [[], []])
    with pytest.raises(DataError, match="NaN"):
        pair_order([0.1, float("nan")], [True, False])
    with pytest.raises(ShapeError, match="one entry per pair"):
        pair_order([0.1], [True, False])
    with pytest.raises(ShapeError, match="2 problems"):
        pair_agreement([[0.1], [0.2]], [[True]])
    with pytest.raises(ConfigError, match="level"):
        pair_agreement([[0.1]], [[True]], level=95)
