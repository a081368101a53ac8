"""The look of every figure drawn with matplotlib: colours, panels, axes of k, curves, legends."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from polypath.report.model import Curve
from polypath.rollouts.files import write_file

# Okabe & Ito 2008 without black, then Tol's muted scheme. A method keeps its colour and its marker.
PALETTE = (
    *("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#882255", "#332288", "#999933", "#44AA99", "#661100", "#AA4499"),
)
MARKERS = ("s", "^", "D", "v", "P", "X", "*", "p", "h", "<", ">", "d")
LINES = ("-", "--", ":")
BASE_LOOK = {"color": "#000000", "marker": "o", "linestyle": "--"}
DARK = "#444444"  # for what belongs to no method
MOST_BANDS = 6  # with more lines, the bands would hide each other
BAND = {"alpha": 0.12, "lw": 0}
WHOLE_BAND = {"alpha": 0.07, "lw": 0}  # the lighter one around it, which contains the whole curve


def look(place: int) -> dict[str, Any]:
    """Return colour, marker and line style of the method at a place, from 0. After twelve, pairs differ."""
    turn = place // len(PALETTE)
    return {
        "color": PALETTE[place % len(PALETTE)],
        "marker": MARKERS[(place + turn) % len(MARKERS)],
        "linestyle": LINES[turn % len(LINES)],
    }


def new_figure(
    panels: int,
    *,
    width: float,
    height: float = 4.6,
    columns: int = 0,
    margin: float = 0.0,
    wide_first: float = 1.0,
) -> tuple[Any, list[Any]]:
    """Return a figure and the axes of its panels.

    Args:
        panels: number of panels.
        width: width of each panel, in inches.
        height: height of each panel, in inches.
        columns: most panels in a row; 0 puts all in one row.
        margin: inches added at the right, for a legend or names.
        wide_first: width of the first column relative to the others.
    """
    import matplotlib  # slow to import, and most commands draw nothing

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-panels // (columns or panels))
    columns = -(-panels // rows)  # as even as possible: four panels are two by two
    widths = [wide_first, *[1.0] * (columns - 1)]
    figure, axes = pyplot.subplots(
        rows,
        columns,
        figsize=(width * sum(widths) + margin, height * rows),
        width_ratios=widths,
        layout="constrained",
        squeeze=False,
    )
    for axis in axes.flat[panels:]:
        axis.set_visible(False)
    for axis in axes.flat[:panels]:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat[:panels])


def draw_curve(
    axis: Any, curve: Curve, label: str, style: dict[str, Any], *, band: bool = True
) -> None:
    """Draw a number over k, with the intervals at each k, and lighter the band of the whole curve.

    Args:
        axis: matplotlib axis to draw on.
        curve: K estimates with their ends.
        label: label for the legend.
        style: colour, marker and line style of matplotlib; ``color`` is required.
        band: whether to draw intervals and band.
    """
    axis.plot(curve.ks, curve.estimate, ms=4, label=safe(label), **style)
    if band:
        axis.fill_between(curve.ks, curve.low, curve.high, color=style["color"], **BAND)
        ends = (curve.band_low, curve.band_high)
        axis.fill_between(curve.ks, *ends, color=style["color"], **WHOLE_BAND)


def k_axis(axis: Any, curves: Sequence[Curve]) -> None:
    """Make x the number of samples, on a scale of powers of two up to the largest k of the curves."""
    largest = max((max(curve.ks, default=1) for curve in curves), default=1)
    ticks = sorted({2**i for i in range(largest.bit_length()) if 2**i < 0.8 * largest} | {largest})
    axis.set_xscale("log", base=2)
    axis.set_xlim(0.9, 1.1 * largest)  # a logarithmic axis without points finds no limits
    axis.set_xticks(ticks, [str(k) for k in ticks])
    axis.set_xlabel("k (samples per problem)")


def save(figure: Any, handles: Sequence[Any], path: Path, *, below: bool = False) -> None:
    """Write the figure with a legend of these handles, below the panels or to their right.

    Args:
        figure: matplotlib figure; closed afterwards.
        handles: lines and markers with labels.
        path: file to write; its ending is the format. Missing folders are created.
        below: whether the legend is below the panels.
    """
    from matplotlib import pyplot

    where = "outside lower center" if below else "outside right center"
    columns = min(len(handles), 6) if below else 1
    figure.legend(handles=handles, loc=where, ncols=columns, frameon=False, fontsize=9)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=130, format=path.suffix[1:])
    pyplot.close(figure)
    write_file(path, drawn.getvalue())


def handles_of(axis: Any) -> list[Any]:
    """Return the lines and markers that the legend of an axis shows."""
    found: list[Any] = axis.get_legend_handles_labels()[0]
    return found


def legend_entry(label: str, *, color: str = DARK, **style: Any) -> Any:
    """Return a line or a marker for a legend, with its label."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, label=safe(label), **style)


def safe(name: str) -> str:
    """Keep matplotlib from reading a name as mathematics, and from hiding one that starts with "_"."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")
