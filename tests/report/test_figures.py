"""Figures: written whole, in the named format, and refused early otherwise."""

from pathlib import Path

import pytest

from polypath.errors import ConfigError
from polypath.report.analysis import analyse, compare
from polypath.report.figure_style import look
from polypath.report.figures import check_figure, draw_comparison, draw_runs
from tests.report.small_runs import drawn, run_of

RATES = [0.1, 0.3, 0.5, 0.7, 0.9, 0.2, 0.4, 0.6]


@pytest.fixture(scope="module")
def comparison():
    runs = [drawn(RATES, name=name, seed=i) for i, name in enumerate(["a", "b", "c_$x"])]
    return compare(runs[0], runs[1:])


@pytest.mark.parametrize(
    ("ending", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_comparison_is_drawn_in_the_format_of_the_ending(tmp_path: Path, comparison, ending, start):
    path = tmp_path / f"figure{ending}"
    draw_comparison(comparison, path)
    assert path.read_bytes().startswith(start)
    assert path.stat().st_size > 5_000


def test_three_runs_have_a_fit_of_diversity_against_potential(comparison):
    assert comparison.fits
    assert all(len(fit.x) == len(fit.y) == 3 for fit in comparison.fits)
    assert all(not fit.r_squared > 1 for fit in comparison.fits)


def test_a_single_run_is_drawn(tmp_path: Path):
    path = tmp_path / "one.png"
    draw_runs([analyse(drawn(RATES))], path)
    assert path.stat().st_size > 5_000


def test_an_unknown_ending_is_refused_before_anything_is_computed():
    with pytest.raises(ConfigError, match=r"figure\.gif"):
        check_figure(Path("figure.gif"))


def test_runs_without_a_verdict_are_drawn_empty(tmp_path: Path):
    runs = [run_of({"a": [None]}, name=name) for name in ("base", "new")]
    path = tmp_path / "empty.png"
    draw_comparison(compare(runs[0], runs[1:]), path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_no_two_of_many_methods_look_alike():
    looks = [look(place) for place in range(100)]
    assert len({(one["color"], one["marker"]) for one in looks}) == 100
    assert len({(one["color"], one["linestyle"]) for one in looks[:36]}) == 36  # as lines
