"""The tables of a study, and the Markdown file that contains them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from polypath.metrics.matched import ABOVE
from polypath.report.crossings import crossing_cell
from polypath.report.estimates import TOO_ALIKE, intervals, too_alike
from polypath.report.model import NOISE, Difference, Metric
from polypath.report.numbers import MISSING, number, with_ends, with_half
from polypath.report.settings import AnalysisSettings
from polypath.report.table import Cell, Cells, ReportTable
from polypath.studies.config import BASE, Evaluation, Study
from polypath.studies.cost import step_cost_table
from polypath.studies.job_functions import ENTROPY
from polypath.studies.over_training import MatchedRow
from polypath.studies.ranking import ranking_tables
from polypath.studies.relation_fit import TRUSTED_RUNS
from polypath.studies.relations import ALL, RelationResult
from polypath.studies.results import StudyResult
from polypath.studies.splits import Row, SplitResult

SHORT = "†"  # marks a number whose interval is likely too short


def tables(result: StudyResult) -> list[ReportTable]:
    """Return the tables of all splits: numbers, then differences, then those of the main split only."""
    study = result.plan.study
    found = []
    for split in result.splits:
        found.append(_numbers(split))
        found += _difference_tables(study, split, split.rows)
        found += _crossings(study, split)
        if split.pairs:
            labels = {name: method.label for name, method in study.methods.items()}
            pairs = [(f"{labels[a]} against {labels[b]}", d) for (a, b), d in split.pairs.items()]
            found.append(_differences(split, "differences in pairs", pairs))
        if split is result.main:
            found += main_tables(result)
    found.append(step_cost_table(study, result.step_costs))
    return [_warned(table) for table in found] + relation_tables(result)


def main_tables(result: StudyResult) -> list[ReportTable]:
    """Return the tables that only the main split has, without its relations."""
    study, main = result.plan.study, result.main
    found = ranking_tables(result.rankings, study.main.split)
    if result.matched:
        found.append(_at_equal_pass(study, main, result.matched))
    if result.matched_pairs:
        found.append(_at_equal_pass(study, main, result.matched_pairs, in_pairs=True))
    if result.trails:
        found.append(_over_training(result))
    if main.method_temperatures:
        shown = {row.label for row in main.rows}  # includes a method at its own temperature
        groups = main.method_temperatures.values()
        rows = [row for group in groups for row in group if row.label not in shown]
        found.append(_over_temperatures(main))
        found += _difference_tables(study, main, rows, "over temperatures, differences")
    return [_warned(table) for table in found]


def markdown(study: Study, parts: Sequence[str | ReportTable]) -> str:
    """Return a study's texts and tables as one Markdown file.

    Args:
        study: its name and question come first.
        parts: texts and tables, in order.
    """
    texts = [f"# {study.name}", *([study.question] if study.question else [])]
    texts += [part if isinstance(part, str) else part.markdown() for part in parts]
    return "\n\n".join(text.rstrip() for text in texts).rstrip() + "\n"


# --- how numbers are written ------------------------------------------------------------------------


def _keys(evaluation: Evaluation) -> list[str]:
    """Return the metrics of the tables of a split."""
    ks, k = evaluation.ks, evaluation.keep_k
    keys = ["greedy"] if evaluation.greedy else []
    keys += [f"pass@{n}" for n in ks]
    keys += [f"distinct@{max(ks)}"] if max(ks) > 1 else []
    return keys + ([f"keep@{k}", f"explore@{k}"] if k else []) + [ENTROPY]


def _headings(keys: Sequence[str]) -> list[str]:
    return [key.replace("distinct@", "distinct in ").replace(ENTROPY, "entropy") for key in keys]


def _places(key: str) -> int:
    """Return the number of decimals for a metric."""
    return 2 if key.startswith("distinct") or key == ENTROPY else 3


def _text(row: Row, key: str) -> str:
    """Write a number with half of its interval, and mark it if that is likely too short."""
    m = row.metrics.get(key)
    if m is None:
        return MISSING
    return with_half(m.estimate, m.low, m.high, places=_places(key)) + _short_mark(m)


def _short_mark(m: Metric | Difference) -> str:
    return f" {SHORT}" if TOO_ALIKE in m.note else ""


def _warned(table: ReportTable) -> ReportTable:
    """Explain the mark, if a cell has it."""
    marked = any(cell.text.endswith((SHORT, f"{SHORT} *")) for row in table.cells() for cell in row)
    note = f"{SHORT}: {TOO_ALIKE}."
    return (
        replace(table, notes=(*table.notes, note)) if marked and note not in table.notes else table
    )


def _starred(d: Difference | None, key: str, *, both_ends: bool = False) -> Cell:
    """Write a difference; bold and starred if it is beyond noise."""
    if d is None:
        return Cell(MISSING)
    write = with_ends if both_ends else with_half
    text = write(d.estimate, d.low, d.high, places=_places(key), sign=True) + _short_mark(d)
    beyond = math.isfinite(d.estimate) and d.verdict != NOISE
    return Cell(f"{text} *" if beyond else text, bold=beyond)


# --- of each split ----------------------------------------------------------------------------------


def _numbers(result: SplitResult) -> ReportTable:
    e, k = result.evaluation, result.evaluation.keep_k
    keys = _keys(e)
    best = {key: _best(result.rows, key) for key in keys if key != ENTROPY}
    seeds = max(len(row.seeds) for row in result.rows)
    over = (
        f" and {seeds} training seeds" if seeds > 1 else ", not over training seeds: there is one"
    )
    about_shares = (
        f"keep@{k}: share that the row solves of the problems that the base solves in {k} samples; "
        f"explore@{k}: the same of those that the base does not solve. The base's own row has, in brackets, "
        "the shares expected under resampling. "
    )
    notes = [
        f"± half of the 95 % interval over problems{over}. Bold: the highest estimate of the column, "
        f"whether or not it is beyond noise. {about_shares if k else ''}distinct: different "
        "correct solutions. entropy: nats per sampled token. seconds: of training steps."
    ]
    if result.not_judged:
        notes.append(
            f"{result.not_judged:,} samples were not verified (timeouts, errors) and are left out."
        )
    return ReportTable(
        title=f"{e.split}: {result.num_problems:,} problems, {e.samples} samples of each, "
        f"T = {e.temperature:g}",
        columns=("method", *_headings(keys), "seconds"),
        measures=dict(zip(_headings(keys), keys, strict=True)),
        rows=tuple(
            (
                row.label,
                *(_number_cell(result, row, key, best.get(key)) for key in keys),
                number(row.training_seconds, places=0),
            )
            for row in result.rows
        ),
        notes=tuple(notes),
    )


def _number_cell(result: SplitResult, row: Row, key: str, best: float | None) -> Cell:
    if row.name == BASE and key not in row.metrics:
        by_luck = {"keep": result.keep_by_luck, "explore": result.explore_by_luck}
        value = number(by_luck.get(key.split("@")[0], math.nan))
        return Cell(value if value == MISSING else f"({value})")
    return Cell(_text(row, key), bold=_shown(row, key) == best)


def _shown(row: Row, key: str) -> float:
    """Return an estimate as it is shown, so that equal texts are equally bold."""
    return round(row.metrics[key].estimate, _places(key)) if key in row.metrics else math.nan


def _best(rows: Sequence[Row], key: str) -> float | None:
    known = [value for row in rows if math.isfinite(value := _shown(row, key))]
    return max(known, default=None)


def _difference_tables(
    study: Study, result: SplitResult, rows: Sequence[Row], what: str = "differences"
) -> Iterator[ReportTable]:
    """Yield the differences of these rows to their reference methods, and to the base."""

    def label(row: Row) -> str:
        """Name the row, and its reference if that is not the study's."""
        reference = study.reference_of(row.name)
        if reference == study.against:
            return row.label
        return f"{row.label} (against {study.methods[reference].label})"

    title = f"against {study.methods[study.against].label}" if study.against else "in pairs"
    against = [(label(row), row.against) for row in rows if row.against]
    base = [(row.label, row.against_base) for row in rows if row.against_base]
    if against:
        yield _differences(result, f"{what} {title}", against)
    if base:
        yield _differences(result, f"{what} against the base", base)


def _differences(
    result: SplitResult, title: str, rows: Sequence[tuple[str, Mapping[str, Difference]]]
) -> ReportTable:
    keys = [key for key in _keys(result.evaluation) if key != ENTROPY]
    keys = [key for key in keys if any(key in found for _, found in rows)]
    return ReportTable(
        title=f"{result.evaluation.split}: {title}",
        columns=("method", *_headings(keys)),
        measures=dict(zip(_headings(keys), keys, strict=True)),
        rows=tuple(
            (label, *(_starred(found.get(key), key) for key in keys)) for label, found in rows
        ),
        notes=(
            "Paired by problem, ± half of the 95 % interval (both ends are in results.json). "
            "*: p < 0.05, corrected for the several k of pass@k but not for the number of methods "
            "or measures.",
        ),
    )


def _crossings(study: Study, result: SplitResult) -> Iterator[ReportTable]:
    """Yield where pass@k of each row crosses the base's and its reference's, if there are several k."""
    rows = [row for row in result.rows if row.name != BASE]
    if max(result.evaluation.ks) == 1 or not rows:
        return
    against = study.methods[study.against].label if study.against else ""
    theirs = f"{against}'s" if against else "its reference's"
    columns = ["method", "the base's", *([theirs] if any(row.crossing for row in rows) else [])]
    cells = (
        (row.label, crossing_cell(row.crossing_base), crossing_cell(row.crossing)) for row in rows
    )
    yield ReportTable(
        title=f"{result.evaluation.split}: where pass@k crosses",
        columns=tuple(columns),
        words=tuple(columns[1:]),
        rows=tuple(row[: len(columns)] for row in cells),
        notes=(
            "above to k: the row's pass@k is higher up to this k and lower beyond it. In brackets: the 95 % "
            "interval of this k; ≤ and ≥ where the curves may cross outside the k that were sampled.",
        ),
    )


# --- of the main split: at equal pass@1, over training, over temperatures ----------------------------


def _at_equal_pass(
    study: Study, result: SplitResult, matched: Sequence[MatchedRow], *, in_pairs: bool = False
) -> ReportTable:
    keys = [key for key in _keys(result.evaluation) if key.startswith(("pass@", "distinct@"))]
    keys = [*(key for key in keys if key != "pass@1"), *study.matched_measures]
    labels = {row.against: study.methods[row.against].label for row in matched}
    label = "the other" if in_pairs else labels[study.against]
    rows: tuple[Cells, ...] = tuple(
        (
            f"{row.label} against {labels[row.against]}" if in_pairs else row.label,
            number(row.pass_at_1),
            _stop(row),
            number(row.pass_gap, sign=True) if row.outside else MISSING,
            # Both ends, because they need not be equally far.
            *(_starred(row.differences.get(key), key, both_ends=True) for key in keys),
        )
        for row in matched
    )
    notes = [
        f"Each method minus {label} at the step at which its pass@1 first reaches the method's, "
        "between two checkpoints in proportion to pass@1. In brackets 95 % intervals over "
        "problems"
        + (" and training seeds" if len(study.seeds) > 1 else "")
        + ", with the uncertainty of the match. *: p < 0.05, corrected for the several k."
    ]
    if any(row.outside for row in matched):
        notes.append(
            f"best: the method's pass@1 is above {label}'s at every checkpoint, so the best checkpoint "
            "is used; base: it is below the base's. Then the differences are not at equal pass@1, "
            "and 'pass@1 left' is the difference in pass@1 that remains."
        )
    return ReportTable(
        title=f"{result.evaluation.split}: at equal pass@1, against {label} stopped early"
        + (", in pairs" if in_pairs else ""),
        columns=("method", "pass@1", "stopped at step", "pass@1 left", *_headings(keys)),
        measures=dict(zip(_headings(keys), keys, strict=True)) | {"pass@1": "pass@1"},
        rows=rows,
        notes=tuple(notes),
    )


def _stop(row: MatchedRow) -> str:
    if row.outside:
        return f"{'best' if row.outside == ABOVE else 'base'}: {row.step:.0f}"
    return f"{row.step:.0f} [{row.step_low:.0f}, {row.step_high:.0f}]"


def _over_training(result: StudyResult) -> ReportTable:
    evaluation = result.main.evaluation
    keys = evaluation.front
    rows: list[tuple[str, ...]] = []
    for trail in result.trails.values():
        cells = []
        for key in keys:
            found = intervals(trail.values[key].swapaxes(1, 2), None, AnalysisSettings())
            alike = too_alike(trail.values[key].mean(axis=0).T)
            ends = zip(found.estimate, found.low, found.high, strict=True)
            cells.append(
                [
                    with_half(*map(float, end), places=_places(key)) + f" {SHORT}" * bool(short)
                    for end, short in zip(ends, alike, strict=True)
                ]
            )
        by_step = zip(trail.steps, *cells, strict=True)
        # The base, at step 0, has its row in the first table.
        rows += [(trail.label, str(step), *texts) for step, *texts in by_step if step]
    return ReportTable(
        title=f"{evaluation.split}: over training",
        columns=("method", "step", *_headings(keys)),
        measures=dict(zip(_headings(keys), keys, strict=True)),
        rows=tuple(rows),
        notes=(
            "Checkpoints of the runs above; ± half of the 95 % interval over problems"
            + (" and training seeds." if len(result.plan.study.seeds) > 1 else "."),
        ),
    )


def _over_temperatures(result: SplitResult) -> ReportTable:
    keys = result.evaluation.front
    rows = tuple(
        (
            row.label if "at T=" in row.label else f"{row.label} at T={row.temperature:g}",
            *(_text(row, key) for key in keys),
        )
        for group in (result.cooled, *result.method_temperatures.values())
        for row in group
    )
    return ReportTable(
        title=f"{result.evaluation.split}: over temperatures",
        columns=("method", *_headings(keys)),
        measures=dict(zip(_headings(keys), keys, strict=True)),
        rows=rows,
    )


# --- of relations -----------------------------------------------------------------------------------


def relation_tables(result: StudyResult) -> list[ReportTable]:
    """Return a table with one row for each fit, if the study has relations."""
    if not result.relations:
        return []
    rows = []
    for found in result.relations:
        name = f"{found.labels[found.relation.y]} against {found.labels[found.relation.x]}"
        for over, fit in found.fits.items():
            cells = (
                name,
                over,
                f"{fit.models}",
                f"{fit.runs}",
                with_ends(fit.r_squared, fit.r_squared_low, fit.r_squared_high, places=2),
                with_ends(fit.rho, fit.rho_low, fit.rho_high, places=2, sign=True),
                f"{fit.slope:+.3g}" if math.isfinite(fit.slope) else MISSING,
            )
            rows.append(cells)
    table = ReportTable(
        title=f"{result.main.evaluation.split}: relations of metrics over models",
        columns=("metric against metric", "models", "number", "runs", "R²", "Spearman", "slope"),
        rows=tuple(rows),
        notes=tuple(_relation_notes(result.relations)),
    )
    return [table]


def _relation_notes(results: Sequence[RelationResult]) -> Iterator[str]:
    yield (
        "A model is the base, or a run at its end, at a checkpoint or at another temperature. In brackets: "
        "95 % intervals over runs, which keep the models of a run together. Both metrics come from the same "
        "samples, and models of one base are not a sample of all models: this is no evidence of cause."
    )
    if any(
        f.runs < TRUSTED_RUNS and not f.note for result in results for f in result.fits.values()
    ):
        yield f"Intervals over fewer than {TRUSTED_RUNS} runs are too short."
    for result in results:
        name = f"{result.relation.y} against {result.relation.x}"
        if result.left_out:
            label, why = next(iter(result.left_out.items()))
            number = len(result.left_out)
            yield f"{name}: {number} model{'s' * (number > 1)} left out ({label}: {why})."
        for over, fit in result.fits.items():
            if fit.note:
                where = "" if over == ALL else f" where {over}"
                yield f"{name}{where}: no line, {fit.note}."
