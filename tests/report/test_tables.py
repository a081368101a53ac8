"""Tables, JSON and CSV hold the numbers of the analysis, and nothing that is not one."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from polypath.report.analysis import analyse, compare
from polypath.report.model import GROUPS, Comparison
from polypath.report.numbers import effect, number, p_value, with_ends
from polypath.report.records import (
    analysis_record,
    comparison_record,
    differences_csv,
    metrics_csv,
    plain,
)
from polypath.report.settings import AnalysisSettings
from polypath.report.table import ReportTable, differences_table, metrics_table
from tests.report.small_runs import drawn, run_of

FAST = AnalysisSettings(num_resamples=200)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    rates = np.linspace(0, 1, 20).tolist()
    base = drawn(rates, name="base")
    return compare(base, [drawn(rates[::-1], name="new", seed=1)], settings=FAST)


def texts(table: ReportTable) -> dict[str, dict[str, str]]:
    """Label of a row -> heading -> text."""
    rows = [[cell.whole for cell in row] for row in table.cells()]
    return {row[0]: dict(zip(table.columns[1:], row[1:], strict=True)) for row in rows}


def test_metrics_are_rows_and_runs_are_columns():
    runs = [analyse(run_of({"a": [1, 0], "b": [0, 0]}, name=name), settings=FAST) for name in "xy"]
    rows = texts(metrics_table(runs, "correctness"))
    for run in runs:
        for m in run.metrics:
            if m.group == "correctness":
                assert rows[m.label][run.name] == with_ends(m.estimate, m.low, m.high)
            else:
                assert m.label not in rows


def test_a_measure_that_one_run_lacks_is_a_row_with_a_gap():
    known = run_of({"a": [1, 0]}, name="known")
    unknown = run_of({"a": [None, None]}, name="unknown")
    runs = [analyse(run, settings=FAST) for run in (known, unknown)]
    assert texts(metrics_table(runs, "correctness"))["pass@1"] == {"known": "0.500", "unknown": "–"}


def test_what_no_run_has_is_no_row_and_the_reason_is_one_note():
    run = analyse(run_of({"a": [None, None]}), settings=FAST)
    table = metrics_table([run], "correctness")
    assert table.rows == ()
    [note] = table.notes
    assert "pass@1" in note
    assert "nan" not in note


def test_directions_of_measures_are_noted(comparison: Comparison):
    for group in GROUPS:
        directions = {m.higher_is for m in comparison.base.metrics if m.group == group}
        table = metrics_table([comparison.base], group)
        assert all(direction in table.notes[0] for direction in directions)


def test_differences_are_rows_with_interval_p_value_and_verdict(comparison: Comparison):
    table = differences_table(comparison, comparison.runs[0])
    rows = texts(table)
    known = [d for d in comparison.differences if math.isfinite(d.estimate)]
    assert list(rows) == [d.label for d in known]
    for d in known:
        assert rows[d.label] == {
            "base": number(d.base_value),
            "run": number(d.run_value),
            "difference": with_ends(d.estimate, d.low, d.high, sign=True),
            "p": p_value(d.p_holm),
            "detectable": effect(d.smallest_detectable),
            "problems": str(d.num_problems),
            "verdict": d.verdict,
        }
    groups = [d.group for d in known]
    assert set(table.sections) == {len(groups) - 1 - groups[::-1].index(g) for g in set(groups)}


def test_where_nothing_varied_no_effect_is_called_detectable():
    base = run_of({f"q{n}": [1, 0, 0, 1] for n in range(9)}, name="base")
    comparison = compare(base, [replace(base, name="copy")], settings=FAST)
    for d in (
        comparison.differences[0],
        replace(comparison.differences[0], smallest_detectable=1e-17),
    ):
        made = replace(comparison, differences=(d,))
        [row] = texts(differences_table(made, made.runs[0])).values()
        assert "nothing varied" in row["detectable"]
        assert "0.000" not in row["detectable"]


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


def test_keys_that_others_read_stay(comparison: Comparison):
    record = comparison_record(comparison, [])
    about = ["key", "label", "group", "over", "higher_is", "k"]
    numbers = ["estimate", "low", "high"]
    assert list(record["base"]["metrics"][0]) == [*about, *numbers, "num_problems", "note"]
    assert list(record["differences"][0]) == [
        *about,
        *("family", "run", "base", "run_value", "base_value", *numbers, "p_value", "p_holm"),
        *("smallest_detectable", "verdict", "num_problems", "note"),
    ]
    assert list(record["flows"][0]) == [
        *("run", "status_N", "problems", "modes", "expected_modes", "keep", "explore"),
        *("keep_by_luck", "k", "difference_curve", "crossing"),
    ]


def test_csv_reads_back_as_the_metrics(comparison: Comparison):
    table = list(csv.DictReader(io.StringIO(metrics_csv(comparison.everyone))))
    metrics = [(run.name, m) for run in comparison.everyone for m in run.metrics]
    assert len(table) == len(metrics)
    for row, (name, metric) in zip(table, metrics, strict=True):
        assert (row["run"], row["key"], row["note"]) == (name, metric.key, metric.note)
        if math.isnan(metric.estimate):
            assert row["estimate"] == ""
        else:
            assert float(row["estimate"]) == metric.estimate
    table = list(csv.DictReader(io.StringIO(differences_csv(comparison))))
    assert [row["verdict"] for row in table] == [d.verdict for d in comparison.differences]


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@sum(a)", "\t=x", "plain", "x=1", "-0.5"])
def test_texts_in_csv_are_no_formulas_and_numbers_stay_numbers(name: str):
    run = analyse(run_of({"a": [1, 0]}, name=name), settings=FAST)
    first, *_ = csv.DictReader(io.StringIO(metrics_csv([run])))
    assert first["run"] == (name if name in ("plain", "x=1") else f"'{name}")
    lower = replace(run, metrics=tuple(replace(m, estimate=-0.5) for m in run.metrics))
    assert {row["estimate"] for row in csv.DictReader(io.StringIO(metrics_csv([lower])))} == {
        "-0.5"
    }


def test_values_json_cannot_hold_become_null():
    found = plain({"a": np.array([1.0, math.nan]), "b": (np.int64(2), math.inf), 3: None})
    assert found == {"a": [1.0, None], "b": [2, None], "3": None}


def test_record_of_one_run_has_its_counts():
    record = analysis_record(analyse(run_of({"a": [1, None]}, name="x"), settings=FAST))
    assert (record["name"], record["num_problems"]) == ("x", 1)
    assert (record["num_samples"], record["num_judged"]) == (2, 1)
