"""The tables of a study, as markdown and for the terminal."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from polypath.report.model import NOISE, Difference, Metric
from polypath.studies.config import BASE, COOLED, Study
from polypath.studies.folder_values import ENTROPY
from polypath.studies.measure import Row, SplitResult

Cell = tuple[str, bool]  # text, and whether it is bold
MISSING = "–"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under headings, the first column a name; ``notes`` go below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def columns_of(result: SplitResult) -> dict[str, str]:
    """Return metric key -> heading of the columns of a split."""
    ks, k = result.evaluation.ks, result.evaluation.keep_k
    keys = {"greedy": "greedy"} if result.evaluation.greedy else {}
    keys |= {f"pass@{n}": f"pass@{n}" for n in ks}
    if max(ks) > 1:
        keys[f"distinct@{max(ks)}"] = f"distinct in {max(ks)}"
    keys |= {f"keep@{k}": f"keep@{k}", f"explore@{k}": f"explore@{k}"} if k else {}
    keys[ENTROPY] = "entropy"
    return keys


def tables(study: Study, results: Sequence[SplitResult], of_main: Sequence[Table]) -> list[Table]:
    """Return per split the table of numbers and those of differences; the main one's others with it."""
    found = []
    for result in results:
        found.append(_numbers(result))
        found += difference_tables(study, result, result.rows)
        if result.pairs:
            labels = {name: method.label for name, method in study.methods.items()}
            pairs = [(f"{labels[a]} against {labels[b]}", d) for (a, b), d in result.pairs.items()]
            found.append(_differences(result, "differences in pairs", pairs))
        if result is results[0]:
            found += of_main
    return found


def difference_tables(
    study: Study, result: SplitResult, rows: Sequence[Row], what: str = "differences"
) -> list[Table]:
    """Return the differences of these rows against their reference methods, and against the base."""
    found = []
    against = [(_with_reference(study, row), row.against) for row in rows if row.against]
    if against:
        title = f"against {study.methods[study.against].label}" if study.against else "in pairs"
        found.append(_differences(result, f"{what} {title}", against))
    base = [(row.label, row.against_base) for row in rows if row.against_base]
    return [*found, _differences(result, f"{what} against the base", base)] if base else found


def _with_reference(study: Study, row: Row) -> str:
    """Return the label of a row, with what it is compared with where that is not the study's."""
    reference = study.reference_of(row.name)
    if reference == study.against:
        return row.label
    return f"{row.label} (against {study.methods[reference].label})"


def _numbers(result: SplitResult) -> Table:
    columns = columns_of(result)
    best = {key: _best(result.rows, key) for key in columns if key != ENTROPY}
    rows = []
    for row in result.rows:
        cells: list[Cell] = [(row.label, False)]
        for key in columns:
            metric = row.metrics.get(key)
            if row.name == BASE and metric is None:
                cells.append((_luck(result, key), False))
            else:
                text = value_text(metric, places=places_of(key))
                bold = metric is not None and _rounded(metric, key) == best.get(key)
                cells.append((text, bold))
        seconds = row.training_seconds
        cells.append((f"{seconds:.0f}" if math.isfinite(seconds) else MISSING, False))
        rows.append(tuple(cells))
    e, k = result.evaluation, result.evaluation.keep_k
    seeds = max(len(row.seeds) for row in result.rows)
    return Table(
        title=f"{e.split}: {result.num_problems:,} problems, {e.samples} samples of each, "
        f"T = {e.temperature:g}",
        columns=("method", *columns.values(), "seconds"),
        rows=tuple(rows),
        notes=(
            f"± half of the 95 % interval over problems{_over_seeds(seeds)}. Bold: the highest "
            "estimate of the column, whether or not it is beyond noise. "
            + _shares_note(k)
            + "distinct: different correct solutions. entropy: nats per sampled token. "
            "seconds: of training steps.",
            *(
                [f"{result.not_judged:,} samples were not judged (timeouts, errors) and left out."]
                if result.not_judged
                else []
            ),
        ),
    )


def _shares_note(k: int) -> str:
    if not k:
        return ""
    return (
        f"keep@{k}: share of the problems the base solves in {k} samples that are still solved; "
        f"explore@{k}: of those it does not solve. Of the base itself, in brackets: what fresh "
        "samples of the same model keep and find by luck. "
    )


def _over_seeds(seeds: int) -> str:
    if seeds > 1:
        return f" and {seeds} training seeds"
    return ", not over training seeds: there is one"


def _differences(
    result: SplitResult, title: str, rows: Sequence[tuple[str, Mapping[str, Difference]]]
) -> Table:
    columns = columns_of(result)
    columns.pop(ENTROPY)
    shown = {key: title for key, title in columns.items() if any(key in d for _, d in rows)}
    return Table(
        title=f"{result.evaluation.split}: {title}",
        columns=("method", *shown.values()),
        rows=tuple(
            (
                (label, False),
                *(difference_cell(found.get(key), places=places_of(key)) for key in shown),
            )
            for label, found in rows
        ),
        notes=(
            "Paired by problem, ± half of the 95 % interval (both ends are in results.json). "
            "*: p < 0.05, corrected for the several k of pass@k but not for the number of methods "
            "or measures.",
        ),
    )


def value_text(metric: Metric | None, *, places: int = 3) -> str:
    """Format a number with half of its interval."""
    if metric is None or not math.isfinite(metric.estimate):
        return MISSING
    return f"{metric.estimate:.{places}f}{half_width(metric.low, metric.high, places)}"


def difference_cell(d: Difference | None, *, places: int = 3) -> Cell:
    """Format a difference with half of its interval; bold and starred where it is beyond noise."""
    if d is None or not math.isfinite(d.estimate):
        return MISSING, False
    beyond = d.verdict != NOISE
    text = f"{d.estimate:+.{places}f}{half_width(d.low, d.high, places)}"
    return f"{text} *" if beyond else text, beyond


def half_width(low: float, high: float, places: int) -> str:
    """Format half of an interval; nothing where it is not known."""
    half = (high - low) / 2
    return f" ±{half:.{places}f}".replace("±0.", "±.") if math.isfinite(half) else ""


def places_of(key: str) -> int:
    """Return the decimals a metric is shown with."""
    return 2 if key.startswith("distinct") or key == ENTROPY else 3


def _best(rows: Sequence[Row], key: str) -> float | None:
    """Return the highest estimate of a column as it is shown, so that equal texts are equally bold."""
    known = [m for row in rows if (m := row.metrics.get(key)) and math.isfinite(m.estimate)]
    return max((_rounded(m, key) for m in known), default=None)


def _rounded(metric: Metric, key: str) -> float:
    return round(metric.estimate, places_of(key))


def _luck(result: SplitResult, key: str) -> str:
    value = {"keep": result.keep_by_luck, "explore": result.explore_by_luck}.get(
        key.split("@")[0], math.nan
    )
    return f"({value:.3f})" if math.isfinite(value) else MISSING


def markdown(study: Study, found: Sequence[Table], notes: Sequence[str], end: str = "") -> str:
    """Return the tables as one markdown file that closes with ``end``."""
    lines = [f"# {study.name}", ""]
    if study.question:
        lines += [study.question, ""]
    lines += [f"{note}\n" for note in notes]
    for table in found:
        lines += [f"## {table.title}", ""]
        lines.append("| " + " | ".join(_escaped(c) for c in table.columns) + " |")
        lines.append("|---" + "|---:" * (len(table.columns) - 1) + "|")
        for row in table.rows:
            cells = [f"**{_escaped(text)}**" if bold else _escaped(text) for text, bold in row]
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", *(f"{note}\n" for note in table.notes)]
    lines.append(end)
    return "\n".join(lines).rstrip() + "\n"


def print_tables(console: Console, found: Sequence[Table]) -> None:
    """Print the tables; a note that several have is printed once, after the last of them."""
    for i, table in enumerate(found):
        drawn = RichTable(
            title=Text(table.title),
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        for n, column in enumerate(table.columns):
            drawn.add_column(Text(column), justify="right" if n else "left", no_wrap=n == 0)
        for row in table.rows:
            drawn.add_row(*(Text(text, style="bold" if bold else "") for text, bold in row))
        console.print(drawn)
        later = {note for other in found[i + 1 :] for note in other.notes}
        for note in table.notes:
            if note not in later:
                console.print(Text(note, style="dim"))


def notes_of(
    study: Study, best: float | None, budgets: Mapping[str, Mapping[str, object]]
) -> list[str]:
    """Return what a reader must know of the whole study."""
    notes = []
    if study.stage == "tune":
        notes.append("Stage tune: for choosing settings. Report on other problems.")
    at_home = [e.split for e in study.evaluations if e.temperature == best]
    if best is not None and study.tuning is not None:
        notes.append(
            f"{COOLED}: sampled at T = {best:g}, at which it is right most often on "
            f"{study.tuning.split}."
            + (f" On {', '.join(at_home)} that is the base itself." if at_home else "")
        )
    if any(budgets.values()):
        told = "; ".join(
            f"{study.methods[name].label}: " + ", ".join(f"{k} {v}" for k, v in budget.items())
            for name, budget in budgets.items()
        )
        notes.append(f"The methods differ in budget. {told}.")
    if len(study.seeds) == 1:
        notes.append("One training seed: intervals speak of these runs, not of the methods.")
    return notes


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")
