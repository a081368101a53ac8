"""Figures of analyses and comparisons, drawn with matplotlib into PNG, PDF or SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polypath.errors import ConfigError
from polypath.report.figure_style import (
    BASE_LOOK,
    draw_curve,
    handles_of,
    k_axis,
    look,
    new_figure,
    safe,
    save,
)
from polypath.report.model import Comparison, Curve, Fit, RunAnalysis

FORMATS = (".png", ".pdf", ".svg")
WIDTH, HEIGHT, COLUMNS = 4.6, 4.2, 4  # inches of a panel, and panels of a row


def check_figure(path: Path) -> None:
    """Refuse a file name that figures cannot be written to, before anything is computed.

    Raises:
        ConfigError: the ending is none of ``FORMATS``.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            f"A figure is written to a file ending in {', '.join(FORMATS)}, got {str(path)!r}."
        )


def draw_runs(runs: Sequence[RunAnalysis], path: Path) -> None:
    """Draw pass@k and distinct correct solutions over k, with their bands.

    Args:
        runs: a line each.
        path: of the file; its ending gives the format.

    Raises:
        ConfigError: the ending is none of ``FORMATS``.
    """
    check_figure(path)
    distinct = _have_distinct(runs)
    figure, axes = new_figure(1 + distinct, width=WIDTH, height=HEIGHT)
    _draw_runs(axes[0], runs, "pass")
    if distinct:
        _draw_runs(axes[1], runs, "distinct")
    save(figure, handles_of(axes[0]), path, below=True)


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Draw pass@k, its difference to the base run, distinct solutions, and the fits.

    Each fit is a panel: a point for each run, its diversity against Potential@k, the least-squares
    line and R² (figure 2 of R1-zero-Div, arXiv:2505.23433, for any diversity measured here).

    The arguments and errors are those of ``draw_runs``.
    """
    check_figure(path)
    runs = comparison.everyone
    distinct = _have_distinct(runs)
    figure, axes = new_figure(
        2 + distinct + len(comparison.fits), width=WIDTH, height=HEIGHT, columns=COLUMNS
    )
    _draw_runs(axes[0], runs, "pass")
    axes[1].axhline(0, color="black", lw=1)
    for i, flow in enumerate(comparison.flows, start=1):
        draw_curve(axes[1], flow.difference_curve, flow.run, _look(i))
    k_axis(axes[1], [flow.difference_curve for flow in comparison.flows])
    axes[1].set(
        title=f"pass@k minus {safe(comparison.base.name)}, paired by problem", ylabel="difference"
    )
    if distinct:
        _draw_runs(axes[2], runs, "distinct")
    for axis, fit in zip(axes[2 + distinct :], comparison.fits, strict=True):
        _draw_fit(axis, fit)
    save(figure, handles_of(axes[0]), path, below=True)


def _look(place: int) -> dict[str, Any]:
    return BASE_LOOK if place == 0 else look(place - 1)


def _draw_runs(axis: Any, runs: Sequence[RunAnalysis], what: str) -> None:
    curves: list[Curve] = []
    for i, run in enumerate(runs):
        curve = run.pass_curve if what == "pass" else run.distinct_curve
        if curve is not None:
            draw_curve(axis, curve, run.name, _look(i))
            curves.append(curve)
    k_axis(axis, curves)
    if what == "pass":
        axis.set(title="pass@k", ylabel="share of problems solved")
    else:
        axis.set(title="distinct correct solutions in k samples", ylabel="solutions per problem")


def _draw_fit(axis: Any, fit: Fit) -> None:
    for i, (name, x, y) in enumerate(zip(fit.names, fit.x, fit.y, strict=True)):
        axis.plot(x, y, _look(i)["marker"], color=_look(i)["color"], ms=7)
        axis.annotate(safe(name), (x, y), xytext=(6, 4), textcoords="offset points", fontsize=8)
    title = f"{len(fit.x)} runs"
    if np.isfinite(fit.r_squared):
        ends = np.array([min(fit.x), max(fit.x)])
        axis.plot(ends, fit.intercept + fit.slope * ends, "--", color="#555555", lw=1)
        title = f"R² = {fit.r_squared:.2f}, {title}"
    axis.margins(0.18)
    axis.locator_params(axis="x", nbins=5)
    axis.set(
        title=title, xlabel=fit.label, ylabel=fit.potential_key.replace("potential", "Potential")
    )


def _have_distinct(runs: Sequence[RunAnalysis]) -> bool:
    return any(run.distinct_curve is not None for run in runs)
