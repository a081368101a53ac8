"""Tables for the terminal, as Markdown and as HTML, and the tables of runs and comparisons."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from polypath.report.html_text import mark, term
from polypath.report.model import FELL, NOISE, ROSE, Comparison, Difference, Metric, RunAnalysis
from polypath.report.numbers import MISSING, effect, ends, number, p_value
from polypath.terminal import visible

TERMINAL_STYLES = {ROSE: "green", FELL: "red", NOISE: "dim"}
ARROWS = {ROSE: "▲", FELL: "▼", NOISE: "≈"}
P_NOTE = (
    "p: corrected for the several k of one measure, not for the number of measures. detectable: "
    "minimum detectable effect, the smallest true difference detected with 80 % power."
)


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: what it shows.
        detail: shown small after the text, such as an interval.
        bold: whether it is emphasised.
        verdict: verdict of a difference: a colour in the terminal, an arrow in HTML; else empty.
    """

    text: str
    detail: str = ""
    bold: bool = False
    verdict: str = ""

    @property
    def whole(self) -> str:
        """Text and detail."""
        return f"{self.text} {self.detail}" if self.detail else self.text

    @property
    def style(self) -> str:
        """Its style in a terminal."""
        return TERMINAL_STYLES.get(self.verdict, "bold" if self.bold else "")


Cells = tuple[Cell | str, ...]  # a row; a plain text is a cell, too


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """Rows of cells under headings; the first column is a name, the others are numbers.

    Attributes:
        title: shown above the table.
        columns: headings, one per cell of a row.
        rows: in order.
        notes: sentences below the table.
        words: headings of columns besides the first that hold words instead of numbers.
        sections: numbers of rows after which the terminal leaves a gap.
        measures: heading or first cell -> key of the measure that it names.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Cells, ...]
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    sections: tuple[int, ...] = ()
    measures: Mapping[str, str] = field(default_factory=dict)

    def cells(self) -> Iterator[list[Cell]]:
        """Yield the cells of each row."""
        for row in self.rows:
            yield [Cell(cell) if isinstance(cell, str) else cell for cell in row]

    def terminal(self) -> Table:
        """Return the table without its notes, for a rich console."""
        drawn = Table(
            title=Text(visible(self.title)),
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        for n, column in enumerate(self.columns):
            left = n == 0 or column in self.words
            drawn.add_column(Text(visible(column)), justify="left" if left else "right")
        for n, row in enumerate(self.cells()):
            texts = [Text(visible(cell.whole), cell.style) for cell in row]
            drawn.add_row(*texts, end_section=n in self.sections)
        return drawn

    def markdown(self) -> str:
        """Return the table with its title as a heading, and its notes."""
        lines = [f"## {self.title}", ""]
        lines.append("| " + " | ".join(_escaped(column) for column in self.columns) + " |")
        lines.append("|---" + "|---:" * (len(self.columns) - 1) + "|")
        for row in self.cells():
            cells = [f"**{_escaped(c.whole)}**" if c.bold else _escaped(c.whole) for c in row]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join([*lines, "", *(f"{note}\n" for note in self.notes)])

    def html(self) -> str:
        """Return the table and its notes without its title. The content of cells is shown as plain text."""
        keys = self.measures
        names = (term(mark(name, 60), keys.get(name, "")) for name in self.columns)
        head = "".join(f"<th>{name}</th>" for name in names)
        rows = (
            f"<td>{term(_html_cell(first), keys.get(first.text, ''))}</td>"
            + "".join(f"<td>{_html_cell(cell)}</td>" for cell in others)
            for first, *others in self.cells()
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        notes = "".join(f'<p class="hint">{mark(note, 2000)}</p>' for note in self.notes)
        return f'<div class="table" tabindex="0"><table><tr>{head}</tr>{body}</table></div>{notes}'


def print_tables(console: Console, tables: Sequence[ReportTable]) -> None:
    """Print tables. A note that several share is printed once, after the last of them."""
    for i, table in enumerate(tables):
        if table.rows:
            console.print(table.terminal())
        later = {note for other in tables[i + 1 :] for note in other.notes}
        for note in table.notes:
            if note not in later:
                console.print(Text(note, style="dim"))


def _html_cell(cell: Cell) -> str:
    text = mark(cell.text)
    if cell.verdict:
        text = f"{ARROWS[cell.verdict]} {text}"
    if cell.bold:
        text = f"<strong>{text}</strong>"
    return f"{text} <small>{mark(cell.detail)}</small>" if cell.detail else text


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def metrics_table(runs: Sequence[RunAnalysis], group: str) -> ReportTable:
    """Return the metrics of one group, one row each, with a column for each run.

    Metrics without a value in any run have no row; the notes say why.

    Args:
        runs: runs in the order of columns.
        group: one of ``GROUPS``; also the title.
    """
    metrics = [(run, m) for run in runs for m in run.metrics if m.group == group]
    known = {m.key for _, m in metrics if math.isfinite(m.estimate)}
    shown = [m for key, m in {m.key: m for _, m in metrics}.items() if key in known]
    notes = [
        (f"{run.name}: {note}" if len(runs) > 1 else note, m.label)
        for run, m in metrics
        for note in filter(None, m.note.split("; "))
    ]
    return ReportTable(
        title=group,
        columns=("measure", *(run.name for run in runs)),
        rows=tuple((m.label, *(_cell(run.metric(m.key)) for run in runs)) for m in shown),
        notes=(*_directions(shown), *_grouped(notes)),
        measures={m.label: m.key for m in shown},
    )


def differences_table(comparison: Comparison, run: RunAnalysis) -> ReportTable:
    """Return the differences of one run to the base, one row for each measure with a value.

    Args:
        comparison: the base with its runs.
        run: one of these.
    """
    differences = comparison.differences_of(run.name)
    known = [d for d in differences if math.isfinite(d.estimate)]
    last_of_group = {d.group: n for n, d in enumerate(known)}
    return ReportTable(
        title=f"{run.name} against {comparison.base.name}",
        columns=("measure", "base", "run", "difference", "p", "detectable", "problems", "verdict"),
        rows=tuple(map(_difference_row, known)),
        notes=(*_grouped(_notes_of_differences(differences)), P_NOTE),
        words=("verdict",),
        measures={d.label: d.key for d in known} | {"p": "p", "detectable": "detectable"},
        sections=tuple(last_of_group.values()),
    )


def _difference_row(d: Difference) -> Cells:
    return (
        d.label,
        number(d.base_value),
        number(d.run_value),
        Cell(number(d.estimate, sign=True), detail=ends(d.low, d.high, sign=True)),
        p_value(d.p_holm),
        effect(d.smallest_detectable),
        f"{d.num_problems:,}",
        Cell(d.verdict, verdict=d.verdict),
    )


def _notes_of_differences(differences: Sequence[Difference]) -> Iterator[tuple[str, str]]:
    """Leave out what the column of problems already says."""
    for d in differences:
        for note in d.note.split("; "):
            if math.isnan(d.estimate) or not note.startswith("left out"):
                yield note, d.label


def _directions(metrics: Sequence[Metric]) -> list[str]:
    """Say in which direction most measures point, and which measures point in another."""
    labels = by_first((m.higher_is, m.label) for m in metrics)
    most = max(labels, key=lambda direction: len(labels[direction]), default="")
    others = [f"{which}: {', '.join(of)}" for which, of in labels.items() if which != most]
    return [f"Higher is {'; '.join([most, *others])}."] if most else []


def _grouped(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Join the measures that have the same note."""
    return [f"{note}: {', '.join(of)}" for note, of in by_first(notes).items() if note]


def by_first(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Group pairs by their first text, without repeats of the second."""
    found: dict[str, dict[str, None]] = {}
    for first, second in pairs:
        found.setdefault(first, {})[second] = None
    return {first: list(seconds) for first, seconds in found.items()}


def _cell(metric: Metric | None) -> Cell:
    if metric is None:
        return Cell(MISSING)
    return Cell(number(metric.estimate), detail=ends(metric.low, metric.high))
