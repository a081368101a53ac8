"""The figure of relations: a panel each, a point per model, and the lines through them."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polypath.studies.config import BASE, Study
from polypath.studies.figures import look_of, new_figure, safe, save
from polypath.studies.relation_fit import RelationFit
from polypath.studies.relations import (
    CHECKPOINT,
    END,
    TEMPERATURE,
    Point,
    RelationResult,
    chosen_words,
    interval_text,
)

DARK = "#444444"
COLUMNS = 3
SIZES = {END: 7.5, CHECKPOINT: 4.5, TEMPERATURE: 5.5}
LINES = ("-", "--")  # through all models, and through those that ``where`` chooses


def draw_relations(study: Study, results: Sequence[RelationResult], path: Path) -> None:
    """Draw each relation: ends of training large, checkpoints small, other temperatures hollow.

    Models that ``where`` does not choose are pale.
    """
    figure, axes = new_figure(len(results), width=4.9, height=4.6, columns=COLUMNS)
    names = list(study.methods)
    for axis, result in zip(axes, results, strict=True):
        for point in sorted(result.points, key=lambda p: SIZES[p.model.kind]):
            _draw_point(axis, result, point, names)
        told = [_draw_line(axis, result, result.all_models, LINES[0], "all")]
        if result.chosen is not None:
            words = chosen_words(result.relation)
            told.append(_draw_line(axis, result, result.chosen, LINES[1], words))
        axis.set(
            xlabel=safe(result.labels[result.relation.x]),
            ylabel=safe(result.labels[result.relation.y]),
        )
        axis.set_title(safe("\n".join(told)), fontsize=8.5, loc="left")
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
    r = interval_text(fit.r_squared, fit.r_squared_low, fit.r_squared_high)
    rho = interval_text(fit.rho, fit.rho_low, fit.rho_high)
    return f"{numbers}, R² = {r}, rho = {rho}"


def _legend(study: Study, results: Sequence[RelationResult], names: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    points = [point for result in results for point in result.points]
    drawn = {point.model.name for point in points}
    found = []
    for name in (BASE, *names):
        if name in drawn:
            look = look_of(name, names)
            label = BASE if name == BASE else study.methods[name].label
            found.append(
                Line2D([], [], ls="", color=look["color"], marker=look["marker"], label=safe(label))
            )
    kinds = {point.model.kind for point in points}
    for kind, label, fill in (
        (CHECKPOINT, "checkpoint", DARK),
        (TEMPERATURE, "other temperature", "white"),
    ):
        if kind in kinds:
            found.append(
                Line2D([], [], ls="", color=DARK, marker="o", ms=SIZES[kind], mfc=fill, label=label)
            )
    found.append(Line2D([], [], color=DARK, lw=1.2, ls=LINES[0], label="line through all"))
    if any(result.chosen is not None for result in results):
        found.append(Line2D([], [], color=DARK, lw=1.2, ls=LINES[1], label="through the chosen"))
    return found
