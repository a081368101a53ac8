"""Figures of curves: pass@k over k, and numbers over training; and how rows look in all figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polypath.report.figure_style import (
    BAND,
    BASE_LOOK,
    MOST_BANDS,
    draw_curve,
    handles_of,
    k_axis,
    look,
    new_figure,
    safe,
    save,
)
from polypath.studies.config import BASE, COOLED
from polypath.studies.measure import SplitResult

BASE_LOOKS = {BASE: BASE_LOOK, COOLED: {"color": "#888888", "marker": "o", "linestyle": ":"}}
LEGEND = 2.2  # inches at the right of the panels


@dataclass(frozen=True, kw_only=True)
class TrainingCurve:
    """A number over T optimizer steps: mean over seeds, and the lowest and highest seed, ``(T,)``."""

    name: str
    label: str
    panel: str
    steps: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def draw_pass_curves(result: SplitResult, path: Path) -> None:
    """Draw pass@k of every row over k, with its interval as a band where there are few methods."""
    figure, [axis] = new_figure(1, width=6.2, margin=LEGEND)
    _draw_pass_panel(axis, result)
    save(figure, handles_of(axis), path)


def draw_training(
    curves: Sequence[TrainingCurve], names: Sequence[str], path: Path, *, title: str
) -> None:
    """Draw each panel's curves over optimizer steps, with bands from the lowest to the highest seed.

    Args:
        curves: of all panels and methods.
        names: of all methods, in the order of their colours.
        path: of the PNG.
        title: of the figure.
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
        result: of the main split.
        curves: over training.
        path: of the PNG.
        several: what to say of curves over several seeds.
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


def over_seeds(
    name: str, label: str, panel: str, seeds: Sequence[Sequence[tuple[float, float]]]
) -> TrainingCurve | None:
    """Join (step, value) pairs of several seeds at the steps that all of them have."""
    tables = [dict(pairs) for pairs in seeds]
    if not tables or not all(tables):
        return None
    steps = sorted(set.intersection(*(set(table) for table in tables)))
    if not steps:
        return None
    values_R_T = np.array([[table[step] for step in steps] for table in tables])
    return TrainingCurve(
        name=name,
        label=label,
        panel=panel,
        steps=np.array(steps, dtype=np.float64),
        mean=values_R_T.mean(axis=0),
        low=values_R_T.min(axis=0),
        high=values_R_T.max(axis=0),
    )


def look_of(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Return colour, marker and line of a row.

    Args:
        name: key of a method, or one of the base's rows.
        names: of all rows; a method keeps its look in all figures with the same methods.
    """
    if name in BASE_LOOKS:
        return BASE_LOOKS[name]
    return look([other for other in names if other not in BASE_LOOKS].index(name))
