"""The parts of the page that are plain HTML: they are there without JavaScript, too."""

import html
import math
import re
from collections.abc import Sequence

from polypath.report.model import (
    FELL,
    FOUND,
    KEPT,
    LOST,
    NOISE,
    ROSE,
    UNSOLVED,
    Comparison,
    Difference,
    Flow,
    RunAnalysis,
)
from polypath.report.page_data import Texts
from polypath.report.words import join

# The same signs as in assets/page/text.js: unseen, reordering, or not to be written in UTF-8.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_ARROWS = {ROSE: "▲", FELL: "▼", NOISE: "≈"}
_OPPOSITE = {"more diverse": "less diverse", "less diverse": "more diverse"}
_GROUPS = {
    "correctness": "Correctness",
    "solutions": "Solutions",
    "text diversity": "Text diversity",
}


def mark(text: str, limit: int = 400, *, markup: bool = True) -> str:
    """Return text from outside as HTML that shows it and does nothing else.

    Args:
        text: anything, lone surrogates included.
        limit: characters shown.
        markup: whether to keep its direction to itself by ``<bdi>``; titles can't hold markup.
    """
    cut = text[:limit] + ("…" if len(text) > limit else "")
    seen = html.escape(_UNSEEN.sub(lambda sign: f"[U+{ord(sign[0]):04X}]", cut))
    return f"<bdi>{seen}</bdi>" if markup else seen


def facts(comparison: Comparison) -> str:
    """Return what was compared, in one line."""
    parts = [f"{comparison.num_shared_problems:,} problems that all runs have"]
    for run in (comparison.base, *comparison.runs):
        seeds = f" of {run.num_seeds} seeds" if run.num_seeds > 1 else ""
        parts.append(f"{mark(run.name, 60)}: {run.num_samples:,} samples{seeds}")
    parts.append(f"{100 * comparison.level:g} % intervals, seed {comparison.seed}")
    return " · ".join(parts)


def summary(comparison: Comparison) -> str:
    """Return for each run what rose, fell and is within noise: in sentences, then number by number."""
    return "".join(
        _card(comparison, run, flow)
        for run, flow in zip(comparison.runs, comparison.flows, strict=True)
    )


def notes(comparison: Comparison) -> str:
    """Return what was left out, and what else a reader must know."""
    runs = (comparison.base, *comparison.runs)
    about: dict[str, list[str]] = {}  # note -> runs it holds for
    for run in runs:
        for note in _run_notes(comparison, run):
            about.setdefault(note, []).append(mark(run.name, 60))
    found = [mark(note, 2000) for note in comparison.notes]
    found += [
        f"{'all runs' if len(n) == len(runs) > 1 else join(n)}: {note}" for note, n in about.items()
    ]
    if not found:
        return ""
    items = "".join(f"<li>{note}</li>" for note in found)
    return f'<h3>Left out, and to know</h3><ul class="notes">{items}</ul>'


def _run_notes(comparison: Comparison, run: RunAnalysis) -> list[str]:
    found = [mark(note, 2000) for note in run.notes]
    unjudged = run.num_samples - run.num_judged
    if unjudged:
        found.append(f"{unjudged:,} samples without a verdict, left out where one is needed")
    found += [
        f"{count:,} left out while reading: {mark(reason, 500)}"
        for reason, count in run.left_out.items()
        if count
    ]
    if lonely := comparison.not_shared.get(run.name):
        found.append(f"{lonely:,} problems that not all runs have, left out")
    return found


def tables(comparison: Comparison) -> str:
    """Return all metrics of all runs, and all differences, as tables that fold away."""
    runs = (comparison.base, *comparison.runs)
    parts = [_folded("Every metric of every run", _metrics(runs))]
    for run in comparison.runs:
        title = f"{mark(run.name, 60)} minus {mark(comparison.base.name, 60)}"
        parts.append(_folded(title, _differences(comparison.differences_of(run.name))))
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
    missing = comparison.num_shared_problems - texts.num_problems
    if missing > 0:
        note += f" The solutions and texts of the last {missing:,} problems are left out."
    return note


def _card(comparison: Comparison, run: RunAnalysis, flow: Flow) -> str:
    base = mark(comparison.base.name, 60)
    differences = [d for d in comparison.differences_of(run.name) if math.isfinite(d.estimate)]
    said = (
        _correctness([d for d in differences if d.key.startswith("pass@")]),
        _diversity([d for d in differences if d.group != "correctness"]),
        _problems(flow, base),
        _detectable([d for d in differences if d.key.startswith("pass@")]),
    )
    rows = []
    for verdict, title in ((ROSE, "Rose"), (FELL, "Fell"), (NOISE, "Within noise")):
        chips = [_chip(d) for d in differences if d.verdict == verdict]
        if chips:
            rows.append(f"<dt>{_ARROWS[verdict]} {title}</dt><dd>{''.join(chips)}</dd>")
    return (
        f'<div class="card"><h3>{mark(run.name, 60)} against {base}</h3>'
        + "".join(f"<p>{sentence}</p>" for sentence in said if sentence)
        + (f'<dl class="moves">{"".join(rows)}</dl>' if rows else "<p>Nothing to compare.</p>")
        + "</div>"
    )


def _correctness(curve: Sequence[Difference]) -> str:
    parts = []
    for verdict in (ROSE, FELL, NOISE):
        ks = [str(d.k) for d in curve if d.verdict == verdict]
        if ks:
            told = f"is {verdict}" if verdict == NOISE else f"<strong>{verdict}</strong>"
            parts.append(f"pass@k {told} at k = {join(ks)}")
    return "; ".join(parts) + "." if parts else ""


def _diversity(differences: Sequence[Difference]) -> str:
    if not differences:
        return ""
    told = [_meaning(d) for d in differences]
    counts = [f"{told.count(word)} {word}" for word in (*_OPPOSITE, NOISE) if word in told]
    plural = "s" if len(told) != 1 else ""
    return f"Of {len(told)} measure{plural} of diversity: {join(counts)}."


def _problems(flow: Flow, base: str) -> str:
    kept, lost, found, unsolved = (
        flow.problems.get(status, 0) for status in (KEPT, LOST, FOUND, UNSOLVED)
    )
    if not kept + lost + found + unsolved:
        return ""
    return (
        f"Of {kept + lost:,} problems that {base} solves with any sample, <strong>{lost:,} are "
        f"lost</strong>; of {found + unsolved:,} that it does not, <strong>{found:,} are "
        "found</strong>."
    )


def _detectable(curve: Sequence[Difference]) -> str:
    known = [d for d in curve if math.isfinite(d.smallest_detectable)]
    if not known:
        return ""
    ends = known[:1] + known[1:][-1:]
    sizes = join([f"{d.smallest_detectable:.3f} in {mark(d.label)}" for d in ends])
    problems = f"{known[0].num_problems:,} problems"
    return f"Smallest difference these {problems} would show 80 % of the time: {sizes}."


def _meaning(d: Difference) -> str:
    if d.verdict == NOISE or d.higher_is not in _OPPOSITE:
        return d.verdict
    return d.higher_is if d.verdict == ROSE else _OPPOSITE[d.higher_is]


def _chip(d: Difference) -> str:
    meaning = _meaning(d)
    meaning = f", {meaning}" if meaning in _OPPOSITE else ""
    return (
        f'<span class="chip">{mark(d.label)} {_signed(d.estimate)} '
        f"<small>[{_signed(d.low)}, {_signed(d.high)}]{meaning}</small></span>"
    )


def _metrics(runs: Sequence[RunAnalysis]) -> str:
    head = "".join(f"<th>{mark(run.name, 40)}</th>" for run in runs)
    rows = [f"<tr><th>measure</th>{head}<th>higher is</th></tr>"]
    keys = {metric.key: metric for run in runs for metric in run.metrics}
    group = ""
    for key, first in keys.items():
        if first.group != group:
            group = first.group
            title = html.escape(_GROUPS.get(group, group))
            rows.append(f'<tr><th colspan="{len(runs) + 2}">{title}</th></tr>')
        cells = []
        for run in runs:
            metric = run.metric(key)
            if metric is None or not math.isfinite(metric.estimate):
                why = mark(metric.note, 300) if metric and metric.note else "not measured"
                cells.append(f'<td class="words"><small>{why}</small></td>')
            else:
                cells.append(
                    f"<td>{metric.estimate:.3f} <small>[{metric.low:.3f}, {metric.high:.3f}]</small></td>"
                )
        rows.append(
            f"<tr><td>{mark(first.label)}</td>{''.join(cells)}<td>{html.escape(first.higher_is)}</td></tr>"
        )
    return "".join(rows)


def _differences(differences: Sequence[Difference]) -> str:
    columns = (
        "measure",
        "base",
        "run",
        "difference",
        "p",
        "p (Holm)",
        "detectable",
        "problems",
        "",
    )
    rows = ["<tr>" + "".join(f"<th>{name}</th>" for name in columns) + "</tr>"]
    for d in differences:
        if not math.isfinite(d.estimate):
            why = mark(d.note, 300) if d.note else "not measured"
            rows.append(
                f'<tr><td>{mark(d.label)}</td><td class="words" colspan="8"><small>{why}</small></td></tr>'
            )
            continue
        cells = (
            f"{d.base_value:.3f}",
            f"{d.run_value:.3f}",
            f"{_signed(d.estimate)} <small>[{_signed(d.low)}, {_signed(d.high)}]</small>",
            _p(d.p_value),
            _p(d.p_holm),
            f"{d.smallest_detectable:.3f}" if math.isfinite(d.smallest_detectable) else "",
            f"{d.num_problems:,}",
            f"{_ARROWS[d.verdict]} {d.verdict}",
        )
        rows.append(
            f"<tr><td>{mark(d.label)}</td>"
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
        )
    return "".join(rows)


def _folded(title: str, rows: str) -> str:
    return (
        f"<details><summary>{title}</summary>"
        f'<div class="table" tabindex="0"><table>{rows}</table></div></details>'
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _p(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"
