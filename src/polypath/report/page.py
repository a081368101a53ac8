"""A comparison as one HTML file that needs no network: numbers, charts, and the solutions themselves.

Summary and tables are plain HTML, so they show without JavaScript.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from string import Template

from polypath.errors import ConfigError
from polypath.report.html_text import glossary, mark, term
from polypath.report.model import FELL, GROUPS, NOISE, ROSE, Comparison, Difference
from polypath.report.numbers import ends, number
from polypath.report.page_data import Texts, chart_data, index_data, pack_texts, to_json
from polypath.report.sentences import (
    alike,
    changes,
    headline,
    headline_measures,
    join,
    meaning,
    name_of,
    one_seed,
    reading,
)
from polypath.report.table import ARROWS, ReportTable, by_first, differences_table, metrics_table
from polypath.rollouts.files import write_file

TEXT_BUDGET = 24_000_000  # characters of packed texts; with the rest a page stays under 30 MB
NAME = 60  # characters shown of a run's name
# With its licence, which every copy must contain.
LIBRARIES = {"d3-7.9.0.min.js": "d3-LICENSE", "plot-0.6.17.min.js": "plot-LICENSE"}
SCRIPTS = ("text.js", "charts.js", "explorer.js")


@dataclass(frozen=True, kw_only=True)
class PagePicture:
    """A PNG image; the title describes it to people who cannot see it.

    Attributes:
        title: shown above the image, and read by screen readers.
        png: content of the file.
    """

    title: str
    png: bytes


def write_page(
    comparison: Comparison,
    path: str | Path,
    *,
    text_budget: int = TEXT_BUDGET,
    more: Sequence[ReportTable | PagePicture] = (),
) -> Path:
    """Write the page of a comparison.

    Texts are packed (deflate, base64) and unpacked when a problem is opened. If they exceed
    ``text_budget``, fewer and shorter ones are kept, and the page says so.

    Model output is data. It is stored as escaped JSON and shown as text nodes only. Signs that can't be
    seen or would reorder the line are shown by their code point. A Content-Security-Policy
    allows the page's own scripts and styles by their hashes, and no connection at all.

    Args:
        comparison: what to show.
        path: HTML file to write; missing folders are created.
        text_budget: characters of the file that packed texts may take.
        more: tables and pictures of a study, for their own section after the summary.

    Returns:
        The path.

    Raises:
        ConfigError: ``path`` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name the HTML file to write, such as report.html.")
    samples = [run.samples for run in comparison.everyone]
    page = _fill(comparison, pack_texts(samples, text_budget), more)
    write_file(path, page.encode())
    return path


def _fill(comparison: Comparison, texts: Texts, more: Sequence[ReportTable | PagePicture]) -> str:
    names = [run.name for run in comparison.everyone]
    base, *others = (mark(name, NAME) for name in names)
    data = {
        "runs": [name[:200] for name in names],
        "charts": chart_data(comparison),
        "problems": index_data(comparison, texts),
        "firsts": texts.firsts,
    }
    css = _asset("page.css")
    # Observable Plot puts this style into every chart whose className is "chart".
    plot_css = _asset("plot.css").removesuffix("\n")
    scripts = [
        f"/*\n{_asset(f'vendor/{licence}')}*/\n{_asset(f'vendor/{name}')}"
        for name, licence in LIBRARIES.items()
    ]
    scripts += [_asset(name) for name in SCRIPTS]
    return Template(_asset("page.html")).substitute(
        policy=_policy(scripts, [css, plot_css]),
        version=version("polypath"),
        title=mark(" / ".join(names), 120, markup=False),
        heading=f"{', '.join(others)} against {base}" if others else base,
        base_name=base,
        level=f"{100 * comparison.level:g}",
        headlines=_headlines(comparison),
        facts=_facts(comparison),
        pass_term=term("pass@k", "pass@k"),
        distinct_term=term("Distinct correct solutions", "distinct@k"),
        keep_term=term("Keep", "keep@k"),
        explore_term=term("Explore", "explore@k"),
        glossary=glossary(),
        summary=_summary(comparison) + _notes(comparison),
        more=_study_section(more),
        more_link='<a href="#study">Study</a>' if more else "",
        tables=_tables(comparison),
        texts_note=_texts_note(comparison, texts),
        css=css,
        data=to_json(data),
        chunks="\n".join(
            f'<script type="text/plain" id="chunk-{i}">{chunk}</script>'
            for i, chunk in enumerate(texts.chunks)
        ),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _policy(scripts: list[str], styles: list[str]) -> str:
    """Return a policy that runs exactly these scripts and styles, and loads nothing."""
    allowed = [
        "default-src 'none'",
        f"script-src {' '.join(map(_hash, scripts))}",
        f"style-src {' '.join(map(_hash, styles))}",
        "img-src data:",  # the empty icon; without it browsers ask the server for one
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(allowed)


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _asset(name: str) -> str:
    file = resources.files("polypath") / "assets" / "page" / name
    return file.read_bytes().decode("utf-8").replace("\r\n", "\n")


def _headlines(comparison: Comparison) -> str:
    """Return the sentences of ``sentences.headlines``, with their measures explained."""
    lines = []
    for run in comparison.runs:
        differences = comparison.differences_of(run.name)
        said = mark(headline(differences), 2000, markup=False)
        for name, d in headline_measures(differences).items():
            said = said.replace(name, term(name, d.key), 1)
        lines.append(f"<strong>{mark(run.name, NAME)}</strong>: {said}")
    lines += [mark(limit, 2000) for limit in one_seed(comparison)]
    return "".join(f'<p class="headline">{line}</p>' for line in lines)


def _facts(comparison: Comparison) -> str:
    """Return in one line what was compared."""
    parts = [f"{comparison.num_shared_problems:,} problems that all runs have"]
    parts += [f"{mark(run.name, NAME)}: {mark(reading(run))}" for run in comparison.everyone]
    parts.append(f"{100 * comparison.level:g} % intervals, seed {comparison.seed}")
    return " · ".join(parts)


def _summary(comparison: Comparison) -> str:
    """Return for each run what rose, fell and is within noise, in sentences and then number by number."""
    cards = []
    for run, flow in zip(comparison.runs, comparison.flows, strict=True):
        differences = comparison.differences_of(run.name)
        said = "".join(f"<p>{mark(sentence, 2000)}</p>" for sentence in changes(differences, flow))
        title = f"{mark(run.name, NAME)} against {mark(comparison.base.name, NAME)}"
        moves = _moves([d for d in differences if d.num_problems])
        cards.append(f'<div class="card"><h3>{title}</h3>{said}{moves}</div>')
    return "".join(cards)


def _moves(differences: Sequence[Difference]) -> str:
    rows = []
    for verdict in (ROSE, FELL, NOISE):
        chips = "".join(map(_chip, alike([d for d in differences if d.verdict == verdict])))
        if chips:
            rows.append(f"<dt>{ARROWS[verdict]} {verdict.capitalize()}</dt><dd>{chips}</dd>")
    return f'<dl class="moves">{"".join(rows)}</dl>' if rows else "<p>Nothing to compare.</p>"


def _chip(members: Sequence[Difference]) -> str:
    """Return a chip for a measure. A measure at several k shows its largest difference."""
    d = max(members, key=lambda one: abs(one.estimate))
    label = name_of(members) + (f", most at {d.k}:" if len(members) > 1 else "")
    details = [ends(d.low, d.high, sign=True) or "no interval"]
    details += [meaning(d)] if meaning(d) != d.verdict else []
    return (
        f'<span class="chip">{term(mark(label), d.key)} {number(d.estimate, sign=True)} '
        f"<small>{', '.join(details)}</small></span>"
    )


def _notes(comparison: Comparison) -> str:
    """Return what limits the numbers; empty if nothing does."""
    about = by_first(
        (note, mark(run.name, NAME)) for run in comparison.everyone for note in run.notes
    )
    found = [mark(note, 2000) for note in comparison.notes]
    found += [f"{join(names)}: {mark(note, 2000)}" for note, names in about.items()]
    if not found:
        return ""
    items = "".join(f"<li>{note}</li>" for note in found)
    return f'<h3>Exclusions and caveats</h3><ul class="notes">{items}</ul>'


def _tables(comparison: Comparison) -> str:
    """Return all metrics of all runs, and all differences, as tables that fold away."""
    metrics = [metrics_table(comparison.everyone, group) for group in GROUPS]
    inner = "".join(_titled(table) for table in metrics if table.rows or table.notes)
    parts = [_folded("Every metric of every run", inner)]
    for run in comparison.runs:
        title = f"{mark(run.name, NAME)} minus {mark(comparison.base.name, NAME)}"
        parts.append(_folded(title, differences_table(comparison, run).html()))
    return "".join(parts)


def _texts_note(comparison: Comparison, texts: Texts) -> str:
    """Return a note on which texts are in the file."""
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
            "a problem. Numbers and shares use all samples."
        )
    note += " Lost and found refer to these samples: rare solutions come and go by chance."
    missing = comparison.num_shared_problems - texts.num_problems
    if missing > 0:
        note += f" The solutions and texts of the last {missing:,} problems are left out."
    return note


def _study_section(parts: Sequence[ReportTable | PagePicture]) -> str:
    """Return the section of a study's own tables and pictures; empty if there are none."""
    if not parts:
        return ""
    inner = "".join(
        _titled(part) if isinstance(part, ReportTable) else _picture(part) for part in parts
    )
    return (
        '<section id="study" aria-labelledby="study-title">\n<h2 id="study-title">Study</h2>\n'
        f"{inner}\n</section>"
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
