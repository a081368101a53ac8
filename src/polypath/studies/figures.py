"""The figures of a study but for the front: pass@k, and curves over training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from polypath.studies.measure import SplitResult

BASES = {"base": "#000000", "base, cooled": "#888888"}
# Okabe & Ito 2008 without black, then Tol's muted scheme: a method keeps its colour and its marker.
PALETTE = [
    *("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#882255", "#332288", "#999933", "#44AA99", "#661100", "#AA4499"),
]
SHAPES = ["s", "^", "D", "v", "P", "X", "*", "p", "h", "<", ">", "d"]
STYLES = ("-", "--", ":")
MOST_BANDS = 6  # with more lines the bands would hide each other


@dataclass(frozen=True, kw_only=True)
class TrainingCurve:
    """A number over optimizer steps: mean over seeds, and the lowest and highest seed."""

    name: str
    label: str
    panel: str
    steps: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def draw_pass_curves(result: SplitResult, path: Path) -> None:
    """Draw pass@k of every row over k, with its interval as a band where there are few rows."""
    figure, [axis] = new_figure(1, width=6.2)
    _draw_pass_panel(axis, result)
    save(figure, axis.get_legend_handles_labels()[0], path)


def _draw_pass_panel(axis: Any, result: SplitResult) -> None:
    names = [row.name for row in result.rows]
    bands = sum(row.trained for row in result.rows) <= MOST_BANDS
    for row in result.rows:
        look, c = look_of(row.name, names), row.pass_curve
        axis.plot(c.ks, c.estimate, ms=4.5, label=safe(row.label), **look)
        if bands:
            axis.fill_between(c.ks, c.low, c.high, color=look["color"], alpha=0.10, lw=0)
    ks = result.rows[0].pass_curve.ks
    ticks = [k for k in ks if k & (k - 1) == 0 or k == max(ks)]
    axis.set_xscale("log", base=2)
    axis.set_xticks(ticks, [str(k) for k in ticks])
    axis.set(
        title=f"pass@k on {result.evaluation.split}, {result.num_problems:,} problems",
        xlabel="k (samples per problem)",
        ylabel="share of problems solved",
    )


def draw_training(
    curves: Sequence[TrainingCurve], names: Sequence[str], path: Path, *, title: str
) -> None:
    """Draw each panel's curves over optimizer steps, with bands from the lowest to the highest seed."""
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    figure, axes = new_figure(len(panels), width=4.4)
    for axis, panel in zip(axes, panels, strict=True):
        _draw_training_panel(axis, [c for c in curves if c.panel == panel], names)
    figure.suptitle(title)
    save(figure, axes[0].get_legend_handles_labels()[0], path)


def _draw_training_panel(axis: Any, curves: Sequence[TrainingCurve], names: Sequence[str]) -> None:
    for curve in curves:
        look = look_of(curve.name, names)
        every = max(1, len(curve.steps) // 8)
        axis.plot(curve.steps, curve.mean, ms=4, markevery=every, label=safe(curve.label), **look)
        if len(names) <= MOST_BANDS:
            axis.fill_between(
                curve.steps, curve.low, curve.high, color=look["color"], alpha=0.10, lw=0
            )
    axis.set(title=curves[0].panel, xlabel="optimizer step")


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
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    names = [row.name for row in result.rows if row.trained]
    figure, axes = new_figure(1 + len(panels), width=4.2, wide_first=1.4, beside=False)
    _draw_pass_panel(axes[0], result)
    for axis, panel in zip(axes[1:], panels, strict=True):
        _draw_training_panel(axis, [c for c in curves if c.panel == panel], names)
        axis.set_ylim(bottom=0)
    if several:
        figure.suptitle(f"training{several}")
    save(figure, axes[0].get_legend_handles_labels()[0], path, below=True)


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
    values_S_T = np.array([[table[step] for step in steps] for table in tables])
    return TrainingCurve(
        name=name,
        label=label,
        panel=panel,
        steps=np.array(steps, dtype=np.float64),
        mean=values_S_T.mean(axis=0),
        low=values_S_T.min(axis=0),
        high=values_S_T.max(axis=0),
    )


def look_of(name: str, names: Sequence[str]) -> dict[str, Any]:
    """Return colour, marker and line of a row: twelve of each, then again with another line."""
    if name in BASES:
        return {"color": BASES[name], "marker": "o", "linestyle": "--" if name == "base" else ":"}
    i = [other for other in names if other not in BASES].index(name)
    return {
        "color": PALETTE[i % len(PALETTE)],
        "marker": SHAPES[i % len(SHAPES)],
        "linestyle": STYLES[i // len(PALETTE) % len(STYLES)],
    }


def new_figure(
    panels: int,
    *,
    width: float,
    height: float = 4.6,
    columns: int = 0,
    wide_first: float = 1.0,
    beside: bool = True,
) -> tuple[Any, list[Any]]:
    """Return a figure of panels beside each other, by default with room for names at the right.

    Args:
        panels: how many.
        width: of each, in inches.
        height: of each.
        columns: panels of a row at most, the rest goes below; 0 for all in one.
        wide_first: width of the first column by that of the others.
        beside: whether to leave room for names at the right.
    """
    import matplotlib  # slow to import, and most commands draw nothing

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-panels // (columns or panels))
    columns = -(-panels // rows)  # as even as it goes: four are two by two
    size = (width * (columns - 1 + wide_first) + 2.2 * beside, height * rows)
    figure, axes = pyplot.subplots(
        rows,
        columns,
        figsize=size,
        width_ratios=[wide_first, *[1.0] * (columns - 1)],
        layout="constrained",
        squeeze=False,
    )
    for axis in axes.flat[panels:]:
        axis.set_visible(False)
    for axis in axes.flat[:panels]:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat[:panels])


def save(figure: Any, handles: Sequence[Any], path: Path, *, below: bool = False) -> None:
    """Write the figure with a legend of these handles, below the panels or at their right."""
    from matplotlib import pyplot

    where, columns = (
        ("outside lower center", len(handles)) if below else ("outside right center", 1)
    )
    figure.legend(handles=handles, loc=where, ncols=columns, frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def safe(name: str) -> str:
    """Keep matplotlib from reading a name as mathematics, or hiding one that starts with "_"."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")
