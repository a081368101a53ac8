"""Draw docs/pass_at_k.png, the picture of the README, from the first table of the study of both ends.

python scripts/draw_pass_at_k.py
"""

import re
from pathlib import Path

import numpy as np

from polypath.report.figure_style import BASE_LOOK, draw_curve, k_axis, look, new_figure
from polypath.report.model import Curve

DOCS = Path(__file__).parents[1] / "docs"
KS = (1, 8, 16, 64)  # the columns of the table, in order
# Row of the table -> its label in the picture.
ROWS = {
    "base": "base model",
    "GRPO": "GRPO",
    "**balanced**": "polypath, preset balanced",
    "**diverse**": "polypath, preset diverse",
}


def curves() -> list[Curve]:
    """Return pass@k of each row, with the half-widths of its intervals."""
    found = {}
    for line in (DOCS / "studies" / "both_ends.md").read_text(encoding="utf-8").splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if name in ROWS and name not in found:  # later tables have these rows too
            numbers = [re.findall(r"[\d.]+", cell) for cell in cells[: len(KS)]]
            estimate, half = np.array(numbers, dtype=float).T
            low, high = estimate - half, estimate + half
            # The study's table has no bands of whole curves.
            found[name] = Curve(
                ks=KS, estimate=estimate, low=low, high=high, band_low=low, band_high=high
            )
    return [found[name] for name in ROWS]


def main() -> None:
    """Draw the picture."""
    drawn = curves()
    figure, (axis,) = new_figure(1, width=6.6, height=3.9)
    looks = (BASE_LOOK, look(0), look(2), look(1))
    for curve, label, style in zip(drawn, ROWS.values(), looks, strict=True):
        draw_curve(axis, curve, label, style)
    k_axis(axis, drawn)
    axis.set_ylabel("share of problems solved in k samples")
    axis.set_ylim(0, 1)
    axis.legend(frameon=False, loc="lower right")
    figure.savefig(DOCS / "pass_at_k.png", dpi=130)


if __name__ == "__main__":
    main()
