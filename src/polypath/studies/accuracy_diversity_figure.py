"""The figure of diversity against accuracy: all rows, over training and over temperatures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polypath.report.figure_style import legend_entry, new_figure, safe, save
from polypath.report.model import Metric
from polypath.studies.config import BASE
from polypath.studies.figures import LEGEND, look_of
from polypath.studies.over_training import Trail
from polypath.studies.splits import Row, SplitResult

BASE_LINE = "#999999"
LABEL_HEIGHT = 0.048  # of a label, as a share of the panel's height
SIGNS_AT, LABELS_AT = 1.05, 1.075  # beside the panel, in shares of its width
HALO = 2.0  # points of white around text inside the panel
_Point = tuple[float, float]


def draw_front(result: SplitResult, path: Path, *, trails: Mapping[str, Trail]) -> None:
    """Draw pass@K and distinct solutions against pass@1, one panel each.

    The figure shows the base over its temperatures. It shows each method at the end of training with its
    interval, over training if it has checkpoints, and over temperatures. Names stand beside the panels.

    Args:
        result: result of a split.
        path: path of the PNG.
        trails: trails of the methods on this split; empty for splits without checkpoints.
    """
    front = result.evaluation.front
    keys = front[1:] or front
    figure, axes = new_figure(len(keys), width=6.2, height=5.4, margin=LEGEND)
    for axis, key in zip(axes, keys, strict=True):
        _draw_panel(axis, result, key, trails)
        name, k = key.split("@")
        axis.set_title(f"distinct correct solutions in {k} samples" if name == "distinct" else key)
    over = "seeds and " if max(len(row.seeds) for row in result.rows) > 1 else ""
    figure.suptitle(
        f"accuracy and diversity on {result.evaluation.split}: "
        f"means over {over}{result.num_problems:,} problems"
    )
    save(figure, _legend(result, trails), path, below=True)


def _draw_panel(axis: Any, result: SplitResult, key: str, trails: Mapping[str, Trail]) -> None:
    names = [row.name for row in result.rows]
    at_base = _draw_temperatures(
        axis, result.cooled, key, "-o", color=BASE_LINE, lw=2.0, ms=4, zorder=1
    )
    marked = {row.temperature for row in result.rows if not row.trained}
    # Temperatures that have a row have their own sign at the point.
    numbers = [(t, point, "#666666") for t, point in at_base if t not in marked]
    ends = []
    for row in result.rows:
        look = look_of(row.name, names)
        color = look["color"]
        if row.name in trails:
            _draw_trail(axis, trails[row.name], key, color)
        rows = result.method_temperatures.get(row.name, ())
        style = {"color": color, "lw": 1.0, "ms": 3.5, "mfc": "white", "mew": 0.9, "zorder": 3}
        found = _draw_temperatures(axis, rows, key, "--o", **style)
        numbers += [(t, point, color) for t, point in (*found[:1], *found[-1:])]
        point = _point(row, key)
        if point is None:
            continue
        axis.errorbar(
            *point,
            xerr=_bars(row.metrics["pass@1"]),
            yerr=_bars(row.metrics[key]),
            color=color,
            marker=look["marker"],
            ms=7,
            mec="white",
            mew=0.7,
            elinewidth=0.8,
            capsize=0,
            alpha=0.95,
            zorder=5,
        )
        if row.trained:
            ends.append((row.label, look, *point))
        else:  # far from the other names, because methods leave the base towards the right
            side = "right" if row.name == BASE else "left"
            _write(axis, row.label, point, "#444444", size=8.5, side=side)
    axis.set_xlabel("pass@1 (sampled)")
    axis.margins(0.06)
    axis.autoscale_view()
    _draw_labels(axis, ends)
    _draw_numbers(axis, numbers)


def _draw_temperatures(
    axis: Any, rows: Sequence[Row], key: str, line: str, **style: Any
) -> list[tuple[float, _Point]]:
    """Draw a model over temperatures and return these with their points. Draw nothing for a single one."""
    places = [(row.temperature, point) for row in rows if (point := _point(row, key)) is not None]
    if len(places) < 2:
        return []
    axis.plot(*zip(*(point for _, point in places), strict=True), line, **style)
    return places


def _draw_trail(axis: Any, trail: Trail, key: str, color: str) -> None:
    """Draw a method over training, from the base to its last step, with dots at its checkpoints."""
    xs, ys = trail.mean("pass@1").mean(axis=0), trail.mean(key).mean(axis=0)
    axis.plot(xs, ys, "-", color=color, lw=1.0, alpha=0.8, zorder=2)
    axis.plot(xs[1:-1], ys[1:-1], ".", color=color, ms=5, zorder=2)


def _draw_numbers(axis: Any, numbers: Sequence[tuple[float, _Point, str]]) -> None:
    """Write temperatures at their points, except those that would hide one already written."""
    written: list[_Point] = []
    for temperature, point, color in numbers:
        right, up = axis.transLimits.transform(point).tolist()
        if all(abs(right - r) > 0.06 or abs(up - u) > 0.035 for r, u in written):
            written.append((right, up))
            _write(axis, f"{temperature:g}", point, color, size=7)


def _write(axis: Any, text: str, point: _Point, color: str, *, size: float, side: str = "") -> None:
    """Write beside a point: above it if its name ends ("right") or begins ("left") there, else below."""
    from matplotlib import patheffects

    axis.annotate(
        safe(text),
        point,
        xytext={"right": (-7, 5), "left": (8, 4)}.get(side, (-5, -8)),
        textcoords="offset points",
        fontsize=size,
        color=color,
        ha=side or "right",
        zorder=6,
        path_effects=[patheffects.withStroke(linewidth=HALO, foreground="white")],
    )


def _draw_labels(axis: Any, ends: Sequence[tuple[str, Mapping[str, Any], float, float]]) -> None:
    """Write the names beside the panel in the order of their points, and join them by thin lines."""
    if not ends:
        return
    placed = axis.transLimits.transform([(x, y) for *_, x, y in ends])
    heights = spread(placed[:, 1].tolist(), LABEL_HEIGHT)
    for (label, look, x, y), height in zip(ends, heights, strict=True):
        beside, color = {"transform": axis.transAxes}, look["color"]
        line = {"arrowstyle": "-", "color": color, "lw": 0.6, "alpha": 0.55}
        axis.annotate(
            "",
            (x, y),
            xytext=(SIGNS_AT - 0.012, height),
            textcoords="axes fraction",
            arrowprops={**line, "shrinkA": 0, "shrinkB": 5},
            annotation_clip=False,
            zorder=0,
        )
        sign = {"color": color, "marker": look["marker"], "ms": 6, "clip_on": False}
        axis.plot([SIGNS_AT], [height], **sign, **beside)
        axis.text(LABELS_AT, height, safe(label), fontsize=8.5, va="center", **beside)


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights in [0, 1] apart by at least ``gap``, as little as possible, and keep their order.

    This is least squares: the heights minus the gaps below them must not fall. If there are more than fit
    into [0, 1], they go beyond its top.

    Args:
        heights: any number of them, in any order.
        gap: above 0, as a share of the same unit.

    Returns:
        The new heights, in the order of the old ones.
    """
    from scipy.optimize import isotonic_regression  # slow to import

    if not heights:
        return []
    order = np.argsort(heights, kind="stable")
    gaps_below = gap * np.arange(len(heights))
    rest = isotonic_regression(np.array(heights)[order] - gaps_below).x
    moved = np.empty(len(heights))
    moved[order] = np.clip(rest, 0.0, max(0.0, 1.0 - gaps_below[-1])) + gaps_below
    return [float(height) for height in moved]


def _legend(result: SplitResult, trails: Mapping[str, Trail]) -> list[Any]:
    """Return the legend entries for the lines. The names beside the panels explain the colours."""
    found = [legend_entry("end of training", marker="s", ls="", ms=6)]
    if trails:
        label = "over training, from the base, dots at checkpoints"
        found.append(legend_entry(label, marker=".", lw=1.0))
    if result.method_temperatures:
        label = "over temperatures (numbers: T)"
        found.append(legend_entry(label, marker="o", ls="--", lw=1, ms=3.5, mfc="white"))
    if len(result.cooled) > 1:
        label = "base over temperatures"
        found.append(legend_entry(label, color=BASE_LINE, marker="o", lw=2.0, ms=4))
    return [*found, legend_entry("95 % interval (cross)", lw=0.8)]


def _point(row: Row, key: str) -> _Point | None:
    found = [row.metrics.get(name) for name in ("pass@1", key)]
    values = [m.estimate for m in found if m is not None and math.isfinite(m.estimate)]
    return (values[0], values[1]) if len(values) == 2 else None


def _bars(metric: Metric) -> list[list[float]] | None:
    if not math.isfinite(metric.low):
        return None
    # An expanded percentile interval need not contain the estimate if there are few values.
    below, above = metric.estimate - metric.low, metric.high - metric.estimate
    return [[max(0.0, below)], [max(0.0, above)]]
