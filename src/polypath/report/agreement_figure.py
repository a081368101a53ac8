"""The figure of what similarities see: how similar pairs of each kind are."""

from collections.abc import Sequence
from pathlib import Path

from polypath.report.agreement import SimilarityAgreement
from polypath.report.figure_style import PALETTE, handles_of, new_figure, safe, save
from polypath.report.figures import COLUMNS, HEIGHT, WIDTH, check_figure
from polypath.report.numbers import with_ends


def draw_agreement(found: Sequence[SimilarityAgreement], path: Path) -> None:
    """Draw for each similarity the distributions of pairs with the same and with different solutions.

    Pairs of equal texts are not drawn.

    Args:
        found: one panel each.
        path: file to write; its ending is the format.

    Raises:
        ConfigError: matplotlib cannot write such a file.
    """
    check_figure(path)
    figure, axes = new_figure(len(found), width=WIDTH, height=HEIGHT, columns=COLUMNS)
    for axis, one in zip(axes, found, strict=True):
        drawn = one.distribution
        for color, label, shares in (
            (PALETTE[0], "same solution, other text", drawn.same),
            (PALETTE[1], "different solutions", drawn.different),
        ):
            axis.stairs(shares, drawn.edges, fill=True, alpha=0.25, color=color)
            axis.stairs(shares, drawn.edges, color=color, label=label)
        auc = one.different_texts.auc
        told = with_ends(float(auc.estimate), float(auc.low), float(auc.high), places=2)
        axis.set(
            title=f"{safe(one.name)}: AUC {told}", xlabel="similarity", ylabel="share of pairs"
        )
    save(figure, handles_of(axes[0]), path, below=True)
