"""Comparisons of runs: numbers checked by hand on small runs, and by direct computation."""

import math
from dataclasses import replace

import numpy as np
import pytest

from polypath.errors import ConfigError, DataError
from polypath.metrics import (
    bootstrap_ratio,
    paired_difference,
    seed_difference,
    smallest_detectable,
)
from polypath.report.analysis import _fit_lines, analyse, compare
from polypath.report.model import Comparison, Metric, RunAnalysis
from polypath.report.settings import AnalysisSettings
from tests.report.small_runs import FAST, drawn, rates, run_of, value


def three_compared(workers: int = 1) -> Comparison:
    base, new, old = (
        drawn(rates(40, shift), name=name, seed=i)
        for i, (name, shift) in enumerate([("base", 0.0), ("new", 0.2), ("old", -0.3)])
    )
    return compare(base, [new, old], settings=FAST, workers=workers)


@pytest.fixture(scope="module")
def three() -> Comparison:
    return three_compared()


def test_seeds_that_differ_widen_the_interval():
    seeds = [drawn(rates(40, shift), seed=i) for i, shift in enumerate([-0.3, 0.0, 0.3])]
    pooled = value(analyse(seeds, settings=FAST), "pass@1")
    widths = [
        m.high - m.low for m in (value(analyse(seed, settings=FAST), "pass@1") for seed in seeds)
    ]
    assert pooled.high - pooled.low > max(widths)
    base = drawn(rates(40), name="base", seed=9)
    (found, *_) = compare(base, [seeds], settings=FAST).differences
    shares_R_N = [[np.mean(row) for row in seed.correct] for seed in seeds]
    expected = seed_difference(shares_R_N, [[np.mean(row) for row in base.correct]])
    assert (found.estimate, found.low, found.high, found.p_value, found.smallest_detectable) == (
        pytest.approx(
            (
                expected.estimate,
                expected.low,
                expected.high,
                expected.p_value,
                expected.smallest_detectable,
            )
        )
    )


def test_smallest_detectable_is_that_of_the_paired_differences():
    base, run = (drawn(rates(30), name=name, seed=i) for i, name in enumerate(["base", "new"]))
    (found, *_) = compare(base, [run], settings=FAST).differences
    a, b = ([np.mean(row) for row in samples.correct] for samples in (run, base))
    assert found.smallest_detectable == pytest.approx(float(smallest_detectable(a, b)))


def test_differences_are_paired_by_problem_whatever_the_order():
    base = run_of({"a": [1, 0], "b": [0, 0], "c": [1, 1], "d": [0, 1]}, name="base")
    run = run_of({"d": [1, 1], "c": [1, 1], "b": [0, 1], "a": [0, 0]}, name="new")
    (found, *_) = compare(base, [run], settings=FAST).differences
    expected = paired_difference(
        [0, 0.5, 1, 1], [0.5, 0, 1, 0.5], num_resamples=500
    )  # in the order of base
    assert found.key == "pass@1"
    assert found.estimate == pytest.approx((-0.5 + 0.5 + 0 + 0.5) / 4)
    assert (found.run_value, found.base_value) == pytest.approx((2.5 / 4, 2 / 4))
    assert (found.low, found.high) == pytest.approx((float(expected.low), float(expected.high)))
    assert found.p_value == pytest.approx(float(expected.p_value))


def test_every_difference_is_run_minus_base(three: Comparison):
    for d in three.differences:
        assert d.estimate == pytest.approx(d.run_value - d.base_value, nan_ok=True), d.key
        if math.isfinite(d.estimate):
            assert d.low <= d.estimate <= d.high, d.key


def test_values_of_differences_are_those_of_the_runs_where_no_problem_is_left_out(
    three: Comparison,
):
    compared = 0
    for d in three.differences_of("new"):
        mine, theirs = value(three.runs[0], d.key), value(three.base, d.key)
        if mine.num_problems == theirs.num_problems == 40:
            assert d.run_value == pytest.approx(mine.estimate), d.key
            assert d.base_value == pytest.approx(theirs.estimate), d.key
            compared += 1
    assert compared > 8


def test_interval_of_a_potential_difference_is_that_of_resampled_ratios(three: Comparison):
    def parts(run: RunAnalysis) -> tuple[np.ndarray, np.ndarray]:
        n, c = run.samples.num_samples_N, run.samples.num_correct_N
        pass_1 = c / n
        wrong = np.array([math.comb(int(a - b), 5) / math.comb(int(a), 5) for a, b in zip(n, c)])  # noqa: B905
        return (1 - wrong) - pass_1, 1 - pass_1  # k = 4: pass@5 - pass@1

    d = next(d for d in three.differences_of("new") if d.key == "potential@4")
    rng = np.random.default_rng(0)
    (top_a, bottom_a), (top_b, bottom_b) = parts(three.runs[0]), parts(three.base)
    draws = rng.integers(0, 40, size=(4000, 40))
    ratios = top_a[draws].sum(1) / bottom_a[draws].sum(1) - (
        top_b[draws].sum(1) / bottom_b[draws].sum(1)
    )
    assert d.estimate == pytest.approx(top_a.sum() / bottom_a.sum() - top_b.sum() / bottom_b.sum())
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert (d.low, d.high) == pytest.approx((low, high), abs=0.04)
    base = value(three.base, "potential@4")
    direct = bootstrap_ratio(top_b, bottom_b, num_resamples=500)
    assert (base.low, base.high) == pytest.approx((float(direct.low), float(direct.high)))


def test_difference_curve_is_that_of_the_differences(three: Comparison):
    for flow in three.flows:
        found = {d.k: d for d in three.differences_of(flow.run) if d.family == "pass@k"}
        curve = flow.difference_curve
        assert curve.ks == (1, 2, 3, 4, 6, 8)
        for k, *ends in zip(curve.ks, curve.estimate, curve.low, curve.high, strict=True):
            if k in found:
                d = found[k]
                assert ends == pytest.approx([d.estimate, d.low, d.high])


def test_small_but_certain_differences_rise():
    base = run_of({f"q{n}": [1, 0, 0, 0, 0, 0, 0, 0] for n in range(40)}, name="base")
    run = run_of({f"q{n}": [1, n % 2, 0, 0, 0, 0, 0, 0] for n in range(40)}, name="new")
    settings = AnalysisSettings(num_resamples=2_000)
    for a, b, verdict in ((base, run, "rose"), (run, base, "fell")):
        found = compare(a, [b], settings=settings).differences[0]
        assert abs(found.estimate) == pytest.approx(1 / 16)
        assert found.verdict == verdict


def test_holm_is_over_the_ks_of_one_measure(three: Comparison):
    of_pass = [d for d in three.differences_of("old") if d.key.startswith("pass@")]
    ordered = sorted(of_pass, key=lambda d: d.p_value)
    expected = np.maximum.accumulate(
        [min(1.0, (len(ordered) - i) * d.p_value) for i, d in enumerate(ordered)]
    )
    assert [d.p_holm for d in ordered] == pytest.approx(expected.tolist())
    alone = [d for d in three.differences if d.key.startswith("potential@")]
    assert all(d.p_holm == d.p_value for d in alone)


def test_verdict_follows_the_corrected_p(three: Comparison):
    verdicts = {d.verdict for d in three.differences}
    assert verdicts == {"rose", "fell", "within noise"}
    for d in three.differences:
        if d.verdict == "within noise":
            assert not d.p_holm < 0.05
        else:
            assert d.p_holm < 0.05
            assert (d.estimate > 0) == (d.verdict == "rose")


def test_a_run_against_a_copy_of_itself_shows_nothing():
    base = drawn(rates(15), name="base")
    comparison = compare(base, [drawn(rates(15), name="copy")], settings=FAST)
    for d in comparison.differences:
        assert math.isnan(d.estimate) or (d.estimate, d.verdict) == (0, "within noise")
    (flow,) = comparison.flows
    assert flow.problems["lost"] == flow.problems["found"] == 0
    assert flow.modes["lost"] == flow.modes["found"] == 0


def test_problems_are_kept_lost_found_and_unsolved():
    base = run_of({"a": [1, 0], "b": [0, 1], "c": [0, 0], "d": [0, 0], "e": [1, 1]}, name="base")
    run = run_of(
        {"a": [1, 1], "b": [0, 0], "c": [1, 0], "d": [0, 0], "e": [None, None]}, name="new"
    )
    (flow,) = compare(base, [run], settings=FAST).flows
    assert flow.status_N == ("kept", "lost", "found", "unsolved", "unjudged")
    assert flow.problems == {"kept": 1, "lost": 1, "found": 1, "unsolved": 1, "unjudged": 1}


def test_solutions_kept_lost_and_found_by_hand():
    base = run_of({"a": [1, 1], "b": [0, 0]}, name="base", answers={"a": "xy", "b": "pq"})
    run = run_of({"a": [1, 1], "b": [1, 0]}, name="new", answers={"a": "xz", "b": "pq"})
    (flow,) = compare(base, [run], settings=FAST).flows
    assert flow.modes == {"kept": 1, "lost": 1, "found": 2}
    # One sample of each: of a's four pairs of draws one has x in both; b's p is drawn half the time.
    assert flow.k == 1
    assert flow.expected_modes["kept"] == pytest.approx(1 / 4)
    assert flow.expected_modes["lost"] == pytest.approx(3 / 4)
    assert flow.expected_modes["found"] == pytest.approx(3 / 4 + 1 / 2)
    # The base's two samples differ, so another draw of it never repeats the first.
    assert flow.expected_modes["lost by luck"] == pytest.approx(1)


def test_keep_and_explore_at_1_by_hand():
    base = run_of({"a": [1, 1], "b": [1, 0], "c": [0, 0], "d": [0, 0]}, name="base")
    run = run_of({"a": [1, 1], "b": [0, 0], "c": [1, 0], "d": [0, 0]}, name="new")
    (flow,) = compare(base, [run], settings=FAST).flows
    assert flow.k == 1
    assert flow.keep.estimate == pytest.approx((1 * 1 + 0.5 * 0) / 1.5)
    assert flow.explore.estimate == pytest.approx((0.5 * 0 + 1 * 0.5 + 1 * 0) / 2.5)
    # Two fresh draws both solve: a always, b never (its two samples differ).
    assert flow.keep_by_luck == pytest.approx((1 + 0) / 1.5)


def test_only_shared_problems_are_compared_and_the_others_counted():
    base = run_of({"a": [1, 1], "b": [0, 0], "only base": [1, 1]}, name="base")
    run = run_of({"b": [1, 0], "a": [1, 1], "x": [0, 0], "y": [0, 0]}, name="new")
    comparison = compare(base, [run], settings=FAST)
    assert comparison.num_shared_problems == 2
    assert comparison.base.samples.problem_ids == ("a", "b")
    assert comparison.runs[0].samples.problem_ids == ("a", "b")
    assert comparison.not_shared == {"base": 1, "new": 2}
    assert value(comparison.base, "pass@1").estimate == 0.5


def test_runs_without_a_shared_problem_are_refused():
    with pytest.raises(DataError, match=r"base.*new.*'a'.*'z'"):
        compare(run_of({"a": [1]}, name="base"), [run_of({"z": [1]}, name="new")])


def test_workers_change_no_number(three: Comparison):
    beside = three_compared(workers=2)
    assert repr(beside.differences) == repr(three.differences)
    assert repr([r.metrics for r in beside.runs]) == repr([r.metrics for r in three.runs])


def test_runs_of_one_name_and_no_run_at_all_are_refused():
    with pytest.raises(ConfigError, match="'run'"):
        compare(run_of({"a": [1]}), [run_of({"a": [1]})])
    with pytest.raises(ConfigError, match="one more run"):
        compare(run_of({"a": [1]}), [])


def test_runs_of_different_sample_counts_are_measured_at_the_same_k():
    base = drawn(rates(20), name="base", num_samples=32)
    run = drawn(rates(20), name="new", num_samples=6, seed=1)
    comparison = compare(base, [run], settings=FAST)
    assert comparison.base.ks == comparison.runs[0].ks == (1, 2, 4, 6)
    assert any("k stops at 6" in note for note in comparison.notes)
    assert {m.k for m in comparison.base.metrics} == {m.k for m in comparison.runs[0].metrics}


def test_fits_are_least_squares_lines_over_the_runs(three: Comparison):
    assert three.fits
    for fit in three.fits:
        assert fit.names == ("base", "new", "old")
        slope, intercept = np.polyfit(fit.x, fit.y, 1)
        assert (fit.slope, fit.intercept) == pytest.approx((slope, intercept))
        assert fit.r_squared == pytest.approx(np.corrcoef(fit.x, fit.y)[0, 1] ** 2)
        assert 0 <= fit.r_squared <= 1 + 1e-12


def test_runs_alike_but_for_rounding_have_no_fit():
    three_of = np.array([0.1, 0.1, 0.1])
    assert three_of.mean() != 0.1  # rounding gives a spread that is none
    runs = [
        run_of({f"q{n}": [n < i + 1, *[0] * 8] for n in range(4)}, name=f"run {i}")
        for i in range(3)
    ]
    found = compare(runs[0], runs[1:], settings=FAST)
    metric = next(m for m in found.base.metrics if m.key == "duplicates (all)")
    same = [
        replace(run, metrics=_with(run, replace(metric, estimate=0.1))) for run in found.everyone
    ]
    (fit,) = [fit for fit in _fit_lines(same) if fit.key == metric.key]
    assert fit.x == (0.1, 0.1, 0.1)
    assert len(set(fit.y)) == 3
    assert np.isnan([fit.slope, fit.intercept, fit.r_squared]).all()


def _with(run: RunAnalysis, metric: Metric) -> tuple[Metric, ...]:
    return tuple(metric if m.key == metric.key else m for m in run.metrics)


def test_two_runs_are_too_few_for_a_fit():
    runs = [drawn(rates(10), name=name) for name in ("base", "new")]
    assert compare(runs[0], runs[1:], settings=FAST).fits == ()


def test_fits_use_the_papers_potential_where_all_runs_have_greedy_samples():
    runs = [
        run_of(
            {"a": [1, 0, i, 1], "b": [0, 1, 0, 0], "c": [0, 0, i > 1, 0]},
            name=f"run {i}",
            greedy={"a": i > 0, "b": False, "c": False},
        )
        for i in range(3)
    ]
    fits = compare(runs[0], runs[1:], settings=FAST).fits
    assert {fit.potential_key for fit in fits} == {"potential@2 (greedy)"}
    without = [replace(run, greedy_correct=None) for run in runs[1:]]
    fits = compare(runs[0], without, settings=FAST).fits
    assert {fit.potential_key for fit in fits} == {"potential@2"}
