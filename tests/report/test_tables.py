"""Tables, JSON and CSV hold the numbers of the analysis, and nothing that is not one."""

import csv
import io
import json
import math

import numpy as np
import pytest
from rich.console import Console

from polypath.report.analysis import AnalysisSettings, Comparison, analyse, compare
from polypath.report.tables import (
    analysis_record,
    comparison_record,
    differences_csv,
    flow_lines,
    metrics_csv,
    number,
    plain,
    print_comparison,
    print_metrics,
    reading,
)
from tests.report.small_runs import drawn, run_of

FAST = AnalysisSettings(num_resamples=200)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    rates = np.linspace(0, 1, 20).tolist()
    base = drawn(rates, name="base")
    return compare(base, [drawn(rates[::-1], name="new", seed=1)], settings=FAST)


def shown(console: Console) -> str:
    return " ".join(console.export_text().split())


def wide() -> Console:
    return Console(width=200, record=True, file=io.StringIO())


def test_reading_tells_what_was_read_and_what_was_left_out():
    run = analyse(run_of({"a": [1, None, 0], "b": [1, 1, 1]}, name="mine"), settings=FAST)
    assert reading(run) == "mine: 2 problems, 6 samples (5 judged)."
    samples = run_of({"a": [1, 0]})
    object.__setattr__(samples, "left_out", {"not JSON": 2, "duplicate sample": 1})
    assert reading(analyse(samples, settings=FAST)) == (
        "run: 1 problem, 2 samples; left out 3 rows: 2 not JSON, 1 duplicate sample."
    )
    seeds = [run_of({"a": [1, 0]}), run_of({"a": [1, 0]})]
    assert "4 samples in 2 seeds" in reading(analyse(seeds, settings=FAST))


def test_metrics_are_rows_and_runs_are_columns():
    runs = [analyse(run_of({"a": [1, 0], "b": [0, 0]}, name=name), settings=FAST) for name in "xy"]
    console = wide()
    print_metrics(console, runs, "correctness")
    text = shown(console)
    assert "x y" in text
    assert "pass@1 0.250 (0.000 to 0.500) 0.250 (0.000 to 0.500)" in text
    assert "Div-Equ" not in text


def test_reasons_of_what_is_undefined_follow_the_table_once():
    run = analyse(run_of({"a": [None, None]}), settings=FAST)
    console = wide()
    print_metrics(console, [run], "correctness")
    text = shown(console)
    assert text.count("no sample has a verdict") == 1
    assert "nan" not in text


def test_markup_in_names_is_text():
    name = "[red]x[/red] [/]"
    run = analyse(run_of({"a": [1, 0]}, name=name), settings=FAST)
    console = wide()
    print_metrics(console, [run], "correctness")
    assert name in shown(console)


def test_comparison_shows_each_difference_with_its_interval_and_verdict(comparison: Comparison):
    console = wide()
    print_comparison(console, comparison)
    text = shown(console)
    for d in comparison.differences:
        assert d.label in text
    d = comparison.differences[0]
    assert f"{d.estimate:+.3f} ({d.low:+.3f} to {d.high:+.3f})" in text
    assert d.verdict in text
    for line in flow_lines(comparison.flows[0]):
        assert line in text


def test_keep_is_shown_beside_what_luck_keeps(comparison: Comparison):
    (flow,) = comparison.flows
    (line,) = [line for line in flow_lines(flow) if line.startswith("Keep")]
    assert line.endswith(f"the base against fresh samples of itself: {flow.keep_by_luck:.3f}")


def test_json_holds_no_nan_and_every_number(comparison: Comparison):
    text = json.dumps(comparison_record(comparison, ["words"]), allow_nan=False)
    record = json.loads(text)
    assert record["summary"] == ["words"]
    assert len(record["differences"]) == len(comparison.differences)
    assert [m["key"] for m in record["base"]["metrics"]] == [m.key for m in comparison.base.metrics]
    assert list(record["flows"][0]["status_N"]) == list(comparison.base.samples.problem_ids)
    assert record["base"]["pass_curve"]["estimate"] == pytest.approx(
        comparison.base.pass_curve.estimate.tolist()
    )
    assert "completions" not in text


def test_csv_reads_back_as_the_metrics(comparison: Comparison):
    runs = [comparison.base, *comparison.runs]
    table = list(csv.DictReader(io.StringIO(metrics_csv(runs))))
    metrics = [(run.name, m) for run in runs for m in run.metrics]
    assert len(table) == len(metrics)
    for row, (name, metric) in zip(table, metrics, strict=True):
        assert (row["run"], row["key"], row["note"]) == (name, metric.key, metric.note)
        if math.isnan(metric.estimate):
            assert row["estimate"] == ""
        else:
            assert float(row["estimate"]) == metric.estimate
    table = list(csv.DictReader(io.StringIO(differences_csv(comparison))))
    assert [row["verdict"] for row in table] == [d.verdict for d in comparison.differences]


def test_values_json_cannot_hold_become_null():
    found = plain({"a": np.array([1.0, math.nan]), "b": (np.int64(2), math.inf), 3: None})
    assert found == {"a": [1.0, None], "b": [2, None], "3": None}


@pytest.mark.parametrize(
    ("value", "text"), [(0.03121, "0.031"), (12.345, "12.35"), (123.45, "123.5"), (-0.5, "-0.500")]
)
def test_numbers_have_the_decimals_they_need(value: float, text: str):
    assert number(value) == text
    assert number(0.2, sign=True) == "+0.200"


def test_record_of_one_run_has_its_counts():
    record = analysis_record(analyse(run_of({"a": [1, None]}, name="x"), settings=FAST))
    assert (record["name"], record["num_problems"]) == ("x", 1)
    assert (record["num_samples"], record["num_judged"]) == (2, 1)
