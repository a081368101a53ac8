"""The tables of each split of a study, and the Markdown file that all its tables go to."""

import math
from collections.abc import Mapping, Sequence

from polypath.report.model import NOISE, Difference, Metric
from polypath.report.numbers import MISSING, number, with_half
from polypath.report.table import Cell, ReportTable
from polypath.studies.config import BASE, COOLED, Study
from polypath.studies.folder_values import ENTROPY
from polypath.studies.measure import Row, SplitResult


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


def tables(
    study: Study, results: Sequence[SplitResult], of_main: Sequence[ReportTable]
) -> list[ReportTable]:
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
) -> list[ReportTable]:
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


def _numbers(result: SplitResult) -> ReportTable:
    columns = columns_of(result)
    best = {key: _best(result.rows, key) for key in columns if key != ENTROPY}
    e, k = result.evaluation, result.evaluation.keep_k
    notes = [
        f"± half of the 95 % interval over problems{_over_seeds(result)}. Bold: the highest estimate "
        f"of the column, whether or not it is beyond noise. {_about_shares(k)}distinct: different "
        "correct solutions. entropy: nats per sampled token. seconds: of training steps."
    ]
    if result.not_judged:
        notes.append(
            f"{result.not_judged:,} samples were not verified (timeouts, errors) and left out."
        )
    return ReportTable(
        title=f"{e.split}: {result.num_problems:,} problems, {e.samples} samples of each, "
        f"T = {e.temperature:g}",
        columns=("method", *columns.values(), "seconds"),
        rows=tuple(
            (
                row.label,
                *(_number_cell(result, row, key, best.get(key)) for key in columns),
                number(row.training_seconds, places=0),
            )
            for row in result.rows
        ),
        notes=tuple(notes),
    )


def _number_cell(result: SplitResult, row: Row, key: str, best: float | None) -> Cell:
    metric = row.metrics.get(key)
    if row.name == BASE and metric is None:
        expected = {"keep": result.keep_by_luck, "explore": result.explore_by_luck}
        value = number(expected.get(key.split("@")[0], math.nan))
        return Cell(value if value == MISSING else f"({value})")
    bold = metric is not None and _rounded(metric, key) == best
    return Cell(metric_text(metric, key), bold=bold)


def _about_shares(k: int) -> str:
    if not k:
        return ""
    return (
        f"keep@{k}: share of the problems the base solves in {k} samples that are still solved; "
        f"explore@{k}: of those it does not solve. Of the base itself, in brackets: the shares "
        "expected under resampling. "
    )


def _over_seeds(result: SplitResult) -> str:
    seeds = max(len(row.seeds) for row in result.rows)
    if seeds > 1:
        return f" and {seeds} training seeds"
    return ", not over training seeds: there is one"


def _differences(
    result: SplitResult, title: str, rows: Sequence[tuple[str, Mapping[str, Difference]]]
) -> ReportTable:
    columns = columns_of(result)
    columns.pop(ENTROPY)
    shown = {key: title for key, title in columns.items() if any(key in d for _, d in rows)}
    return ReportTable(
        title=f"{result.evaluation.split}: {title}",
        columns=("method", *shown.values()),
        rows=tuple(
            (
                label,
                *(_difference_cell(found.get(key), key) for key in shown),
            )
            for label, found in rows
        ),
        notes=(
            "Paired by problem, ± half of the 95 % interval (both ends are in results.json). "
            "*: p < 0.05, corrected for the several k of pass@k but not for the number of methods "
            "or measures.",
        ),
    )


def metric_text(metric: Metric | None, key: str) -> str:
    """Write a number of a study with half of its interval."""
    if metric is None:
        return MISSING
    return with_half(metric.estimate, metric.low, metric.high, places=places_of(key))


def starred(text: str, d: Difference | None) -> Cell:
    """Return the cell of a difference: bold and starred where it is beyond noise."""
    beyond = d is not None and math.isfinite(d.estimate) and d.verdict != NOISE
    return Cell(f"{text} *" if beyond else text, bold=beyond)


def _difference_cell(d: Difference | None, key: str) -> Cell:
    if d is None:
        return Cell(MISSING)
    return starred(with_half(d.estimate, d.low, d.high, places=places_of(key), sign=True), d)


def places_of(key: str) -> int:
    """Return the decimals a metric is shown with."""
    return 2 if key.startswith("distinct") or key == ENTROPY else 3


def _best(rows: Sequence[Row], key: str) -> float | None:
    """Return the highest estimate of a column as it is shown, so that equal texts are equally bold."""
    known = [m for row in rows if (m := row.metrics.get(key)) and math.isfinite(m.estimate)]
    return max((_rounded(m, key) for m in known), default=None)


def _rounded(metric: Metric, key: str) -> float:
    return round(metric.estimate, places_of(key))


def markdown(
    study: Study, found: Sequence[ReportTable], notes: Sequence[str], end: str = ""
) -> str:
    """Return the tables as one Markdown file that closes with ``end``."""
    parts = [f"# {study.name}", *([study.question] if study.question else []), *notes]
    parts += [table.markdown() for table in found]
    return "\n\n".join(part.rstrip() for part in [*parts, end]).rstrip() + "\n"


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
        each = "; ".join(
            f"{study.methods[name].label}: " + ", ".join(f"{k} {v}" for k, v in budget.items())
            for name, budget in budgets.items()
        )
        notes.append(f"The methods differ in budget. {each}.")
    if len(study.seeds) == 1:
        notes.append("One training seed: intervals are for these runs, not for the methods.")
    return notes
