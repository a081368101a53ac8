"""The tables that only a study's main split has: at equal pass@1, over training, over temperatures."""

import math
from collections.abc import Mapping, Sequence

from polypath.metrics.matched import ABOVE
from polypath.report.estimates import intervals
from polypath.report.model import NOISE, Difference
from polypath.report.values import AnalysisSettings
from polypath.studies.config import Evaluation, Study
from polypath.studies.matched import MatchedRow
from polypath.studies.measure import SplitResult
from polypath.studies.over_training import Trail
from polypath.studies.tables import (
    MISSING,
    Cell,
    Table,
    difference_tables,
    half_width,
    places_of,
    value_text,
)


def main_tables(
    study: Study,
    result: SplitResult,
    matched: Sequence[MatchedRow],
    pairs: Sequence[MatchedRow],
    trails: Mapping[str, Trail],
) -> list[Table]:
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
) -> Table:
    ks = result.evaluation.ks
    keys = {f"pass@{k}": f"pass@{k}" for k in ks if k > 1}
    if max(ks) > 1:
        keys[f"distinct@{max(ks)}"] = f"distinct in {max(ks)}"
    labels = {row.against: study.methods[row.against].label for row in matched}
    label = "the other" if in_pairs else labels[study.against]
    rows = tuple(
        (
            (f"{row.label} against {labels[row.against]}" if in_pairs else row.label, False),
            (f"{row.pass_at_1:.3f}", False),
            (_stop(row), False),
            (f"{row.pass_gap:+.3f}" if row.outside else MISSING, False),
            *(_ends_cell(row.differences.get(key), places=places_of(key)) for key in keys),
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
    return Table(
        title=f"{result.evaluation.split}: at equal pass@1, against {label} stopped early"
        + (", in pairs" if in_pairs else ""),
        columns=("method", "pass@1", "stopped at step", "pass@1 left", *keys.values()),
        rows=rows,
        notes=tuple(notes),
    )


def _stop(row: MatchedRow) -> str:
    if row.outside:
        return f"{'best' if row.outside == ABOVE else 'base'}: {row.step:.0f}"
    return f"{row.step:.0f} [{row.step_low:.0f}, {row.step_high:.0f}]"


def _over_training(study: Study, result: SplitResult, trails: Mapping[str, Trail]) -> Table:
    keys = _front_keys(result.evaluation)
    settings = AnalysisSettings()
    rows: list[tuple[Cell, ...]] = []
    for trail in trails.values():
        found = {key: intervals(trail.values[key].swapaxes(1, 2), None, settings) for key in keys}
        for c, step in enumerate(trail.steps):
            if not step:
                continue  # the base has its row in the first table
            cells = [(trail.label, False), (str(step), False)]
            for key, interval in found.items():
                places = places_of(key)
                half = half_width(float(interval.low[c]), float(interval.high[c]), places)
                cells.append((f"{interval.estimate[c]:.{places}f}{half}", False))
            rows.append(tuple(cells))
    return Table(
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


def _over_temperatures(result: SplitResult) -> Table:
    keys = _front_keys(result.evaluation)
    rows: list[tuple[Cell, ...]] = []
    for group in (result.cooled, *result.method_temperatures.values()):
        for row in group:
            label = row.label if "at T=" in row.label else f"{row.label} at T={row.temperature:g}"
            cells = [value_text(row.metrics.get(key), places=places_of(key)) for key in keys]
            rows.append(((label, False), *((cell, False) for cell in cells)))
    return Table(
        title=f"{result.evaluation.split}: over temperatures",
        columns=("method", *_headings(keys)),
        rows=tuple(rows),
    )


def _ends_cell(d: Difference | None, *, places: int) -> Cell:
    """Format a difference with both ends, which need not be equally far."""
    if d is None or not math.isfinite(d.estimate):
        return MISSING, False
    beyond = d.verdict != NOISE
    text = f"{d.estimate:+.{places}f} [{d.low:+.{places}f}, {d.high:+.{places}f}]"
    return f"{text} *" if beyond else text, beyond
