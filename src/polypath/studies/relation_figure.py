"""The figure of relations: a panel each, a point per model, and the lines through them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polypath.report.figure_style import DARK, legend_entry, new_figure, safe, save
from polypath.report.numbers import with_ends
from polypath.studies.config import BASE, Study
from polypath.studies.curve_figures import LEGEND, look_of
from polypath.studies.relation_fit import RelationFit
from polypath.studies.relations import (
    CHECKPOINT,
    END,
    TEMPERATURE,
    Point,
    RelationResult,
    chosen_words,
)

COLUMNS = 3
SIZES = {END: 7.5, CHECKPOINT: 4.5, TEMPERATURE: 5.5}
LINES = ("-", "--")  # through all models, and through those that ``where`` chooses


def draw_relations(study: Study, results: Sequence[RelationResult], path: Path) -> None:
    """Draw each relation: ends of training large, checkpoints small, other temperatures hollow.

    Models that ``where`` does not choose are pale.
    """
    figure, axes = new_figure(len(results), width=4.9, columns=COLUMNS, margin=LEGEND)
    names = list(study.methods)
    for axis, result in zip(axes, results, strict=True):
        for point in sorted(result.points, key=lambda p: SIZES[p.model.kind]):
            _draw_point(axis, result, point, names)
        titles = [_draw_line(axis, result, result.all_models, LINES[0], "all")]
        if result.chosen is not None:
            words = chosen_words(result.relation)
            titles.append(_draw_line(axis, result, result.chosen, LINES[1], words))
        axis.set(
            xlabel=safe(result.labels[result.relation.x]),
            ylabel=safe(result.labels[result.relation.y]),
        )
        axis.set_title(safe("\n".join(titles)), fontsize=8.5, loc="left")
        axis.margins(0.06)
    figure.suptitle(f"relations of metrics over models on {study.main.split}")
    save(figure, _legend(study, results, names), path)


def _draw_point(axis: Any, result: RelationResult, point: Point, names: Sequence[str]) -> None:
    look = look_of(point.model.name, names)
    x, y = (point.metrics[key].value for key in (result.relation.x, result.relation.y))
    hollow, end = point.model.kind == TEMPERATURE, point.model.kind == END
    axis.plot(
        [x],
        [y],
        ls="",
        marker=look["marker"],
        ms=SIZES[point.model.kind],
        color=look["color"],
        mfc="white" if hollow else look["color"],
        mec="white" if end else look["color"],
        mew=0.9 if hollow else 0.5,
        alpha=0.95 if result.is_chosen(point) else 0.3,
        zorder=3,
    )


def _draw_line(axis: Any, result: RelationResult, fit: RelationFit, style: str, over: str) -> str:
    """Draw a fitted line as far as its models reach, and return what is told of it."""
    numbers = f"{over}: {fit.models} models"
    if not math.isfinite(fit.slope):
        return f"{numbers}, no line"
    points = result.points if over == "all" else [p for p in result.points if result.is_chosen(p)]
    xs = [point.metrics[result.relation.x].value for point in points]
    ends = [min(xs), max(xs)]
    axis.plot(ends, [fit.intercept + fit.slope * x for x in ends], style, color=DARK, lw=1.2)
    r = with_ends(fit.r_squared, fit.r_squared_low, fit.r_squared_high, places=2)
    rho = with_ends(fit.rho, fit.rho_low, fit.rho_high, places=2)
    return f"{numbers}, R² = {r}, rho = {rho}"


def _legend(study: Study, results: Sequence[RelationResult], names: Sequence[str]) -> list[Any]:
    models = [point.model for result in results for point in result.points]
    found = []
    for name in (BASE, *names):
        if any(model.name == name for model in models):
            look = look_of(name, names)
            label = BASE if name == BASE else study.methods[name].label
            found.append(legend_entry(label, color=look["color"], marker=look["marker"], ls=""))
    for kind, label, fill in (
        (CHECKPOINT, "checkpoint", DARK),
        (TEMPERATURE, "other temperature", "white"),
    ):
        if any(model.kind == kind for model in models):
            found.append(legend_entry(label, marker="o", ls="", ms=SIZES[kind], mfc=fill))
    found.append(legend_entry("line through all", lw=1.2, ls=LINES[0]))
    if any(result.chosen is not None for result in results):
        found.append(legend_entry("through the chosen", lw=1.2, ls=LINES[1]))
    return found
