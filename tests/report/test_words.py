"""The summary says what rose, what fell and what is within noise, and says it the right way round."""

import math
from dataclasses import replace

import numpy as np
import pytest

from polypath.report.analysis import AnalysisSettings, Comparison, Difference, compare
from polypath.report.words import join, summary
from tests.report.small_runs import drawn

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


def told(comparison: Comparison, *differences: Difference) -> str:
    return "\n".join(summary(replace(comparison, differences=differences)))


def test_a_real_comparison_is_told_in_full(comparison: Comparison):
    lines = summary(comparison)
    assert lines[0] == "base and worse on 30 shared problems."
    text = "\n".join(lines)
    assert "worse against base: pass@k fell at k = 1, 2, 4" in text
    assert "problems the base run solved with any sample" in text
    assert "these 30 problems could have shown a difference of" in text
    assert "nan" not in text


def test_several_k_are_told_together_by_verdict(comparison: Comparison):
    ladder = [
        difference(
            f"pass@{k}", verdict, group="correctness", higher_is="better", k=k, family="pass@k"
        )
        for k, verdict in [(1, "rose"), (2, "rose"), (8, "within noise"), (64, "fell")]
    ]
    text = told(comparison, *ladder)
    assert "pass@k rose at k = 1 and 2 (most at k = 1: +0.250, +0.125 to +0.375)" in text
    assert "pass@k fell at k = 64 (-0.250, -0.375 to -0.125)" in text
    assert "pass@k is within noise at k = 8" in text


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
    text = told(comparison, difference("thing", verdict, higher_is=higher_is))
    assert f"worse against base: {word} diverse by thing (" in text


def test_nothing_moved_is_said_so(comparison: Comparison):
    text = told(comparison, *(difference(f"m{i}", "within noise") for i in range(3)))
    assert "no measure of diversity moved beyond noise, of 3." in text


def test_many_quiet_measures_are_counted_few_are_named(comparison: Comparison):
    moved = difference("thing", "rose")
    few = told(comparison, moved, *(difference(f"m{i}", "within noise") for i in range(2)))
    assert "within noise: m0 and m1." in few
    many = told(comparison, moved, *(difference(f"m{i}", "within noise") for i in range(9)))
    assert "within noise: 9 others." in many


def test_undefined_differences_are_not_told(comparison: Comparison):
    text = told(
        comparison, difference("thing", "within noise", estimate=math.nan), difference("b", "rose")
    )
    assert "thing" not in text
    assert "nan" not in text


def test_what_could_have_been_shown_is_left_out_where_nothing_can_be_learned(
    comparison: Comparison,
):
    equal = difference("pass@1", "within noise", group="correctness", smallest_detectable=0.0)
    assert "could have shown" not in told(comparison, equal)
    assert "could have shown" in told(comparison, replace(equal, smallest_detectable=0.1))


def test_join():
    assert [join(list("abc"[:n])) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
