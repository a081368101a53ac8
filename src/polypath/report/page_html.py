"""The parts of the page that are plain HTML: they are there without JavaScript, too."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from polypath.report.html_text import mark
from polypath.report.model import (
    FELL,
    GROUPS,
    NOISE,
    ROSE,
    Comparison,
    Difference,
    Flow,
    RunAnalysis,
)
from polypath.report.numbers import ends, number
from polypath.report.page_explorer import Texts
from polypath.report.sentences import changes, families, join, meaning, name_of, reading
from polypath.report.table import ARROWS, ReportTable
from polypath.report.tables import differences_table, metrics_table

NAME = 60  # characters shown of a run's name


@dataclass(frozen=True, kw_only=True)
class PagePicture:
    """A PNG image; the title describes it to those who do not see it."""

    title: str
    png: bytes


def facts(comparison: Comparison) -> str:
    """Return what was compared, in one line."""
    parts = [f"{comparison.num_shared_problems:,} problems that all runs have"]
    parts += [f"{mark(run.name, NAME)}: {mark(reading(run))}" for run in comparison.everyone]
    parts.append(f"{100 * comparison.level:g} % intervals, seed {comparison.seed}")
    return " · ".join(parts)


def summary(comparison: Comparison) -> str:
    """Return for each run what rose, fell and is within noise: in sentences, then number by number."""
    return "".join(
        _card(comparison, run, flow)
        for run, flow in zip(comparison.runs, comparison.flows, strict=True)
    )


def notes(comparison: Comparison) -> str:
    """Return what limits the numbers; empty without any."""
    about: dict[str, list[str]] = {}  # note -> runs it holds for
    for run in comparison.everyone:
        for note in run.notes:
            about.setdefault(note, []).append(mark(run.name, NAME))
    found = [mark(note, 2000) for note in comparison.notes]
    found += [f"{join(names)}: {mark(note, 2000)}" for note, names in about.items()]
    if not found:
        return ""
    items = "".join(f"<li>{note}</li>" for note in found)
    return f'<h3>Exclusions and caveats</h3><ul class="notes">{items}</ul>'


def tables(comparison: Comparison) -> str:
    """Return all metrics of all runs, and all differences, as tables that fold away."""
    metrics = [metrics_table(comparison.everyone, group) for group in GROUPS]
    inner = "".join(_titled(table) for table in metrics if table.rows or table.notes)
    parts = [_folded("Every metric of every run", inner)]
    for run in comparison.runs:
        title = f"{mark(run.name, NAME)} minus {mark(comparison.base.name, NAME)}"
        parts.append(_folded(title, differences_table(comparison, run).html()))
    return "".join(parts)


def texts_note(comparison: Comparison, texts: Texts) -> str:
    """Return what of the texts is in the file."""
    limits = texts.limits
    if limits.texts is None:
        note = f"Every sample is here; texts of more than {limits.chars:,} characters are cut."
    elif limits.texts == 0:
        note = (
            f"To keep this file small, sample texts are left out, and up to {limits.solutions} "
            "solutions of each run are shown for a problem."
        )
    else:
        note = (
            f"To keep this file small, texts are sampled: up to {limits.texts} for each solution, cut "
            f"at {limits.chars:,} characters, and up to {limits.solutions} solutions of each run for "
            "a problem. Numbers and shares rest on all samples."
        )
    note += " Lost and found refer to these samples: rare solutions come and go by chance."
    missing = comparison.num_shared_problems - texts.num_problems
    if missing > 0:
        note += f" The solutions and texts of the last {missing:,} problems are left out."
    return note


def study_section(parts: Sequence[ReportTable | PagePicture]) -> str:
    """Return the section of a study's own tables and pictures; empty without any."""
    if not parts:
        return ""
    inner = "".join(
        _titled(part) if isinstance(part, ReportTable) else _picture(part) for part in parts
    )
    return (
        '<section id="study" aria-labelledby="study-title">\n<h2 id="study-title">Study</h2>\n'
        f"{inner}\n</section>"
    )


def study_link(parts: Sequence[ReportTable | PagePicture]) -> str:
    """Return the study section's entry in the page's list of parts; empty without any."""
    return '<a href="#study">Study</a>' if parts else ""


def _card(comparison: Comparison, run: RunAnalysis, flow: Flow) -> str:
    differences = comparison.differences_of(run.name)
    said = "".join(f"<p>{mark(sentence, 2000)}</p>" for sentence in changes(differences, flow))
    rows = []
    for verdict in (ROSE, FELL, NOISE):
        found = [d for d in differences if d.verdict == verdict and d.num_problems]
        chips = "".join(_chip(members) for members in families(found).values())
        if chips:
            title = f"{ARROWS[verdict]} {verdict.capitalize()}"
            rows.append(f"<dt>{title}</dt><dd>{chips}</dd>")
    return (
        f'<div class="card"><h3>{mark(run.name, NAME)} against {mark(comparison.base.name, NAME)}'
        f"</h3>{said}"
        + (f'<dl class="moves">{"".join(rows)}</dl>' if rows else "<p>Nothing to compare.</p>")
        + "</div>"
    )


def _chip(members: Sequence[Difference]) -> str:
    """Return a chip for a measure; one at several k shows its largest difference."""
    d = max(members, key=lambda one: abs(one.estimate))
    label = name_of(members) + (f", most at {d.k}:" if len(members) > 1 else "")
    details = [ends(d.low, d.high, sign=True) or "no interval"]
    details += [meaning(d)] if meaning(d) != d.verdict else []
    return (
        f'<span class="chip">{mark(label)} {number(d.estimate, sign=True)} '
        f"<small>{', '.join(details)}</small></span>"
    )


def _titled(table: ReportTable) -> str:
    return f"<h3>{mark(table.title)}</h3>{table.html()}"


def _picture(picture: PagePicture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    title = mark(picture.title, markup=False)
    return (
        f"<figure><figcaption>{title}</figcaption>"
        f'<img class="picture" alt="{title}" src="data:image/png;base64,{data}"></figure>'
    )


def _folded(title: str, inner: str) -> str:
    return f"<details><summary>{title}</summary>{inner}</details>"
