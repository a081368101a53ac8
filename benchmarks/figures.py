"""Draw the figures of docs/performance.md from the results of the benchmarks.

python benchmarks/figures.py                 # docs/training_growth.png, docs/reward_adjustment.png
python benchmarks/figures.py --folder DIR    # there instead
"""

import argparse
from pathlib import Path
from typing import Any

import tables
from matplotlib.figure import Figure
from table_rows import KINDS, middle

COLORS = {
    "positive entropy, paper": "#1b6ca8",
    "positive entropy, exact": "#6fb1dd",
    "dra, ngram": "#5a8f29",
    "dra, answer": "#a3c76d",
    "dra, MiniLM": "#20603d",
    "rehearsal": "#c8553d",
    "all three": "#111111",
    "TRL beta": "#8e5ea2",
    "TRL entropy_coef": "#c39bd3",
}
SIZES = {
    "group": "completions of a prompt",
    "length": "tokens of a completion",
    "vocabulary": "words of the vocabulary",
    "width": "million parameters",
}
Row = dict[str, Any]


def draw_growth(rows: list[Row], path: Path) -> None:
    """Draw a row of panels for each size: time on the left, memory on the right."""
    sizes = [size for size in SIZES if any(row["size"] == size for row in rows)]
    figure = Figure(figsize=(11, 3.4 * len(sizes)), layout="constrained")
    for line, size in zip(figure.subplots(len(sizes), 2, squeeze=False), sizes, strict=True):
        of_size = [row for row in rows if row["size"] == size]
        for axes, what in zip(line, ("step_ratio", "tensor_ratio"), strict=True):
            draw_panel(axes, of_size, what)
            axes.set_xlabel(SIZES[size])
    figure.axes[0].set_title("CPU time of a step\n(grey: between two stock trainers)", fontsize=10)
    figure.axes[1].set_title("most bytes in tensors at once", fontsize=10)
    figure.suptitle("Times stock TRL, by what grows")
    figure.savefig(path, dpi=110)


def draw_panel(axes: Any, rows: list[Row], what: str) -> None:
    values = list(dict.fromkeys(row["value"] for row in rows))
    at = {row["value"]: row["parameters"] / 1e6 for row in rows}
    places = [at[value] if rows[0]["size"] == "width" else value for value in values]

    def line(arm: str, which: int | None = None) -> list[float]:
        by = {row["value"]: row[what] for row in rows if row["arm"] == arm}
        return [
            by[value] if what == "tensor_ratio" else by[value][1 if which is None else which]
            for value in values
        ]

    if what == "step_ratio":
        axes.fill_between(
            places, line("stock"), line("stock again"), color="#999999", alpha=0.5, linewidth=0
        )
    ends = {}
    arms = [arm for arm in COLORS if any(row["arm"] == arm for row in rows)]
    for arm in arms:
        axes.plot(places, line(arm), "o-", color=COLORS[arm], markersize=3, linewidth=1.4)
        if what == "step_ratio":
            axes.fill_between(
                places, line(arm, 0), line(arm, 2), color=COLORS[arm], alpha=0.1, linewidth=0
            )
        ends[arm] = line(arm)[-1]
    axes.set_xscale("log", base=2)
    axes.set_xticks(places, [f"{place:,.0f}" for place in places])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    label_ends(axes, places[-1], ends)


def label_ends(axes: Any, place: float, ends: dict[str, float]) -> None:
    """Write the arms beside the ends of their lines, moved apart where they would overlap."""
    low, high = axes.get_ylim()
    low, high = min(low, 0.95), max(high, 1.3)
    axes.set_ylim(low, high)
    gap = 0.085
    order = sorted(ends, key=lambda arm: ends[arm])
    heights = [(ends[arm] - low) / (high - low) for arm in order]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + gap)
    over = max(0.0, heights[-1] - 1.0)  # too high: push down from the top
    if over:
        heights[-1] -= over
        for i in range(len(heights) - 2, -1, -1):
            heights[i] = min(heights[i], heights[i + 1] - gap)
    for arm, height in zip(order, heights, strict=True):
        axes.annotate(  # a thin line from the end of the arm's line to its label
            "",
            xy=(place, ends[arm]),
            xytext=(1.07, height),
            textcoords="axes fraction",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": COLORS[arm], "linewidth": 0.5, "shrinkB": 2},
        )
        axes.text(
            1.08,
            height,
            f"{arm} {ends[arm]:.2f}",
            transform=axes.transAxes,
            color=COLORS[arm],
            fontsize=8,
            va="center",
        )


def draw_adjustment(rows: list[Row], path: Path) -> None:
    """Draw how the time grows with P, G and D."""
    fits = {(row["exponent"], row["size"]): row["whole"] for row in rows if "exponent" in row}
    swept = [row for row in rows if "sweep" in row]
    names = {"P": "prompts P", "G": "completions per prompt G", "D": "embedding width D"}
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, axis in zip(figure.subplots(1, 3, sharey=True), names, strict=True):
        of_axis = [row for row in swept if row["sweep"] == axis]
        sizes = [row[axis] for row in of_axis]
        for color, kind in zip(("#1b6ca8", "#5a8f29", "#c8553d"), KINDS, strict=True):
            axes.plot(
                sizes,
                [middle(row[f"{kind}_whole_seconds"]) for row in of_axis],
                "o-",
                color=color,
                markersize=4,
                label=f"{kind.replace('_', ' ')}: {axis}$^{{{fits[kind, axis]:.2f}}}$",
            )
            alone = [middle(row[f"{kind}_seconds"]) for row in of_axis]
            axes.plot(sizes, alone, ":", color=color)
        products = [middle(row["reference_seconds"]) for row in of_axis]
        axes.plot(sizes, products, "--", color="#888888", label="bare product")
        fixed = {name: of_axis[0][name] for name in "PGD" if name != axis}
        axes.set_title(", ".join(f"{name} = {value}" for name, value in fixed.items()), fontsize=10)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xlabel(names[axis])
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("CPU seconds, one thread")
    figure.suptitle(
        "Reward adjustment from embeddings to advantages (dotted: without the similarity)",
        fontsize=11,
    )
    figure.savefig(path, dpi=120)


FIGURES = {"training_growth": draw_growth, "reward_adjustment": draw_adjustment}


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--folder", type=Path, default=tables.ROOT / "docs")
    made.add_argument("--results", type=Path, default=tables.RESULTS)
    options = made.parse_args()
    for name, result in tables.read(options.results).items():
        if name in FIGURES:
            FIGURES[name](result["rows"], options.folder / f"{name}.png")
            print(options.folder / f"{name}.png")


if __name__ == "__main__":
    main()
