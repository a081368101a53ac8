"""The quickstart's tables and picture, from plain numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

# Okabe & Ito 2008: told apart with any common colour blindness, and in grey by line style.
COLOURS = ("#000000", "#999999", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", "-", "-", "-", "-", "-", "-")
MARKERS = ("o", "o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model on one split.

    Attributes:
        method: label of the model.
        split: where it was measured.
        ks: the k's of pass@k.
        estimate: pass@k for each of ``ks``, then distinct solutions in max(ks) samples.
        low: lower ends of the 95 % intervals over problems.
        high: upper ends.
        entropy: nats per token on the model's own samples.
        seconds: of training; NaN for a model that was not trained.
    """

    method: str
    split: str
    ks: tuple[int, ...]
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    entropy: float
    seconds: float

    def record(self) -> dict[str, Any]:
        """Return the row as a flat object, its keys the column names; NaN becomes null."""
        row: dict[str, Any] = {"method": self.method, "split": self.split}
        names = [*(f"pass@{k}" for k in self.ks), "distinct"]
        for i, name in enumerate(names):
            row[name] = self.estimate[i]
            row[f"{name} low"] = self.low[i]
            row[f"{name} high"] = self.high[i]
        row["entropy"] = self.entropy
        row["seconds"] = None if math.isnan(self.seconds) else self.seconds
        return row


@dataclass(frozen=True, kw_only=True)
class Curve:
    """pass@k of one model over k, with its band."""

    label: str
    ks: tuple[int, ...]
    estimate: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TrainingCurve:
    """What one run logged, over its rounds."""

    label: str
    rounds: tuple[float, ...]
    accuracy: tuple[float, ...]
    entropy: tuple[float, ...]
    distinct: tuple[float, ...]


def print_tables(console: Console, rows: Sequence[Row], splits: Mapping[str, str]) -> None:
    """Print one table per split."""
    for split, title in splits.items():
        chosen = [row for row in rows if row.split == split]
        if not chosen:
            continue
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
        table.add_column("method", no_wrap=True)
        for name in (*(f"pass@{k}" for k in chosen[0].ks), "distinct", "entropy", "seconds"):
            table.add_column(name, justify="right", no_wrap=True)
        for row in chosen:
            seconds = "" if math.isnan(row.seconds) else f"{row.seconds:.0f}"
            table.add_row(row.method, *_cells(row), f"{row.entropy:.2f}", seconds)
        console.print(table)
    console.print(
        f"distinct: different correct solutions in {max(rows[0].ks)} samples. "
        "±: half the 95 % bootstrap interval over problems. entropy: nats per token. "
        "seconds: of training."
    )


def _cells(row: Row) -> list[str]:
    halves = [(high - low) / 2 for low, high in zip(row.low, row.high, strict=True)]
    cells = [
        f"{value:.3f}±{half:.3f}".replace("±0.", "±.")
        for value, half in zip(row.estimate, halves, strict=True)
    ]
    cells[-1] = f"{row.estimate[-1]:.2f}±{halves[-1]:.2f}".replace("±0.", "±.")
    return cells


def draw(curves: Sequence[Curve], training: Sequence[TrainingCurve], path: Path) -> None:
    """Draw pass@k, and accuracy, entropy and distinct solutions over training, into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    look = {
        curve.label: (COLOURS[i % 8], STYLES[i % 8], MARKERS[i % 8])
        for i, curve in enumerate(curves)
    }
    figure, axes = pyplot.subplots(
        1, 4, figsize=(17, 4.6), width_ratios=(1.5, 1, 1, 1), layout="constrained"
    )
    for curve in curves:
        colour, style, marker = look[curve.label]
        axes[0].plot(
            curve.ks, curve.estimate, style, color=colour, marker=marker, ms=5, label=curve.label
        )
        axes[0].fill_between(curve.ks, curve.low, curve.high, color=colour, alpha=0.12, lw=0)
    axes[0].set_xscale("log", base=2)
    axes[0].set_xticks(curves[0].ks, [str(k) for k in curves[0].ks])
    axes[0].set(
        title="pass@k on held-out problems", xlabel="k (samples per problem)", ylabel="pass@k"
    )
    panels = (
        ("accuracy", "accuracy of training samples", "share correct"),
        ("entropy", "entropy", "nats per token"),
        ("distinct", "distinct correct solutions", "per group of 16"),
    )
    for axis, (field, title, ylabel) in zip(axes[1:], panels, strict=True):
        for run in training:
            colour, style, marker = look[run.label]
            axis.plot(
                run.rounds,
                getattr(run, field),
                style,
                color=colour,
                marker=marker,
                ms=4,
                markevery=max(1, len(run.rounds) // 8),
                label=run.label,
            )
        axis.set(title=title, xlabel="round of training", ylabel=ylabel)
        axis.set_ylim(bottom=0)
    for axis in axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
