"""Figures of curves and of relations, and the look of rows in all figures."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polypath.report.figure_style import (
    BAND,
    BASE_LOOK,
    DARK,
    MOST_BANDS,
    draw_curve,
    handles_of,
    k_axis,
    legend_entry,
    look,
    new_figure,
    safe,
    save,
)
from polypath.report.numbers import with_ends
from polypath.studies.config import BASE, COOLED, Relation, Study
from polypath.studies.over_training import TrainingCurve
from polypath.studies.plan import CHECKPOINT, END, TEMPERATURE
from polypath.studies.relation_fit import RelationFit
from polypath.studies.relations import ALL, Point, RelationResult, is_chosen
from polypath.studies.splits import SplitResult

BASE_LOOKS = {BASE: BASE_LOOK, COOLED: {"color": "#888888", "marker": "o", "linestyle": ":"}}
LEGEND = 2.2  # inches to the right of the panels
SIZES = {END: 7.5, CHECKPOINT: 4.5, TEMPERATURE: 5.5}  # of the points of relations
LINES = ("-", "--")  # through all models, and through those that ``where`` chooses


def look_of(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Return colour, marker and line style of a row.

    Args:
        name: key of a method, or one of the base's rows.
        names: names of all rows; a method keeps its look in all figures with the same methods.
    """
    if name in BASE_LOOKS:
        return BASE_LOOKS[name]
    return look([other for other in names if other not in BASE_LOOKS].index(name))


# --- curves -----------------------------------------------------------------------------------------


def draw_pass_curves(result: SplitResult, path: Path) -> None:
    """Draw pass@k of every row over k, with its interval as a band if there are few methods.

    Args:
        result: rows of a split.
        path: path of the PNG.
    """
    figure, [axis] = new_figure(1, width=6.2, margin=LEGEND)
    _draw_pass_panel(axis, result)
    save(figure, handles_of(axis), path)


def draw_training(
    curves: Sequence[TrainingCurve], names: Sequence[str], path: Path, *, title: str
) -> None:
    """Draw each panel's curves over optimizer steps, with bands from the lowest to the highest seed.

    Args:
        curves: curves of all panels and methods.
        names: names of all methods, in the order of their colours.
        path: path of the PNG.
        title: title of the figure.
    """
    panels = _by_panel(curves)
    figure, axes = new_figure(len(panels), width=4.4, margin=LEGEND)
    for axis, of_panel in zip(axes, panels, strict=True):
        _draw_training_panel(axis, of_panel, names)
    figure.suptitle(title)
    save(figure, handles_of(axes[0]), path)


def draw_overview(
    result: SplitResult, curves: Sequence[TrainingCurve], path: Path, *, several: str = ""
) -> None:
    """Draw a study in one picture: pass@k of every row, and what the runs logged in training.

    Args:
        result: result of the main split.
        curves: over training.
        path: path of the PNG.
        several: note about curves over several seeds.
    """
    panels = _by_panel(curves)
    names = [row.name for row in result.rows if row.trained]
    figure, axes = new_figure(1 + len(panels), width=4.2, wide_first=1.4)
    _draw_pass_panel(axes[0], result)
    for axis, of_panel in zip(axes[1:], panels, strict=True):
        _draw_training_panel(axis, of_panel, names)
        axis.set_ylim(bottom=0)
    if several:
        figure.suptitle(f"training{several}")
    save(figure, handles_of(axes[0]), path, below=True)


def _draw_pass_panel(axis: Any, result: SplitResult) -> None:
    names = [row.name for row in result.rows]
    band = sum(row.trained for row in result.rows) <= MOST_BANDS
    for row in result.rows:
        draw_curve(axis, row.pass_curve, row.label, look_of(row.name, names), band=band)
    k_axis(axis, [row.pass_curve for row in result.rows])
    axis.set(
        title=f"pass@k on {result.evaluation.split}, {result.num_problems:,} problems",
        ylabel="share of problems solved",
    )


def _by_panel(curves: Sequence[TrainingCurve]) -> list[list[TrainingCurve]]:
    panels = dict.fromkeys(curve.panel for curve in curves)
    return [[curve for curve in curves if curve.panel == panel] for panel in panels]


def _draw_training_panel(axis: Any, curves: Sequence[TrainingCurve], names: Sequence[str]) -> None:
    for curve in curves:
        style = look_of(curve.name, names)
        every = max(1, len(curve.steps) // 8)
        axis.plot(curve.steps, curve.mean, ms=4, markevery=every, label=safe(curve.label), **style)
        if len(names) <= MOST_BANDS:
            axis.fill_between(curve.steps, curve.low, curve.high, color=style["color"], **BAND)
    axis.set(title=curves[0].panel, xlabel="optimizer step")


# --- relations --------------------------------------------------------------------------------------


def draw_relations(study: Study, results: Sequence[RelationResult], path: Path) -> None:
    """Draw each relation: ends of training large, checkpoints small, other temperatures hollow.

    Models that ``where`` does not choose are pale.

    Args:
        study: study that asks for the relations.
        results: a panel for each.
        path: path of the PNG.
    """
    figure, axes = new_figure(len(results), width=4.9, columns=3, margin=LEGEND)
    names = list(study.methods)
    for axis, result in zip(axes, results, strict=True):
        for point in sorted(result.points, key=lambda p: SIZES[p.kind]):
            _draw_point(axis, result.relation, point, look_of(point.name, names))
        fits = zip(result.fits.items(), LINES, strict=False)
        titles = [_draw_line(axis, result, over, fit, line) for (over, fit), line in fits]
        axis.set_title(safe("\n".join(titles)), fontsize=8.5, loc="left")
        axis.set(
            xlabel=safe(result.labels[result.relation.x]),
            ylabel=safe(result.labels[result.relation.y]),
        )
        axis.margins(0.06)
    figure.suptitle(f"relations of metrics over models on {study.main.split}")
    save(figure, _relation_legend(study, results, names), path)


def _draw_point(axis: Any, relation: Relation, point: Point, style: dict[str, Any]) -> None:
    kind, color = point.kind, style["color"]
    axis.plot(
        [point.metrics[relation.x].value],
        [point.metrics[relation.y].value],
        ls="",
        marker=style["marker"],
        ms=SIZES[kind],
        color=color,
        mfc="white" if kind == TEMPERATURE else color,
        mec="white" if kind == END else color,
        mew=0.9 if kind == TEMPERATURE else 0.5,
        alpha=0.95 if is_chosen(relation, point) else 0.3,
        zorder=3,
    )


def _draw_line(axis: Any, result: RelationResult, over: str, fit: RelationFit, line: str) -> str:
    """Draw a fitted line over the range of its models, and return its description."""
    numbers = f"{over}: {fit.models} models"
    if not math.isfinite(fit.slope):
        return f"{numbers}, no line"
    relation = result.relation
    points = [p for p in result.points if over == ALL or is_chosen(relation, p)]
    xs = [point.metrics[relation.x].value for point in points]
    ends = [min(xs), max(xs)]
    axis.plot(ends, [fit.intercept + fit.slope * x for x in ends], line, color=DARK, lw=1.2)
    r = with_ends(fit.r_squared, fit.r_squared_low, fit.r_squared_high, places=2)
    rho = with_ends(fit.rho, fit.rho_low, fit.rho_high, places=2)
    return f"{numbers}, R² = {r}, rho = {rho}"


def _relation_legend(
    study: Study, results: Sequence[RelationResult], names: Sequence[str]
) -> list[Any]:
    points = [point for result in results for point in result.points]
    drawn, kinds = {point.name for point in points}, {point.kind for point in points}
    found = []
    for name in (BASE, *names):
        if name in drawn:
            style = look_of(name, names)
            label = BASE if name == BASE else study.methods[name].label
            found.append(legend_entry(label, color=style["color"], marker=style["marker"], ls=""))
    for kind, label, fill in (
        (CHECKPOINT, "checkpoint", DARK),
        (TEMPERATURE, "other temperature", "white"),
    ):
        if kind in kinds:
            found.append(legend_entry(label, marker="o", ls="", ms=SIZES[kind], mfc=fill))
    found.append(legend_entry("line through all", lw=1.2, ls=LINES[0]))
    if any(len(result.fits) > 1 for result in results):
        found.append(legend_entry("through the chosen", lw=1.2, ls=LINES[1]))
    return found
