"""Where the pass@k of two runs crosses, in words; and the band of a whole curve."""

import numpy as np
import pytest

from polypath.metrics import find_crossing
from polypath.report.analysis import compare
from polypath.report.crossings import crossing_cell, crossing_sentence
from polypath.report.page_data import chart_data
from tests.report.made import make_run

KS = [1, 2, 4, 8]
UP, DOWN = [2.0, 1.0, -1.0, -2.0], [-2.0, -1.0, 1.0, 2.0]
CASES = {
    "a crossing": (
        UP,
        0.5,
        ["above", "k = 2.8 [2.4, 3.4]", "then below"],
        "above to 2.8 [2.4, 3.4]",
    ),
    "from below": (DOWN, 0.5, ["below", "then above"], "2.8 [2.4, 3.4]"),
    "one that may lie outside": (UP, 9, ["2.8 [≤ 1, ≥ 8]"], "2.8 [≤ 1, ≥ 8]"),
    "none": ([3.0, 2.0, 2.0, 2.0], 0.5, ["above", "every k up to 8"], "above at every k"),
    "none, perhaps": ([3.0, 2.0, 2.0, 1.0], 1.5, ["not ruled out in [5.7, ≥ 8]"], "[5.7, ≥ 8]"),
    "noise": ([0.1, 0.1, 0.1, 0.1], 1, ["within noise"], "every k; [≤ 1, ≥ 8] not ruled out"),
    "several": (
        [1.0, -1.0, 1.0, 1.0],
        0.1,
        ["more than once", "first at 1.4"],
        "above to 1.4 [1.4, 2.9] (and again)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_told_with_its_interval(case: str):
    estimate, half, told, cell = CASES[case]
    values = np.array(estimate)
    found = find_crossing(KS, values, values - half, values + half)
    sentence = crossing_sentence(found)
    assert [part for part in told if part not in sentence] == []
    assert sentence.endswith(".")
    assert cell in crossing_cell(found)


def test_nothing_is_told_of_a_single_k():
    assert crossing_sentence(None) == ""
    assert crossing_cell(None) == "–"


def test_curves_have_a_band_around_their_intervals():
    found = compare(make_run("base", 0), [make_run("run", 1)])
    [flow] = found.flows
    difference = flow.difference_curve
    for curve in (found.base.pass_curve, difference):
        assert (curve.band_low <= curve.low).all()
        assert (curve.band_high >= curve.high).all()
        assert (curve.band_high - curve.band_low > curve.high - curve.low).any()
    assert found.base.pass_curve.band_high.max() <= 1
    assert flow.crossing == find_crossing(
        difference.ks, difference.estimate, difference.low, difference.high
    )
    data = chart_data(found)["difference"]
    assert [point["blo"] for point in data] == pytest.approx(difference.band_low, abs=1e-5)
