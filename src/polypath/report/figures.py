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
WIDTH, HEIGHT, COLUMNS = 4.6, 4.2, 4  # inches of a panel, and panels in a row


def check_figure(path: Path) -> None:
    """Refuse a file name that no figure can be written to, before anything is computed.

    Raises:
        ConfigError: the ending is not in ``FORMATS``.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            f"A figure must be a file ending in {', '.join(FORMATS)}, got {str(path)!r}."
        )


def draw_runs(runs: Sequence[RunAnalysis], path: Path) -> None:
    """Draw pass@k and distinct correct solutions over k, with their bands.

    Args:
        runs: runs in the order of colours; the first is black.
        path: file to write.

    Raises:
        ConfigError: the ending of ``path``, which is the format, is not in ``FORMATS``.
    """
    _draw(runs, None, path)


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Draw pass@k, its difference to the base run, distinct solutions, and the fits.

    Each fit is a panel. It has a point for each run, its diversity against Potential@k, the least-squares
    line and R² (figure 2 of R1-zero-Div, arXiv:2505.23433, for any diversity measured here).

    Args:
        comparison: a base, drawn in black, with its runs.
        path: file to write.

    Raises:
        ConfigError: as ``draw_runs``.
    """
    _draw(comparison.everyone, comparison, path)


def _draw(runs: Sequence[RunAnalysis], comparison: Comparison | None, path: Path) -> None:
    check_figure(path)
    passed = [run.pass_curve for run in runs]
    distinct = [run.distinct_curve for run in runs]
    fits = comparison.fits if comparison else ()
    panels = 1 + (comparison is not None) + any(distinct) + len(fits)
    figure, axes = new_figure(panels, width=WIDTH, height=HEIGHT, columns=COLUMNS)
    rest = iter(axes)
    _draw_curves(next(rest), runs, passed, "pass@k", "share of problems solved")
    if comparison:
        axis = next(rest)
        axis.axhline(0, color="black", lw=1)
        title = f"pass@k minus {safe(comparison.base.name)}, paired by problem"
        changes = [None, *(flow.difference_curve for flow in comparison.flows)]
        _draw_curves(axis, runs, changes, title, "difference")
    if any(distinct):
        title = "distinct correct solutions in k samples"
        _draw_curves(next(rest), runs, distinct, title, "solutions per problem")
    for axis, fit in zip(rest, fits, strict=True):
        _draw_fit(axis, fit)
    save(figure, handles_of(axes[0]), path, below=True)


def _look(place: int) -> dict[str, Any]:
    return BASE_LOOK if place == 0 else look(place - 1)


def _draw_curves(
    axis: Any, runs: Sequence[RunAnalysis], curves: Sequence[Curve | None], title: str, ylabel: str
) -> None:
    for i, (run, curve) in enumerate(zip(runs, curves, strict=True)):
        if curve is not None:
            draw_curve(axis, curve, run.name, _look(i))
    k_axis(axis, [curve for curve in curves if curve is not None])
    axis.set(title=title, ylabel=ylabel)


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
