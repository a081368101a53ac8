"""The summary says what rose, what fell and what is within noise, and says it the right way round."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from polypath.report.analysis import analyse, compare
from polypath.report.crossings import crossing_sentence
from polypath.report.model import Comparison, Difference
from polypath.report.sentences import (
    changes,
    closing,
    headline,
    headlines,
    join,
    one_seed,
    problems,
    reading,
    shares,
    solutions,
)
from polypath.report.settings import AnalysisSettings
from polypath.report.table import differences_table
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
    empty = replace(comparison.flows[0], problems={}, expected_modes={}, crossing=None)
    unknown = {"estimate": math.nan}
    shares_of = {name: replace(getattr(empty, name), **unknown) for name in ("keep", "explore")}
    return changes(differences, replace(empty, **shares_of))


def test_a_summary_begins_with_what_a_reader_would_forward(comparison: Comparison):
    (first, limit), last = headlines(comparison), closing(comparison)
    passed = comparison.differences[0]
    distinct = [d for d in comparison.differences if d.family == "distinct@k"][-1]
    assert first.startswith("worse against base: ")
    for d, places in ((passed, 2), (distinct, 1)):
        assert d.verdict == "fell"
        before, after = (f"{v:.{places}f}".lstrip("0") for v in (d.base_value, d.run_value))
        assert f"fell from {before} to {after}" in first.replace(" 0.", " .")
    assert "pass@1" in first
    assert "in 8" in first
    assert [limit] == one_seed(comparison)
    [flow] = comparison.flows
    crossed = crossing_sentence(flow.crossing)
    assert "at every k up to 8" in crossed
    told = f"{crossed} {problems(flow)} {solutions(flow)} {shares(flow)}"
    assert last == [f"worse against base: {told}"]
    assert "nan" not in " ".join([first, limit, *last])


def of_pass(verdict: str, **changes: object) -> Difference:
    about = {"group": "correctness", "higher_is": "better", "k": 1, "family": "pass@k"}
    return difference("pass@1", verdict, **(about | changes))


def test_a_change_within_noise_is_said_to_be_none_with_both_levels():
    said = headline([of_pass("within noise", base_value=0.36, run_value=0.38)])
    assert re.findall(r"\.\d+", said) == [".36", ".38"]
    assert "rose" not in said
    assert "not" in said
    moved = headline([of_pass("rose", base_value=0.3601, run_value=0.3638)])
    assert re.findall(r"\.\d+", moved) == [".360", ".364"]  # as many digits as tell them apart


def test_a_headline_without_numbers_says_why():
    nan = math.nan
    [unknown] = [of_pass("within noise", estimate=nan, run_value=nan, note="no verdict")]
    assert "no verdict" in headline([unknown])
    alone = headline([of_pass("within noise", low=nan, high=nan, base_value=0.0, run_value=1.0)])
    assert "interval" in alone
    assert "did not change" not in alone
    same = headline([of_pass("within noise", estimate=0.0, smallest_detectable=0.0)])
    assert "nothing varied" in same
    assert "nan" not in " ".join((headline([]), headline([unknown]), alone))


def test_one_training_run_is_named_as_a_limit(comparison: Comparison):
    def of_seeds(base: int, *others: int) -> list[str]:
        runs = [
            replace(comparison.runs[0], name=f"run {n}", num_seeds=seeds)
            for n, seeds in enumerate(others)
        ]
        base_run = replace(comparison.base, num_seeds=base)
        return one_seed(replace(comparison, base=base_run, runs=tuple(runs)))

    assert of_seeds(2, 3) == []
    [mixed] = of_seeds(2, 1, 3)
    assert "run 0" in mixed
    assert "run 1" not in mixed
    assert all("not in the interval" in of_seeds(*seeds)[0] for seeds in ((1, 1), (1, 3), (3, 1)))


def test_what_closes_is_shorter_than_the_table_and_repeats_none_of_it(comparison: Comparison):
    told = " ".join(closing(comparison))
    table = differences_table(comparison, comparison.runs[0])
    assert len(told) < sum(len(cell.whole) for row in table.cells() for cell in row)
    assert not any(d.label in told for d in comparison.differences)


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


def test_where_nothing_varied_the_detectable_effect_is_not_a_number(comparison: Comparison):
    equal = difference(
        *("pass@1", "within noise"), group="correctness", family="pass@k", smallest_detectable=0.0
    )
    for smallest in (0.0, 1e-17):
        [_, nothing] = told(comparison, replace(equal, smallest_detectable=smallest))
        assert "nothing varied" in nothing
        assert "0.0" not in nothing
    [_, detectable] = told(comparison, replace(equal, smallest_detectable=0.125))
    assert "0.125" in detectable


def test_reading_counts_what_was_read_and_what_was_left_out():
    run = analyse(run_of({"a": [1, None, 0], "b": [1, 1, 1]}), settings=FAST)
    assert reading(run) == "2 problems, 6 samples (5 verified)"
    samples = replace(
        run_of({"a": [1, 0]}),
        left_out={"not JSON": 2, "duplicate sample": 1},
        left_out_at={"not JSON": ("line 7 of r.jsonl",)},
    )
    assert reading(analyse(samples, settings=FAST)) == (
        "1 problem, 2 samples; left out 3 rows: 2 not JSON (line 7 of r.jsonl, ...); 1 duplicate sample"
    )
    seeds = [run_of({"a": [1, 0]}), run_of({"a": [1, 0]})]
    assert "4 samples in 2 seeds" in reading(analyse(seeds, settings=FAST))


def test_join():
    assert [join(list("abc"[:n])) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
