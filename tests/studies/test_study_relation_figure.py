"""The figure of relations: every method in its colour, and nothing that breaks without points."""

from pathlib import Path
from types import SimpleNamespace

import matplotlib.image
import numpy as np
import pytest

from polypath.report.figure_style import PALETTE, new_figure
from polypath.studies.config import Relation
from polypath.studies.figures import draw_relations
from polypath.studies.plan import CHECKPOINT, END, TEMPERATURE
from polypath.studies.relation_metrics import Measured
from polypath.studies.relations import ALL, Point, RelationResult, _relate, is_chosen

STUDY = SimpleNamespace(
    methods={name: SimpleNamespace(label=f"{name} $x_$") for name in ("grpo", "dra")},
    main=SimpleNamespace(split="dev"),
)


def point(name: str, kind: str, x: float, y: float) -> Point:
    values = {"x": x, "y": y, "pass@1": x}
    return Point(
        name=name,
        label=f"{name} {kind}",
        run=name,
        kind=kind,
        temperature=1.0,
        folder=Path(),
        metrics={k: Measured(label=f"the {k}", value=v, num_problems=5) for k, v in values.items()},
    )


def result(*, where: str = "", above: float = 0.0, y: float = 0.0) -> RelationResult:
    points = [
        point("base", END, 0.1, 0.2),
        point("base", TEMPERATURE, 0.2, 0.1),
        point("grpo", CHECKPOINT, 0.3, 0.5),
        point("grpo", END, 0.4, 0.4),
        point("dra", END, 0.5, y or 0.7),
    ]
    return _relate(Relation(x="x", y="y", where=where, above=above), points)


def colors_in(path: Path) -> set[str]:
    pixels = (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int).reshape(-1, 3)
    return {"#{:02X}{:02X}{:02X}".format(*pixel) for pixel in np.unique(pixels, axis=0)}


def test_methods_have_their_colours_and_unchosen_models_are_pale(tmp_path: Path):
    draw_relations(STUDY, [result()], tmp_path / "all.png")
    assert {PALETTE[0], PALETTE[1], "#000000"} <= colors_in(tmp_path / "all.png")


def test_a_choice_has_a_line_of_its_own(tmp_path: Path):
    chosen = result(where="pass@1", above=0.1)
    assert {over: fit.models for over, fit in chosen.fits.items()} == {ALL: 5, "pass@1 > 0.1": 4}
    assert [is_chosen(chosen.relation, p) for p in chosen.points] == [False, True, True, True, True]
    nobody = result(where="pass@1", above=0.9)
    assert nobody.fits["pass@1 > 0.9"].note == "fewer than 3 models"
    draw_relations(STUDY, [chosen, nobody], tmp_path / "two.png")
    draw_relations(STUDY, [chosen], tmp_path / "one.png")
    two, one = (matplotlib.image.imread(tmp_path / f"{n}.png").shape for n in ("two", "one"))
    assert two[1] > 1.5 * one[1]
    assert two[0] == one[0]


def test_a_model_without_a_value_is_left_out_with_the_reason():
    found = result(y=float("nan"))
    assert found.left_out == {"dra end": "y: no problem has a value"}
    assert found.fits[ALL].models == 4


def test_a_relation_that_no_model_has_is_an_empty_panel(tmp_path: Path):
    empty = _relate(Relation(x="x", y="y"), [point("base", END, float("nan"), 0.1)])
    assert empty.fits[ALL].note == "fewer than 3 models"
    draw_relations(STUDY, [empty], tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000


@pytest.mark.parametrize(("panels", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (7, (3, 3))])
def test_panels_beyond_a_row_go_below(panels: int, shape: tuple[int, int]):
    from matplotlib import pyplot

    figure, axes = new_figure(panels, width=2.0, height=1.5, columns=3)
    grid = axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    assert len(axes) == panels
    assert sum(axis.get_visible() for axis in figure.axes) == panels
    pyplot.close(figure)
