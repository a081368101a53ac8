"""Figures of analyses and comparisons, drawn with matplotlib into PNG, PDF or SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polypath.errors import ConfigError
from polypath.report.model import Comparison, Curve, Fit, RunAnalysis

# Okabe & Ito 2008: told apart with any common colour blindness, and in grey by line style.
COLOURS = ("#000000", "#999999", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", "-", "-", "-", "-", "-", "-")
MARKERS = ("o", "o", "s", "^", "D", "v", "P", "X")
FORMATS = (".png", ".pdf", ".svg")
PANEL = (4.6, 3.9)  # inches


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
    panels = ["pass@k", "distinct"] if _have_distinct(runs) else ["pass@k"]
    figure, axes = _figure(len(panels), path)
    _draw_pass(axes[0], runs)
    if len(panels) > 1:
        _draw_distinct(axes[1], runs)
    _save(figure, axes[0], path)


def draw_comparison(comparison: Comparison, path: Path) -> None:
    """Draw pass@k, its difference to the base run, distinct solutions, and the fits.

    Each fit is a panel: a point for each run, its diversity against Potential@k, the least-squares
    line and R² (figure 2 of R1-zero-Div, arXiv:2505.23433, for any diversity measured here).

    The arguments and errors are those of ``draw_runs``.
    """
    runs = [comparison.base, *comparison.runs]
    distinct = _have_distinct(runs)
    figure, axes = _figure(2 + distinct + len(comparison.fits), path)
    _draw_pass(axes[0], runs)
    axis = axes[1]
    axis.axhline(0, color=COLOURS[0], lw=1)
    for i, flow in enumerate(comparison.flows, start=1):
        _draw_curve(axis, flow.difference_curve, flow.run, i)
    _k_axis(axis, [flow.difference_curve for flow in comparison.flows])
    axis.set(
        title=f"pass@k minus {_safe(comparison.base.name)}, paired by problem", ylabel="difference"
    )
    if distinct:
        _draw_distinct(axes[2], runs)
    for axis, fit in zip(axes[2 + distinct :], comparison.fits, strict=True):
        _draw_fit(axis, fit)
    _save(figure, axes[0], path)


def _draw_pass(axis: Any, runs: Sequence[RunAnalysis]) -> None:
    for i, run in enumerate(runs):
        _draw_curve(axis, run.pass_curve, run.name, i)
    _k_axis(axis, [run.pass_curve for run in runs])
    axis.set(title="pass@k", ylabel="share of problems solved")


def _draw_distinct(axis: Any, runs: Sequence[RunAnalysis]) -> None:
    curves = []
    for i, run in enumerate(runs):
        if run.distinct_curve is not None:
            _draw_curve(axis, run.distinct_curve, run.name, i)
            curves.append(run.distinct_curve)
    _k_axis(axis, curves)
    axis.set(title="distinct correct solutions in k samples", ylabel="solutions per problem")


def _draw_curve(axis: Any, curve: Curve, name: str, i: int) -> None:
    colour, style, marker = COLOURS[i % 8], STYLES[i % 8], MARKERS[i % 8]
    axis.plot(curve.ks, curve.estimate, style, color=colour, marker=marker, ms=4, label=_safe(name))
    axis.fill_between(curve.ks, curve.low, curve.high, color=colour, alpha=0.13, lw=0)


def _k_axis(axis: Any, curves: Sequence[Curve]) -> None:
    largest = max((max(curve.ks, default=1) for curve in curves), default=1)
    ticks = sorted({2**i for i in range(largest.bit_length()) if 2**i < 0.8 * largest} | {largest})
    axis.set_xscale("log", base=2)
    axis.set_xlim(0.9, 1.1 * largest)  # a logarithmic axis without a point would find no limits
    axis.set_xticks(ticks, [str(k) for k in ticks])
    axis.set_xlabel("k (samples per problem)")


def _draw_fit(axis: Any, fit: Fit) -> None:
    for i, (name, x, y) in enumerate(zip(fit.names, fit.x, fit.y, strict=True)):
        axis.plot(x, y, MARKERS[i % 8], color=COLOURS[i % 8], ms=7)
        axis.annotate(_safe(name), (x, y), xytext=(6, 4), textcoords="offset points", fontsize=8)
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


def _safe(name: str) -> str:
    """Keep matplotlib from reading a name as mathematics, or hiding one that starts with "_"."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def _figure(num_panels: int, path: Path) -> tuple[Any, list[Any]]:
    check_figure(path)
    import matplotlib  # slow to import, and most commands draw nothing

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(num_panels, 4)
    rows = -(-num_panels // columns)
    figure, axes = pyplot.subplots(
        rows,
        columns,
        figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.4),
        layout="constrained",
        squeeze=False,
    )
    flat = list(axes.ravel())
    for axis in flat[num_panels:]:
        axis.set_visible(False)
    for axis in flat:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, flat[:num_panels]


def _save(figure: Any, first: Any, path: Path) -> None:
    from matplotlib import pyplot

    handles, labels = first.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(labels), 6), frameon=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
