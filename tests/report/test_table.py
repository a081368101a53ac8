"""A table says the same in all forms, and numbers are written alike everywhere."""

import io
import math

import pytest
from rich.console import Console

from polypath.report.numbers import MISSING, ends, number, p_value, with_ends, with_half
from polypath.report.table import Cell, ReportTable, print_tables

NAME = "[red]x[/red] | <b>*"


def made(**changes: object) -> ReportTable:
    rows = (
        (NAME, "1", Cell("0.2", detail="[0.1, 0.3]"), Cell("fell", verdict="fell")),
        ("b", "2", Cell("0.4", bold=True), Cell("rose", verdict="rose")),
    )
    settings = {
        "title": "T [x]",
        "columns": ("measure", "a|b", "<i>", "verdict"),
        "rows": rows,
        "notes": ("note <1>",),
        "words": ("verdict",),
        "sections": (0,),
    } | changes
    return ReportTable(**settings)  # type: ignore[arg-type]


def shown(*tables: ReportTable) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    print_tables(console, tables)
    return console.export_text()


def test_the_terminal_shows_every_cell_as_it_is():
    text = shown(made())
    for part in ("T [x]", NAME, "a|b", "<i>", "0.2 [0.1, 0.3]", "0.4", "rose", "note <1>"):
        assert part in text


def test_a_note_of_several_tables_is_printed_once_and_a_table_without_rows_not_at_all():
    text = shown(made(), made(rows=(), title="empty", notes=("note <1>", "why")))
    assert text.count("note <1>") == 1
    assert "why" in text
    assert "empty" not in text


def test_markdown_keeps_signs_that_would_break_a_table():
    lines = made().markdown().splitlines()
    assert lines[0] == "## T [x]"
    assert lines[2:6] == [
        "| measure | a\\|b | <i> | verdict |",
        "|---|---:|---:|---:|",
        "| [red]x[/red] \\| <b>\\* | 1 | 0.2 [0.1, 0.3] | fell |",
        "| b | 2 | **0.4** | rose |",
    ]
    assert "note <1>" in lines


def test_html_shows_text_as_text():
    html = made().html()
    assert "<b>" not in html
    assert html.count("<tr>") == 3
    assert "<strong><bdi>0.4</bdi></strong>" in html
    assert "<small><bdi>[0.1, 0.3]</bdi></small>" in html
    assert "&lt;i&gt;" in html
    assert "note &lt;1&gt;" in html


@pytest.mark.parametrize(
    ("value", "text"), [(0.03121, "0.031"), (12.345, "12.35"), (123.45, "123.5"), (-0.5, "-0.500")]
)
def test_numbers_have_the_decimals_they_need(value: float, text: str):
    assert number(value) == text
    assert number(0.2, sign=True) == "+0.200"
    assert number(value, places=1) == f"{value:.1f}"


def test_intervals_and_p_values_are_written_with_what_is_known():
    assert with_ends(0.5, 0.25, 0.75) == "0.500 [0.250, 0.750]"
    assert with_ends(0.5, math.nan, math.nan, sign=True) == "+0.500"
    assert with_half(0.5, 0.25, 0.75) == "0.500 ±.250"
    assert with_half(0.5, math.nan, math.nan, places=1) == "0.5"
    assert with_ends(math.nan, 0, 1) == with_half(math.nan, 0, 1) == number(math.nan) == MISSING
    assert ends(math.nan, math.nan) == ""
    assert [p_value(p) for p in (0.0004, 0.0312, 1.0, math.nan)] == [
        "<.001",
        ".031",
        "1.000",
        MISSING,
    ]
