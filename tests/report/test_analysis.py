"""Analyses and comparisons: numbers checked by hand on small runs, and by direct computation."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from polypath.errors import ConfigError, DataError
from polypath.metrics import (
    bootstrap_mean,
    bootstrap_ratio,
    count_ngrams,
    distinct_ngrams_per_text,
    distinct_ngrams_pooled,
    ngram_jaccard,
    paired_difference,
    pass_at_k_from_counts,
    seed_difference,
    self_bleu,
    smallest_detectable,
    vendi_score,
)
from polypath.report.analysis import (
    GROUPS,
    AnalysisSettings,
    Comparison,
    Metric,
    RunAnalysis,
    analyse,
    compare,
)
from polypath.report.flows import keep_by_luck
from tests.report.small_runs import drawn, run_of

FAST = AnalysisSettings(num_resamples=500)


def value(run: RunAnalysis, key: str) -> Metric:
    metric = run.metric(key)
    assert metric is not None, f"no {key} in {[m.key for m in run.metrics]}"
    return metric


def rates(num_problems: int, shift: float = 0.0) -> list[float]:
    rng = np.random.default_rng(7)
    return np.clip(rng.beta(0.5, 0.8, num_problems) + shift, 0, 1).tolist()


def three_compared(workers: int = 1) -> Comparison:
    base, new, old = (
        drawn(rates(40, shift), name=name, seed=i)
        for i, (name, shift) in enumerate([("base", 0.0), ("new", 0.2), ("old", -0.3)])
    )
    return compare(base, [new, old], settings=FAST, workers=workers)


@pytest.fixture(scope="module")
def three() -> Comparison:
    return three_compared()


def test_pass_at_k_is_the_mean_over_problems_of_the_share_of_draws_that_solve():
    run = analyse(run_of({"a": [1, 0, 0, 0], "b": [1, 1, 1, 0]}), settings=FAST)
    assert value(run, "pass@1").estimate == pytest.approx((1 / 4 + 3 / 4) / 2)
    # Of the 6 pairs of a's samples 3 hold the correct one; every pair of b's does.
    assert value(run, "pass@2").estimate == pytest.approx((3 / 6 + 1) / 2)
    assert value(run, "pass@4").estimate == 1
    assert run.ks == (1, 2, 4)


def test_distinct_solutions_are_counted_over_all_draws_of_the_samples():
    answers = ["x", "x", "y", "z"]
    run = analyse(run_of({"a": [1, 1, 1, 0]}, answers={"a": answers}), settings=FAST)
    draws = [{answers[i] for i in pair if i < 3} for pair in combinations(range(4), 2)]
    by_hand = np.mean([len(draw) for draw in draws])
    assert value(run, "distinct@2").estimate == pytest.approx(by_hand)
    assert value(run, "distinct@4").estimate == 2


def test_repeats_among_correct_answers_are_those_of_a_draw_of_equal_size():
    answers = ["x", "x", "x", "y", "wrong"]
    run = analyse(
        run_of({"a": [1, 1, 1, 1, 0]}, answers={"a": answers}),
        settings=AnalysisSettings(correct_samples=2, num_resamples=100),
    )
    pairs = list(combinations(answers[:4], 2))
    by_hand = np.mean([1 - len(set(pair)) / 2 for pair in pairs])
    assert value(run, "duplicates (correct)").estimate == pytest.approx(by_hand)


def test_texts_are_measured_over_all_and_over_the_correct_ones():
    texts = [
        "so x = 2 and then 3 + 4 = 7 in all",
        "so x = 2 and then 3 + 5 = 8 in all",
        "we add 3 + 4 = 7 to get what is asked",
        "nothing but words here, and no equation",
    ]
    run = analyse(
        run_of({"a": [1, 0, 1, 1]}, texts={"a": texts}),
        settings=AnalysisSettings(correct_samples=3, num_resamples=100),
    )
    for over, chosen in (("all", texts), ("correct", [texts[0], *texts[2:]])):
        counts = count_ngrams(chosen)
        similarity = ngram_jaccard(counts)
        expected = {
            "self_bleu_diversity": 1 - self_bleu(counts),
            "ngrams_pooled": distinct_ngrams_pooled(counts),
            "ngrams_per_text": distinct_ngrams_per_text(counts),
            "vendi": float(vendi_score(similarity[None])[0]),
            "distance": 1 - (similarity.sum() - len(chosen)) / (len(chosen) * (len(chosen) - 1)),
        }
        for key, number in expected.items():
            assert value(run, f"{key} ({over})").estimate == pytest.approx(number), key
    assert value(run, "div_equ (all)").estimate == pytest.approx(3 / 5)
    assert value(run, "div_equ (correct)").estimate == pytest.approx(2 / 3)


def test_intervals_are_those_of_the_bootstrap_over_problems():
    samples = drawn(rates(30))
    run = analyse(samples, settings=FAST)
    shares_N = [np.mean(row) for row in samples.correct]
    expected = bootstrap_mean(shares_N, num_resamples=500)
    metric = value(run, "pass@1")
    assert (metric.estimate, metric.low, metric.high) == pytest.approx(
        (float(expected.estimate), float(expected.low), float(expected.high))
    )


def test_samples_without_a_verdict_are_no_samples_not_wrong_ones():
    run = analyse(run_of({"a": [1, None, None, 0], "b": [0, 0, None, None]}), settings=FAST)
    assert value(run, "pass@1").estimate == pytest.approx((1 / 2 + 0) / 2)
    assert run.ks == (1, 2)
    assert (run.num_samples, run.num_judged) == (8, 4)


def test_unjudged_samples_are_no_draws_for_solutions_and_majorities_either():
    verdicts = {"a": [1, None, 0], "b": [1, None, 1]}
    run = analyse(
        run_of(verdicts, answers={"a": "xyz", "b": "xyx"}),
        settings=AnalysisSettings(ks=(2,), num_resamples=100),
    )
    assert value(run, "distinct@2").estimate == 1  # the two judged samples hold x alone
    assert value(run, "pass^2").estimate == 0.5
    assert value(run, "majority@2").estimate == pytest.approx((1 / 2 + 1) / 2)  # a's is a tie


def test_problem_without_any_verdict_is_left_out_and_counted():
    run = analyse(run_of({"a": [1, 0], "b": [None, None], "c": [1, 1]}), settings=FAST)
    metric = value(run, "pass@2")
    assert (metric.estimate, metric.num_problems) == (1.0, 2)
    assert "1 of 3 problems" in metric.note


def test_k_stops_at_the_fewest_samples_and_says_which_problem():
    run = analyse(run_of({"a": [1] * 8, "short": [0, 1, 0]}), settings=FAST)
    assert run.ks == (1, 2, 3)
    assert any("k stops at 3" in note and "'short'" in note for note in run.notes)


def test_asked_for_k_leaves_out_the_problems_with_fewer_samples():
    settings = AnalysisSettings(ks=(1, 8), num_resamples=100)
    run = analyse(run_of({"a": [1] + [0] * 7, "short": [0, 0, 0]}), settings=settings)
    assert value(run, "pass@1").num_problems == 2
    metric = value(run, "pass@8")
    assert (metric.estimate, metric.num_problems) == (1.0, 1)
    assert "left out 1 of 2 problems with fewer than 8" in metric.note


def test_k_beyond_every_problem_is_refused():
    with pytest.raises(DataError, match=r"at most 3 judged samples.*k = 8"):
        analyse(run_of({"a": [1, 0, 1]}), settings=AnalysisSettings(ks=(8,)))


def test_without_verdicts_diversity_is_still_measured():
    run = analyse(run_of({"a": [None, None], "b": [None, None]}), settings=FAST)
    metric = value(run, "pass@1")
    assert math.isnan(metric.estimate)
    assert "no sample has a verdict" in metric.note
    assert value(run, "duplicates (all)").estimate == 0
    assert any(math.isfinite(m.estimate) for m in run.metrics if m.group == "text diversity")


def test_without_answers_the_note_says_so():
    run = analyse(run_of({"a": [1, 0]}, answers={"a": [None, None]}), settings=FAST)
    metric = value(run, "distinct@2")
    assert math.isnan(metric.estimate)
    assert "no sample has an answer" in metric.note


def test_order_and_company_of_problems_do_not_matter():
    samples = drawn(rates(12), num_samples=20)
    settings = AnalysisSettings(num_resamples=100, text_samples=4)
    run = analyse(samples, settings=settings)
    turned = analyse(samples.subset(samples.problem_ids[::-1]), settings=settings)
    for metric in run.metrics:
        assert value(turned, metric.key).estimate == pytest.approx(metric.estimate, nan_ok=True)


def test_same_seed_same_numbers_other_seed_other_intervals():
    samples = drawn(rates(20))
    run, again = (analyse(samples, settings=FAST) for _ in range(2))
    assert [repr(m) for m in run.metrics] == [repr(m) for m in again.metrics]
    other = analyse(samples, settings=AnalysisSettings(num_resamples=500, seed=1))
    assert value(other, "pass@1").estimate == value(run, "pass@1").estimate
    assert value(other, "pass@1").low != value(run, "pass@1").low


def test_wider_level_wider_interval():
    samples = drawn(rates(20))
    narrow = value(analyse(samples, settings=AnalysisSettings(level=0.5)), "pass@1")
    wide = value(analyse(samples, settings=AnalysisSettings(level=0.99)), "pass@1")
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_groups_can_be_measured_one_by_one():
    samples = drawn(rates(10))
    whole = analyse(samples, settings=FAST)
    for group in GROUPS:
        part = analyse(samples, settings=FAST, groups=[group])
        assert [repr(m) for m in part.metrics] == [
            repr(m) for m in whole.metrics if m.group == group
        ]
    with pytest.raises(ConfigError, match=r"'correctnes'.*'correctness'"):
        analyse(samples, groups=["correctnes"])


def test_seeds_of_one_method_average():
    seeds = [run_of({"a": [1, 1], "b": [0, 0]}), run_of({"b": [0, 1], "a": [0, 1]})]
    run = analyse(seeds, settings=FAST)
    assert value(run, "pass@1").estimate == pytest.approx((1 + 0 + 0.5 + 0.5) / 4)
    assert value(run, "pass@2").estimate == pytest.approx((1 + 0 + 1 + 1) / 4)
    assert run.ks == (1, 2)  # of one seed, not of both together
    assert run.num_seeds == 2
    assert run.samples.correct[0] == (True, True, False, True)


def test_seeds_that_differ_widen_the_interval():
    seeds = [drawn(rates(40, shift), seed=i) for i, shift in enumerate([-0.3, 0.0, 0.3])]
    pooled = value(analyse(seeds, settings=FAST), "pass@1")
    widths = [
        m.high - m.low for m in (value(analyse(seed, settings=FAST), "pass@1") for seed in seeds)
    ]
    assert pooled.high - pooled.low > max(widths)
    base = drawn(rates(40), name="base", seed=9)
    (found, *_) = compare(base, [seeds], settings=FAST).differences
    shares_S_N = [[np.mean(row) for row in seed.correct] for seed in seeds]
    expected = seed_difference(shares_S_N, [[np.mean(row) for row in base.correct]])
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


def test_interval_of_nearly_equal_problems_carries_a_warning():
    alike = {f"q{n}": [1, 1] for n in range(39)} | {"odd": [0, 0]}
    assert "likely too short" in value(analyse(run_of(alike), settings=FAST), "pass@1").note
    varied = analyse(drawn(rates(60)), settings=FAST)
    assert value(varied, "pass@1").note == ""


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


def test_keep_by_luck_is_what_fresh_samples_of_the_same_model_keep():
    p_N = np.array(rates(20_000))
    right_N = np.random.default_rng(0).binomial(8, p_N)
    pass_4_N, pass_8_N = pass_at_k_from_counts(np.full(20_000, 8), right_N, [4, 8]).T
    solved_N = 1 - (1 - p_N) ** 4
    truth = (solved_N**2).sum() / solved_N.sum()
    assert keep_by_luck(pass_4_N, pass_8_N) == pytest.approx(truth, abs=0.005)
    # Squaring the estimate would not do.
    assert (pass_4_N**2).sum() / pass_4_N.sum() > truth + 0.01


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
    with pytest.raises(DataError, match=r"base and new share no problem.*'a'.*'z'"):
        compare(run_of({"a": [1]}, name="base"), [run_of({"z": [1]}, name="new")])


def test_workers_change_no_number(three: Comparison):
    beside = three_compared(workers=2)
    assert repr(beside.differences) == repr(three.differences)
    assert repr([r.metrics for r in beside.runs]) == repr([r.metrics for r in three.runs])


def test_runs_of_one_name_and_no_run_at_all_are_refused():
    with pytest.raises(ConfigError, match="called 'run'"):
        compare(run_of({"a": [1]}), [run_of({"a": [1]})])
    with pytest.raises(ConfigError, match="at least one more"):
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


def test_two_runs_are_too_few_for_a_fit():
    runs = [drawn(rates(10), name=name) for name in ("base", "new")]
    assert compare(runs[0], runs[1:], settings=FAST).fits == ()


def test_greedy_samples_give_the_papers_potential():
    correct = {"a": [1, 0], "b": [0, 1], "c": [0, 0], "d": [1, 1]}
    greedy = {"a": True, "b": False, "c": False, "d": None}
    run = analyse(run_of(correct, greedy=greedy), settings=AnalysisSettings(ks=(2,)))
    assert value(run, "greedy").estimate == pytest.approx(1 / 3)
    # Of the two problems greedy fails on, 2 samples solve b.
    assert value(run, "potential@2 (greedy)").estimate == pytest.approx(1 / 2)


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


def test_seeds_of_which_some_have_greedy_samples_keep_what_all_have():
    seeds = [run_of({"a": [1, 0]}, greedy={"a": True}), run_of({"a": [1, 1]})]
    run = analyse(seeds, settings=FAST)
    assert run.metric("greedy") is None
    assert value(run, "pass@1").estimate == 0.75
    assert value(run, "pass@2").estimate == 1


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"ks": ()}, "k must be"),
        ({"ks": (0,)}, "at least 1"),
        ({"level": 95.0}, "0.95"),
        ({"num_resamples": 10}, "100"),
        ({"seed": -1}, "seed"),
        ({"text_samples": 1}, "text_samples"),
        ({"correct_samples": 1}, "correct_samples"),
    ],
)
def test_bad_settings_are_refused(bad: dict[str, object], words: str):
    with pytest.raises(ConfigError, match=words):
        AnalysisSettings(**bad)  # type: ignore[arg-type]
