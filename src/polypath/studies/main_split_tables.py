"""The tables that only a study's main split has: at equal pass@1, over training, over temperatures."""

from collections.abc import Mapping, Sequence

from polypath.metrics.matched import ABOVE
from polypath.report.estimates import intervals
from polypath.report.numbers import MISSING, number, with_ends, with_half
from polypath.report.settings import AnalysisSettings
from polypath.report.table import Cell, Cells, ReportTable
from polypath.studies.config import Evaluation, Study
from polypath.studies.matched import MatchedRow
from polypath.studies.measure import SplitResult
from polypath.studies.over_training import Trail
from polypath.studies.split_tables import difference_tables, metric_text, places_of, starred


def main_tables(
    study: Study,
    result: SplitResult,
    matched: Sequence[MatchedRow],
    pairs: Sequence[MatchedRow],
    trails: Mapping[str, Trail],
) -> list[ReportTable]:
    """Return those that the study has anything for."""
    found = [_at_equal_pass(study, result, matched)] if matched else []
    found += [_at_equal_pass(study, result, pairs, in_pairs=True)] if pairs else []
    found += [_over_training(study, result, trails)] if trails else []
    if result.method_temperatures:
        shown = {row.label for row in result.rows}  # a method at its own temperature is one
        groups = result.method_temperatures.values()
        rows = [row for group in groups for row in group if row.label not in shown]
        found.append(_over_temperatures(result))
        found += difference_tables(study, result, rows, "over temperatures, differences")
    return found


def _at_equal_pass(
    study: Study, result: SplitResult, matched: Sequence[MatchedRow], *, in_pairs: bool = False
) -> ReportTable:
    ks = result.evaluation.ks
    keys = {f"pass@{k}": f"pass@{k}" for k in ks if k > 1}
    if max(ks) > 1:
        keys[f"distinct@{max(ks)}"] = f"distinct in {max(ks)}"
    labels = {row.against: study.methods[row.against].label for row in matched}
    label = "the other" if in_pairs else labels[study.against]
    rows: tuple[Cells, ...] = tuple(
        (
            f"{row.label} against {labels[row.against]}" if in_pairs else row.label,
            number(row.pass_at_1),
            _stop(row),
            number(row.pass_gap, sign=True) if row.outside else MISSING,
            *(_difference_cell(row, key) for key in keys),
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
            f"best: the method's pass@1 is above {label}'s at every checkpoint, so the one of the best "
            "is taken; base: it is below the base's. Then the differences are not at equal pass@1, "
            "and 'pass@1 left' is what the method has more."
        )
    return ReportTable(
        title=f"{result.evaluation.split}: at equal pass@1, against {label} stopped early"
        + (", in pairs" if in_pairs else ""),
        columns=("method", "pass@1", "stopped at step", "pass@1 left", *keys.values()),
        rows=rows,
        notes=tuple(notes),
    )


def _difference_cell(row: MatchedRow, key: str) -> Cell:
    """Write a difference with both ends, which need not be equally far."""
    d = row.differences.get(key)
    if d is None:
        return Cell(MISSING)
    return starred(with_ends(d.estimate, d.low, d.high, places=places_of(key), sign=True), d)


def _stop(row: MatchedRow) -> str:
    if row.outside:
        return f"{'best' if row.outside == ABOVE else 'base'}: {row.step:.0f}"
    return f"{row.step:.0f} [{row.step_low:.0f}, {row.step_high:.0f}]"


def _over_training(study: Study, result: SplitResult, trails: Mapping[str, Trail]) -> ReportTable:
    keys = _front_keys(result.evaluation)
    settings = AnalysisSettings()
    rows: list[tuple[str, ...]] = []
    for trail in trails.values():
        found = {key: intervals(trail.values[key].swapaxes(1, 2), None, settings) for key in keys}
        for c, step in enumerate(trail.steps):
            if not step:
                continue  # the base has its row in the first table
            cells = [
                with_half(
                    *(float(part[c]) for part in (i.estimate, i.low, i.high)), places=places_of(k)
                )
                for k, i in found.items()
            ]
            rows.append((trail.label, str(step), *cells))
    return ReportTable(
        title=f"{result.evaluation.split}: over training",
        columns=("method", "step", *_headings(keys)),
        rows=tuple(rows),
        notes=(
            "Checkpoints of the runs above; ± half of the 95 % interval over problems"
            + (" and training seeds." if len(study.seeds) > 1 else "."),
        ),
    )


def _front_keys(evaluation: Evaluation) -> list[str]:
    k = max(evaluation.ks)
    return list(dict.fromkeys(["pass@1", f"pass@{k}", *([f"distinct@{k}"] if k > 1 else [])]))


def _headings(keys: Sequence[str]) -> list[str]:
    return [key.replace("distinct@", "distinct in ") for key in keys]


def _over_temperatures(result: SplitResult) -> ReportTable:
    keys = _front_keys(result.evaluation)
    rows = tuple(
        (
            row.label if "at T=" in row.label else f"{row.label} at T={row.temperature:g}",
            *(metric_text(row.metrics.get(key), key) for key in keys),
        )
        for group in (result.cooled, *result.method_temperatures.values())
        for row in group
    )
    return ReportTable(
        title=f"{result.evaluation.split}: over temperatures",
        columns=("method", *_headings(keys)),
        rows=rows,
    )
