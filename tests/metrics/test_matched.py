"""A method against a reference that is stopped at its pass@1."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics import matched_difference, matched_parts, seed_difference
from tests.refusals import refused
from tests.rounding import rounding

FEW = 200  # resamples, where the interval is not the point


def rows(*means, n=4):
    """Values of n problems with these means, spread alike around each."""
    return np.array(means)[..., None] + np.linspace(-0.05, 0.05, n)


def matched(method, reference, **options):
    """Compare means of (pass@1, outcome) of one seed."""
    (p, y), (ps, qs) = method, zip(*reference, strict=True)
    options = {"num_resamples": FEW} | options
    return matched_difference(rows(p), rows(y), rows(*ps)[None], rows(*qs)[None], **options)


def test_the_reference_is_interpolated_where_it_reaches_the_pass_at_1_of_the_method():
    """0.35 lies at 0.75 between 0.2 and 0.4: the outcome there is 0.85 of 0.9 to 0.7."""
    reference = [(0.1, 0.8), (0.2, 0.9), (0.4, 0.7), (0.5, 0.6)]
    got = matched((0.35, 0.8), reference, steps_C=[0, 100, 300, 400])
    assert got.reference_value == pytest.approx(0.75)
    assert got.estimate == pytest.approx(0.05)
    assert got.step == pytest.approx(250)
    assert (got.outside, got.pass_gap, got.num_seeds, got.num_problems) == ("", 0, (1, 1), 4)


def test_it_is_stopped_at_the_first_crossing():
    got = matched((0.3, 0.5), [(0.1, 0.9), (0.5, 0.7), (0.2, 0.6), (0.4, 0.5)])
    assert got.step == pytest.approx(0.5)
    assert got.reference_value == pytest.approx(0.8)


def test_a_method_above_all_checkpoints_is_held_to_the_best_and_flagged():
    got = matched((0.6, 0.5), [(0.1, 0.9), (0.5, 0.7), (0.2, 0.6)], steps_C=[0, 10, 20])
    assert (got.outside, got.step) == ("above", 10)
    assert got.estimate == pytest.approx(-0.2)
    assert got.pass_gap == pytest.approx(0.1)
    assert got.outside_share > 0.9


def test_a_method_below_the_base_is_held_to_the_base_and_flagged():
    got = matched((0.05, 0.5), [(0.1, 0.9), (0.02, 0.7), (0.2, 0.6)])
    assert (got.outside, got.step) == ("below", 0)
    assert got.estimate == pytest.approx(-0.4)
    assert got.pass_gap == pytest.approx(-0.05)


def test_exactly_at_the_base_is_not_outside():
    got = matched((0.1, 0.9), [(0.1, 0.9), (0.2, 0.7)])
    assert (got.outside, got.step, got.estimate) == ("", 0, 0)


@pytest.mark.parametrize("ends", [0.35, 0.6, 0.05])
def test_parts_by_problem_add_up_to_the_difference_and_vary_as_it_does(ends):
    rng = np.random.default_rng(0)
    path = np.array([0.1, 0.2, 0.4, 0.5])[None, :, None] + 0.1 * rng.normal(size=(3, 4, 400))
    outcome = np.array([0.9, 0.85, 0.7, 0.6])[None, :, None] + 0.1 * rng.normal(size=(3, 4, 400))
    mine = ends + 0.1 * rng.normal(size=(2, 400))
    other = 0.8 + 0.1 * rng.normal(size=(2, 400))
    other[0, 7] = np.nan
    got = matched_difference(mine, other, path, outcome, num_resamples=2000)
    method, reference = matched_parts(mine, other, path, outcome)
    assert (method.shape, reference.shape) == ((2, 400), (3, 400))
    assert np.isnan(reference).any(axis=0).nonzero()[0].tolist() == [7]
    line = seed_difference(method, reference)
    assert line.estimate == pytest.approx(got.estimate)
    if not got.outside_share:  # else resamples of two kinds are mixed
        assert line.high - line.low == pytest.approx(got.high - got.low, rel=0.1)
    assert got.outside_share or ends == 0.35


unit = st.floats(0, 1, width=16)
# Means of up to 300 numbers of at most 10, and a share of a step that is a quotient of differences of
# at least 1 or so. Ends of intervals are quantiles of resamples, where small steps magnify it.
MATCHED = rounding(300, size=10)


@st.composite
def trained(draw):
    """pass@1 and an outcome of a reference whose mean pass@1 rises, ``(S, C, N)``."""
    seeds, checkpoints, problems = draw(
        st.tuples(st.integers(1, 3), st.integers(2, 5), st.integers(2, 6))
    )
    values = draw(arrays(np.float64, (2, seeds, checkpoints, problems), elements=unit))
    values[:, :, 0] = values[:, :1, 0]  # one base
    values[0] += np.arange(checkpoints)[:, None] * 2
    return values


@given(trained(), st.data())
@settings(max_examples=40)
def test_matching_a_checkpoint_of_the_reference_with_it_is_no_difference(values, data):
    c = data.draw(st.integers(1, values.shape[2] - 1))
    got = matched_difference(*values[:, :, c], *values, num_resamples=FEW)
    assert got.estimate == pytest.approx(0, abs=MATCHED)
    assert got.step == pytest.approx(c)
    assert not got.outside


@given(trained(), arrays(np.float64, 6, elements=unit), st.floats(-2, 2), st.floats(0.5, 2))
@settings(max_examples=40)
def test_an_outcome_moved_by_c_moves_the_difference_by_c_and_steps_change_nothing(
    values, own, shift, power
):
    method = own[: values.shape[3]][None] * values.shape[2]
    first = matched_difference(method, method, *values, num_resamples=FEW)
    moved = matched_difference(method, method + shift, *values, num_resamples=FEW)
    for field in ("estimate", "low", "high"):
        assert getattr(moved, field) == pytest.approx(
            getattr(first, field) + shift, rel=0, abs=100 * MATCHED
        )
    both = matched_difference(
        method, method + shift, values[0], values[1] + shift, num_resamples=FEW
    )
    assert both.estimate == pytest.approx(first.estimate, rel=0, abs=MATCHED)
    steps = np.arange(values.shape[2]) ** power
    other = matched_difference(method, method, *values, steps_C=list(steps), num_resamples=FEW)
    assert (other.estimate, other.low, other.p_value) == (first.estimate, first.low, first.p_value)
    left = int(first.step)
    assert steps[left] <= other.step <= steps[min(left + 1, len(steps) - 1)] + MATCHED


def world(rng, seeds, problems, spread):
    """A reference of four checkpoints that gains pass@1 and loses an outcome, and a method between.

    In means: pass@1 0.2, 0.3, 0.4, 0.5 and outcome 0.8, 0.8, 0.75, 0.6; the method has 0.45 and 0.7.
    """
    base_N = rng.normal(0, 0.2, size=problems)

    def runs(number, *means):
        own = rng.normal(0, spread, size=(number, 1)) * np.linspace(0, 1, len(means))
        own = own[..., None] + rng.normal(0, 0.1, size=(number, len(means), problems))
        return np.array(means)[:, None] + base_N + own

    reference_pass = runs(seeds, 0.2, 0.3, 0.4, 0.5)
    reference = runs(seeds, 0.8, 0.8, 0.75, 0.6) - 0.5 * (reference_pass - base_N)
    reference_pass[:, 0], reference[:, 0] = reference_pass[0, 0], reference[0, 0]
    return runs(seeds, 0, 0.45)[:, 1], runs(seeds, 0, 0.7)[:, 1], reference_pass, reference


TRUTH = 0.7 - ((0.75 + 0.6) / 2 - 0.5 * 0.45)


def test_far_inside_a_segment_the_interval_is_that_of_the_linear_approximation():
    rng = np.random.default_rng(0)
    method_pass, method, reference_pass, reference = world(rng, 5, 2000, 0.005)
    got = matched_difference(method_pass, method, reference_pass, reference)
    assert got.estimate == pytest.approx(TRUTH, abs=0.03)
    low, high = (v.mean(axis=(0, 2))[2:] for v in (reference_pass, reference))
    slope = (high[1] - high[0]) / (low[1] - low[0])
    share = (method_pass.mean() - low[0]) / (low[1] - low[0])
    stopped = [(1 - share) * v[:, 2] + share * v[:, 3] for v in (reference_pass, reference)]
    line = seed_difference(method - slope * method_pass, stopped[1] - slope * stopped[0])
    assert (got.low, got.high) == pytest.approx(
        (line.low, line.high), abs=0.06 * (line.high - line.low)
    )
    assert got.degrees_of_freedom == pytest.approx(line.degrees_of_freedom)
    assert got.smallest_detectable == pytest.approx(line.smallest_detectable)
    assert got.step_low < got.step < got.step_high


@pytest.mark.parametrize(("seeds", "spread"), [(1, 0.0), (3, 0.01), (5, 0.02)])
def test_95_percent_intervals_hold_the_truth_and_the_match_held_fixed_does_not(seeds, spread):
    rng = np.random.default_rng(seeds)
    held, fixed = [], []
    for _ in range(400):
        method_pass, method, reference_pass, reference = world(rng, seeds, 100, spread)
        got = matched_difference(method_pass, method, reference_pass, reference, num_resamples=500)
        held.append(got.low <= TRUTH <= got.high)
        share = got.step - 2
        stopped = (1 - share) * reference[:, 2] + share * reference[:, 3]
        line = seed_difference(method, stopped)
        fixed.append(line.low <= TRUTH <= line.high)
    assert 0.92 <= np.mean(held) <= 0.985
    assert np.mean(fixed) < np.mean(held) - 0.03


def test_the_step_is_a_matter_of_pass_at_1_with_its_seeds():
    """Also of pass@1 as the outcome, whose matched difference is 0 without any spread."""
    method_pass, method, reference_pass, reference = world(np.random.default_rng(0), 5, 300, 0.02)
    got = matched_difference(method_pass, method, reference_pass, reference, num_resamples=FEW)
    own = matched_difference(
        method_pass, method_pass, reference_pass, reference_pass, num_resamples=FEW
    )
    assert (own.estimate, own.low, own.high) == pytest.approx((0, 0, 0), abs=MATCHED)
    for field in ("step", "step_low", "step_high", "outside_share"):
        assert getattr(own, field) == getattr(got, field)
    still = matched_difference(
        *(v.mean(axis=0, keepdims=True) for v in (method_pass, method, reference_pass, reference)),
        num_resamples=FEW,
    )
    assert got.step_high - got.step_low > 1.5 * (still.step_high - still.step_low)


def test_problems_without_a_value_anywhere_are_left_out():
    rng = np.random.default_rng(0)
    full = world(rng, 2, 30, 0.01)
    gap = [v.copy() for v in full]
    gap[1][0, 3] = gap[3][1, 2, 5] = np.nan
    rest = ~np.isin(np.arange(30), [3, 5])
    got = matched_difference(*gap, num_resamples=FEW)
    assert got == matched_difference(*(v[..., rest] for v in full), num_resamples=FEW)
    assert got.num_problems == 28


@pytest.mark.parametrize(
    ("changes", "error", "facts"),
    [
        ({"level": 1}, ConfigError, ("level", 1)),
        ({"num_resamples": 10}, ConfigError, ("num_resamples", 100, 10)),
        ({"steps_C": [0, 5]}, ConfigError, ("steps_C", 4)),
        ({"steps_C": [0, 5, 5, 6]}, ConfigError, ("steps_C",)),
        ({"method": np.zeros((2, 9))}, ShapeError, ("method_R_N",)),
        ({"method": np.zeros((3, 10))}, ShapeError, ("method_R_N",)),
        ({"reference": np.zeros((2, 10))}, ShapeError, ("reference_R_C_N",)),
        ({"method": np.full((2, 10), np.nan)}, DataError, (0,)),
        ({"method": np.full((2, 10), np.inf)}, DataError, ()),
    ],
)
def test_bad_input_is_named(changes, error, facts):
    names = ("method_pass", "method", "reference_pass", "reference")
    values = dict(zip(names, world(np.random.default_rng(0), 2, 10, 0.01), strict=True))
    options = {key: v for key, v in changes.items() if key not in names}
    values |= {key: v for key, v in changes.items() if key in names}
    with refused(error, *facts):
        matched_difference(*values.values(), **options)


def test_a_reference_of_one_checkpoint_or_other_problems_is_refused():
    method_pass, method, reference_pass, reference = world(np.random.default_rng(0), 2, 10, 0.01)
    with refused(ShapeError):
        matched_difference(method_pass, method, reference_pass[:, :1], reference[:, :1])
    with refused(ShapeError):
        matched_difference(method_pass, method, reference_pass[..., :9], reference[..., :9])
