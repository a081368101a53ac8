"""The summary says what rose, what fell and what is within noise, and says it the right way round."""

import math
from dataclasses import replace

import numpy as np
import pytest

from polypath.report.analysis import analyse, compare
from polypath.report.model import Comparison, Difference
from polypath.report.sentences import changes, join, problems, reading, shares, solutions, summary
from polypath.report.settings import AnalysisSettings
from tests.report.small_runs import drawn, run_of

FAST = AnalysisSettings(num_resamples=2_000)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    rates = np.linspace(0.05, 0.9, 30)
    return compare(
        drawn(rates.tolist(), name="base"),
        [drawn((rates / 4).tolist(), name="worse", seed=1)],
        settings=FAST,
    )


def difference(key: str, verdict: str, **changes: object) -> Difference:
    sign = {"rose": 1, "fell": -1}.get(verdict, 0)
    made = Difference(
        key=key,
        label=key,
        group="text diversity",
        over="all",
        higher_is="more diverse",
        run="worse",
        base="base",
        run_value=0.5,
        base_value=0.5,
        estimate=sign * 0.25,
        low=sign * 0.25 - 0.125,
        high=sign * 0.25 + 0.125,
        p_value=0.01,
        p_holm=0.01,
        smallest_detectable=0.1,
        verdict=verdict,
        num_problems=30,
    )
    return replace(made, **changes)


def told(comparison: Comparison, *differences: Difference) -> list[str]:
    """The sentences about measures alone."""
    empty = replace(comparison.flows[0], problems={}, expected_modes={})
    unknown = {"estimate": math.nan}
    shares_of = {name: replace(getattr(empty, name), **unknown) for name in ("keep", "explore")}
    return changes(differences, replace(empty, **shares_of))


def test_a_summary_names_the_runs_and_tells_every_change(comparison: Comparison):
    first, *lines = summary(comparison)
    assert "base and worse" in first
    assert "30" in first
    sentences = changes(comparison.differences, comparison.flows[0])
    assert lines == [f"worse against base: {sentence}" for sentence in sentences]
    assert len(lines) == 6
    assert "nan" not in " ".join(lines)


def test_numbers_in_sentences_are_those_of_the_flow(comparison: Comparison):
    [flow] = comparison.flows
    kept, lost, found = (flow.problems[name] for name in ("kept", "lost", "found"))
    numbers = [kept + lost, lost, found + flow.problems["unsolved"], found]
    assert [int(word) for word in problems(flow).split() if word.isdigit()] == numbers
    for name in ("kept", "lost", "lost by luck", "found"):
        assert f"{flow.expected_modes[name]:,.1f}" in solutions(flow)
    for metric in (flow.keep, flow.explore):
        assert f"{metric.estimate:.3f} [{metric.low:.3f}, {metric.high:.3f}]" in shares(flow)
    assert f"{flow.keep_by_luck:.3f}" in shares(flow)


def test_several_k_are_told_together_by_verdict(comparison: Comparison):
    ladder = [
        difference(
            f"pass@{k}", verdict, group="correctness", higher_is="better", k=k, family="pass@k"
        )
        for k, verdict in [(1, "rose"), (2, "rose"), (8, "within noise"), (64, "fell")]
    ]
    rose, fell, quiet = told(comparison, *ladder)[0].removesuffix(".").split("; ")
    assert rose.startswith("pass@k at k = 1 and 2 rose (")
    assert "+0.250 [+0.125, +0.375]" in rose
    assert fell == "pass@64 fell (-0.250 [-0.375, -0.125])"
    assert quiet == "pass@8 is within noise"


@pytest.mark.parametrize(
    ("higher_is", "verdict", "word"),
    [
        ("more diverse", "rose", "more"),
        ("more diverse", "fell", "less"),
        ("less diverse", "rose", "less"),
        ("less diverse", "fell", "more"),
    ],
)
def test_direction_of_a_measure_decides_what_a_rise_means(
    comparison: Comparison, higher_is: str, verdict: str, word: str
):
    [sentence] = told(comparison, difference("thing", verdict, higher_is=higher_is))
    assert sentence.lower().startswith(f"{word} diverse")
    assert "thing" in sentence


def test_measures_that_did_not_move_are_counted_when_they_are_many(comparison: Comparison):
    def quiet(number: int) -> list[Difference]:
        return [difference(f"m{i}", "within noise") for i in range(number)]

    [nothing] = told(comparison, *quiet(3))
    assert "3" in nothing
    moved = difference("thing", "rose")
    [few] = told(comparison, moved, *quiet(2))
    assert "m0 and m1" in few
    [many] = told(comparison, moved, *quiet(9))
    assert "9" in many
    assert "m0" not in many


def test_undefined_differences_are_not_told(comparison: Comparison):
    lines = told(
        comparison, difference("thing", "within noise", estimate=math.nan), difference("b", "rose")
    )
    assert "thing" not in " ".join(lines)


def test_the_detectable_effect_is_left_out_where_nothing_can_be_learned(comparison: Comparison):
    equal = difference(
        *("pass@1", "within noise"), group="correctness", family="pass@k", smallest_detectable=0.0
    )
    assert len(told(comparison, equal)) == 1
    [_, detectable] = told(comparison, replace(equal, smallest_detectable=0.125))
    assert "0.125" in detectable


def test_reading_counts_what_was_read_and_what_was_left_out():
    run = analyse(run_of({"a": [1, None, 0], "b": [1, 1, 1]}), settings=FAST)
    assert reading(run) == "2 problems, 6 samples (5 verified)"
    samples = replace(run_of({"a": [1, 0]}), left_out={"not JSON": 2, "duplicate sample": 1})
    assert reading(analyse(samples, settings=FAST)) == (
        "1 problem, 2 samples; left out 3 rows: 2 not JSON, 1 duplicate sample"
    )
    seeds = [run_of({"a": [1, 0]}), run_of({"a": [1, 0]})]
    assert "4 samples in 2 seeds" in reading(analyse(seeds, settings=FAST))


def test_join():
    assert [join(list("abc"[:n])) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
