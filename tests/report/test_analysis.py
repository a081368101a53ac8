"""Analyses of one run: numbers checked by hand on small runs, and by direct computation."""

import math
from itertools import combinations

import numpy as np
import pytest

from polypath.errors import ConfigError, DataError
from polypath.metrics import (
    bootstrap_mean,
    count_ngrams,
    distinct_ngrams_per_text,
    distinct_ngrams_pooled,
    ngram_jaccard,
    pass_at_k_from_counts,
    self_bleu,
    vendi_score,
)
from polypath.report.analysis import analyse
from polypath.report.changes import expected_explore, expected_keep
from polypath.report.estimates import TOO_ALIKE
from polypath.report.measures import measure
from polypath.report.model import GROUPS
from polypath.report.prepared import NO_ANSWER, NO_VERDICT, Prepared
from polypath.report.settings import AnalysisSettings, choose_sizes
from tests.report.small_runs import FAST, drawn, rates, run_of, value


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


def test_samples_without_a_verdict_are_no_draws_for_solutions_and_majorities_either():
    verdicts = {"a": [1, None, 0], "b": [1, None, 1]}
    run = analyse(
        run_of(verdicts, answers={"a": "xyz", "b": "xyx"}),
        settings=AnalysisSettings(ks=(2,), num_resamples=100),
    )
    assert value(run, "distinct@2").estimate == 1  # the two verified samples hold x alone
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
    assert "1 of 2 problems" in metric.note


def test_k_beyond_every_problem_is_refused():
    with pytest.raises(DataError, match=r"run.* 3 .*k = 8"):
        analyse(run_of({"a": [1, 0, 1]}), settings=AnalysisSettings(ks=(8,)))


def test_without_verdicts_diversity_is_still_measured():
    run = analyse(run_of({"a": [None, None], "b": [None, None]}), settings=FAST)
    metric = value(run, "pass@1")
    assert math.isnan(metric.estimate)
    assert metric.note == NO_VERDICT
    assert value(run, "duplicates (all)").estimate == 0
    assert any(math.isfinite(m.estimate) for m in run.metrics if m.group == "text diversity")


def test_without_answers_the_note_says_so():
    run = analyse(run_of({"a": [1, 0]}, answers={"a": [None, None]}), settings=FAST)
    metric = value(run, "distinct@2")
    assert math.isnan(metric.estimate)
    assert metric.note == NO_ANSWER


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


def test_what_each_seed_of_one_name_leaves_out_is_told():
    seeds = [
        run_of({n: [1, 0] for n in problems}, name="method")
        for problems in ("abc", "abcde", "abcd")
    ]
    notes = [note for note in analyse(seeds, settings=FAST).notes if "left out" in note]
    assert [note.split()[2] for note in notes] == ["2", "1"]
    assert all("method" in note for note in notes)
    assert len(set(notes)) == 2


def test_interval_of_nearly_equal_problems_carries_a_warning():
    alike = {f"q{n}": [1, 1] for n in range(39)} | {"odd": [0, 0]}
    assert value(analyse(run_of(alike), settings=FAST), "pass@1").note == TOO_ALIKE
    varied = analyse(drawn(rates(60)), settings=FAST)
    assert value(varied, "pass@1").note == ""


def test_only_wanted_measures_are_computed():
    samples = drawn(rates(10))
    settings = AnalysisSettings(num_resamples=100)
    sizes, _ = choose_sizes([samples], settings)
    run = Prepared(samples, sizes, settings)
    every = {values.key: values for values in measure(run)}
    keys = ["pass@2", "majority@4", "potential@4", "distinct@8", "entropy (all)", "vendi (all)"]
    some = measure(run, keys.__contains__)
    assert [values.key for values in some] == keys
    for values in some:
        np.testing.assert_array_equal(values.top_N, every[values.key].top_N)


def test_keep_expected_under_resampling_is_what_fresh_samples_of_the_same_model_keep():
    p_N = np.array(rates(20_000))
    right_N = np.random.default_rng(0).binomial(8, p_N)
    pass_4_N, pass_8_N = pass_at_k_from_counts(np.full(20_000, 8), right_N, [4, 8]).T
    solved_N = 1 - (1 - p_N) ** 4
    truth = (solved_N**2).sum() / solved_N.sum()
    assert expected_keep(pass_4_N, pass_8_N) == pytest.approx(truth, abs=0.005)
    # Squaring the estimate would not do.
    assert (pass_4_N**2).sum() / pass_4_N.sum() > truth + 0.01


def test_explore_expected_under_resampling_is_what_fresh_samples_find():
    rng = np.random.default_rng(0)
    p_N, k = rng.beta(0.3, 2, size=50), 4
    solved_D_2_N = rng.random((20_000, 2, 50)) < 1 - (1 - p_N) ** k
    first, second = solved_D_2_N[:, 0], solved_D_2_N[:, 1]
    simulated = (~first & second).sum() / (~first).sum()
    exact = expected_explore(1 - (1 - p_N) ** k, 1 - (1 - p_N) ** (2 * k))
    assert exact == pytest.approx(simulated, abs=0.003)


def test_greedy_samples_give_the_papers_potential():
    correct = {"a": [1, 0], "b": [0, 1], "c": [0, 0], "d": [1, 1]}
    greedy = {"a": True, "b": False, "c": False, "d": None}
    run = analyse(run_of(correct, greedy=greedy), settings=AnalysisSettings(ks=(2,)))
    assert value(run, "greedy").estimate == pytest.approx(1 / 3)
    # Of the two problems greedy fails on, 2 samples solve b.
    assert value(run, "potential@2 (greedy)").estimate == pytest.approx(1 / 2)


def test_seeds_of_which_some_have_greedy_samples_keep_what_all_have():
    seeds = [run_of({"a": [1, 0]}, greedy={"a": True}), run_of({"a": [1, 1]})]
    run = analyse(seeds, settings=FAST)
    assert run.metric("greedy") is None
    assert value(run, "pass@1").estimate == 0.75
    assert value(run, "pass@2").estimate == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"ks": ()},
        {"ks": (0,)},
        {"level": 95.0},
        {"num_resamples": 10},
        {"seed": -1},
        {"text_samples": 1},
        {"correct_samples": 1},
    ],
)
def test_bad_settings_are_refused_with_their_name_and_value(bad: dict[str, object]):
    [(name, value)] = bad.items()
    with pytest.raises(ConfigError) as caught:
        AnalysisSettings(**bad)  # type: ignore[arg-type]
    assert name.removesuffix("s") in str(caught.value)
    assert str(value) in str(caught.value)
