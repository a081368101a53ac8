"""A part of the page for what its maker adds: tables and pictures, plain HTML without scripts."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from polypath.report.page_words import mark


@dataclass(frozen=True, kw_only=True)
class PageTable:
    """Rows of cells under headings, the first column a name; each cell a text, and whether it is bold."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, bool], ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PagePicture:
    """A PNG image; the title is what is told of it to those who do not see it."""

    title: str
    png: bytes


def section(parts: Sequence[PageTable | PagePicture]) -> str:
    """Return the section of the page; empty without parts."""
    if not parts:
        return ""
    inner = "".join(
        _table(part) if isinstance(part, PageTable) else _picture(part) for part in parts
    )
    return (
        '<section id="study" aria-labelledby="study-title">\n<h2 id="study-title">Study</h2>\n'
        f"{inner}\n</section>"
    )


def link(parts: Sequence[PageTable | PagePicture]) -> str:
    """Return the section's entry in the page's list of parts; empty without parts."""
    return '<a href="#study">Study</a>' if parts else ""


def _table(table: PageTable) -> str:
    head = "".join(f"<th>{mark(name, 60)}</th>" for name in table.columns)
    rows = []
    for row in table.rows:
        cells = [f"<strong>{mark(text)}</strong>" if bold else mark(text) for text, bold in row]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    notes = "".join(f'<p class="hint">{mark(note, 2000)}</p>' for note in table.notes)
    return (
        f"<h3>{mark(table.title)}</h3>"
        f'<div class="table" tabindex="0"><table><tr>{head}</tr>{"".join(rows)}</table></div>{notes}'
    )


def _picture(picture: PagePicture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    title = mark(picture.title, markup=False)
    return (
        f"<figure><figcaption>{title}</figcaption>"
        f'<img class="picture" alt="{title}" src="data:image/png;base64,{data}"></figure>'
    )
