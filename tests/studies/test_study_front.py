"""The figure of fronts: names that can be read, whatever the number of methods."""

import itertools
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.report.figure_style import PALETTE, new_figure
from polypath.report.model import Curve, Metric
from polypath.studies.accuracy_diversity_figure import LABELS_AT, _draw_labels, draw_front, spread
from polypath.studies.config import Evaluation
from polypath.studies.figures import look_of
from polypath.studies.over_training import Trail
from polypath.studies.splits import Row, SplitResult
from tests.rounding import rounding

GAP = 0.05


@given(st.lists(st.floats(0, 1), max_size=18))
def test_spread_keeps_order_and_gaps_within_the_panel(heights):
    moved = spread(heights, GAP)
    order = np.argsort(heights, kind="stable")
    assert (np.diff(np.array(moved)[order]) >= GAP - rounding(18)).all()
    assert all(-rounding(18) <= height <= 1 + rounding(18) for height in moved)


def test_spread_moves_as_little_as_it_takes():
    assert spread([0.2, 0.6, 0.4], GAP) == pytest.approx([0.2, 0.6, 0.4])
    assert spread([0.5, 0.5], GAP) == pytest.approx([0.475, 0.525])
    assert spread([0.9, 0.52, 0.5], GAP) == pytest.approx([0.9, 0.535, 0.485])
    assert spread([1.0, 1.0], GAP) == pytest.approx([0.95, 1.0])
    assert spread([], GAP) == []


def test_names_of_twelve_methods_at_one_place_do_not_overlap():
    from matplotlib import pyplot

    figure, [axis] = new_figure(1, width=6.2, height=5.4)
    names = [f"m{i}" for i in range(12)]
    _draw_labels(axis, [(f"{n} $x_$", look_of(n, names), 0.3, 0.3) for n in names])
    figure.canvas.draw()
    texts = [text for text in axis.texts if text.get_text()]
    boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.y0)
    pyplot.close(figure)
    assert len(boxes) == 12
    assert all(low.y1 < high.y0 for low, high in itertools.pairwise(boxes))
    assert all(text.get_position()[0] == LABELS_AT for text in texts)


def row(name: str, temperature: float, values: tuple[float, float, float], seeds: int = 2) -> Row:
    keys = ("pass@1", "pass@8", "distinct@8")
    metrics = {
        key: Metric(
            key=key,
            label=key,
            group="",
            over="all",
            higher_is="better",
            estimate=value,
            low=value - 0.02,
            high=value + 0.01,
            num_problems=9,
        )
        for key, value in zip(keys, values, strict=True)
    }
    one = np.ones(1)
    return Row(
        name=name,
        label=name,
        seeds=tuple(range(seeds)),
        temperature=temperature,
        metrics=metrics,
        pass_curve=Curve(ks=(1,), estimate=one, low=one, high=one, band_low=one, band_high=one),
        training_seconds=1.0,
        folders=(),
    )


def colors_in(path: Path) -> set[str]:
    pixels = (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int).reshape(-1, 3)
    return {"#{:02X}{:02X}{:02X}".format(*pixel) for pixel in np.unique(pixels, axis=0)}


def test_the_front_shows_rows_paths_and_temperatures(tmp_path: Path):
    base, end = row("base", 1.0, (0.1, 0.5, 1.5), 0), row("grpo", 1.0, (0.4, 0.6, 1.2))
    values = np.array([[[0.1, 0.3, 0.4]] * 2, [[0.5, 0.7, 0.6]] * 2, [[1.5, 1.6, 1.2]] * 2])
    trail = Trail(
        name="grpo",
        label="grpo",
        steps=(0, 1, 2),
        values=dict(zip(end.metrics, values[..., None], strict=True)),
    )
    result = SplitResult(
        evaluation=Evaluation(
            split="dev",
            problems=9,
            samples=8,
            greedy=False,
            ks=(1, 8),
            keep_k=4,
            temperature=1.0,
            top_p=1.0,
            max_completion_length=9,
        ),
        num_problems=9,
        rows=(base, end),
        cooled=(row("base at T=0.5", 0.5, (0.2, 0.4, 1.0), 0), base),
        not_judged=0,
        keep_by_luck=0.5,
        explore_by_luck=0.5,
        method_temperatures={"grpo": (row("grpo", 0.5, (0.45, 0.55, 1.0)), end)},
    )
    draw_front(result, tmp_path / "front.png", trails={"grpo": trail})
    assert {PALETTE[0], "#000000", "#999999"} <= colors_in(tmp_path / "front.png")
    assert trail.mean("pass@8") == pytest.approx(np.array([[0.5, 0.7, 0.6]] * 2))
