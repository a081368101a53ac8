"""A comparison as one HTML file that needs no network: numbers, charts, and the solutions themselves."""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

from polypath.errors import ConfigError
from polypath.report.html_text import mark
from polypath.report.model import Comparison
from polypath.report.page_charts import chart_data
from polypath.report.page_explorer import Texts, index_data, pack_texts, to_json
from polypath.report.page_html import (
    PagePicture,
    facts,
    notes,
    study_link,
    study_section,
    summary,
    tables,
    texts_note,
)
from polypath.report.table import ReportTable

TEXT_BUDGET = 24_000_000  # characters of packed texts; with all else a page stays under 30 MB
LIBRARIES = ("d3-7.9.0.min.js", "plot-0.6.17.min.js")
LICENCES = {"d3-7.9.0.min.js": "d3-LICENSE", "plot-0.6.17.min.js": "plot-LICENSE"}
SCRIPTS = ("text.js", "charts.js", "explorer.js")
# Observable Plot puts this style into every chart whose className is "chart"; the policy names it.
PLOT_STYLE = """:where(.chart) {
  --plot-background: white;
  display: block;
  height: auto;
  height: intrinsic;
  max-width: 100%;
}
:where(.chart text),
:where(.chart tspan) {
  white-space: pre;
}"""


def write_page(
    comparison: Comparison,
    path: str | Path,
    *,
    text_budget: int = TEXT_BUDGET,
    more: Sequence[ReportTable | PagePicture] = (),
) -> Path:
    """Write the page of a comparison.

    Everything is inside the file: a summary in words, tables, charts (Observable Plot), and an
    explorer of problems with the solutions of each run. Texts are packed (deflate, base64) and
    unpacked when a problem is opened; where they exceed ``text_budget`` fewer and shorter ones are
    kept, and the page says so.

    Model output is data. It is stored as escaped JSON, shown as text nodes only, and signs that
    can't be seen or would reorder the line are shown by their code point. A Content-Security-Policy
    allows the page's own scripts and styles by their hashes, and no connection at all.

    Args:
        comparison: what to show.
        path: of the HTML file; missing folders are made.
        text_budget: characters of the file that packed texts may take.
        more: tables and pictures of a study, for a section of their own after the summary.

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
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def _fill(comparison: Comparison, texts: Texts, more: Sequence[ReportTable | PagePicture]) -> str:
    names = [run.name for run in comparison.everyone]
    others = ", ".join(mark(name, 60) for name in names[1:])
    heading = f"{others} against {mark(names[0], 60)}" if others else mark(names[0], 60)
    data: dict[str, Any] = {
        "runs": [name[:200] for name in names],
        "charts": chart_data(comparison),
        "problems": index_data(comparison, texts),
        "firsts": texts.firsts,
    }
    css = _asset("page.css")
    scripts = [_library(name) for name in LIBRARIES] + [_asset(name) for name in SCRIPTS]
    return Template(_asset("page.html")).substitute(
        policy=_policy(scripts, [css, PLOT_STYLE]),
        version=version("polypath"),
        title=mark(" / ".join(names), 120, markup=False),
        heading=heading,
        base_name=mark(names[0], 60),
        level=f"{100 * comparison.level:g}",
        facts=facts(comparison),
        summary=summary(comparison) + notes(comparison),
        more=study_section(more),
        more_link=study_link(more),
        tables=tables(comparison),
        texts_note=texts_note(comparison, texts),
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
    allowed = {
        "default-src": ["'none'"],
        "script-src": [_hash(script) for script in scripts],
        "style-src": [_hash(style) for style in styles],
        "img-src": ["data:"],  # the empty icon, else browsers ask the server for one
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in allowed.items())


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _library(name: str) -> str:
    """Return a vendored script with its licence, which must be in every copy."""
    licence = _asset(f"vendor/{LICENCES[name]}")
    return f"/*\n{licence}*/\n{_asset(f'vendor/{name}')}"


def _asset(name: str) -> str:
    file = resources.files("polypath") / "assets" / "page" / name
    return file.read_bytes().decode("utf-8").replace("\r\n", "\n")
