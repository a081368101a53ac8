"""The order of a study's rows by a measure, and what cannot be told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.metrics import Ranking, matched_parts, rank_means
from polypath.report.model import FloatArray
from polypath.report.numbers import number
from polypath.report.table import ReportTable
from polypath.studies.config import BASE, EQUAL
from polypath.studies.over_training import Trail
from polypath.studies.splits import RowFolders, SplitSamples
from polypath.studies.strengths import Rule


@dataclass(frozen=True, kw_only=True)
class RankedRow:
    """A row of a ranking.

    Attributes:
        name: key of the method, or what the base is called in results files.
        label: label in tables.
        place: place by the estimate, from 1.
        value: the estimate.
        best_rank: highest rank that it may have; the ranks of all rows hold together.
        worst_rank: lowest rank that it may have.
        alike: places of the rows that it cannot be told apart from.
    """

    name: str
    label: str
    place: int
    value: float
    best_rank: int
    worst_rank: int
    alike: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class RankingResult:
    """Rows of the main split in the order of a measure.

    Attributes:
        measure: ``pass@k`` or ``distinct@k``, maybe with ``at equal pass@1``.
        against: label of the reference that is stopped at equal pass@1; empty for other measures.
        rows: from the highest on.
        pairs: differences between rows with intervals that hold for all pairs together, by their places.
        level: confidence level.
    """

    measure: str
    against: str
    rows: tuple[RankedRow, ...]
    pairs: Sequence[Mapping[str, float]]
    level: float


def rankings(samples: SplitSamples, trails: Mapping[str, Trail]) -> tuple[RankingResult, ...]:
    """Rank the rows of the main split by each measure that the study names.

    At equal pass@1 a row's value is its difference to the reference stopped early, whose own row is 0. The
    base is the start of the reference's path and has no row there.

    Args:
        samples: samples of the main split.
        trails: methods over their checkpoints.
    """
    study = samples.plan.study
    rules = [Rule.of(text) for text in study.ranking]
    if len(study.methods) < 2:  # --only left one: nothing to rank
        return ()
    return tuple(_rank(samples, rule, trails) for rule in rules)


def _rank(samples: SplitSamples, rule: Rule, trails: Mapping[str, Trail]) -> RankingResult:
    study, settings = samples.plan.study, samples.settings
    rows = [row for row in samples.rows if not rule.matched or row.name != BASE]
    labels = [row.label for row in rows]
    values = [_seeds(samples, row, rule.key) for row in rows]
    shared, against = None, ""
    if rule.matched:
        against = study.methods[study.against].label
        labels = [f"{label}, stopped early" if label == against else label for label in labels]
        values, shared = _at_equal(samples, rows, values, trails[study.against], rule.key)
    found = rank_means(values, shared, **settings.resampling)
    order = np.argsort(-found.estimate, kind="stable")
    place_of = {int(m): place for place, m in enumerate(order, 1)}
    ranked = tuple(
        RankedRow(
            name=rows[m].name,
            label=labels[m],
            place=place_of[m],
            value=float(found.estimate[m]),
            best_rank=int(found.best_rank[m]),
            worst_rank=int(found.worst_rank[m]),
            alike=tuple(sorted(place_of[other] for other in found.alike(m))),
        )
        for m in order.tolist()
    )
    return RankingResult(
        measure=str(rule),
        against=against,
        rows=ranked,
        pairs=_pairs(found, order),
        level=found.level,
    )


def _seeds(samples: SplitSamples, row: RowFolders, key: str) -> FloatArray:
    """Return a measure of a row by seed and problem."""
    return np.stack([samples.values(folder).at_k[key] for folder in row.folders])


def _at_equal(
    samples: SplitSamples,
    rows: Sequence[RowFolders],
    values: Sequence[FloatArray],
    reference: Trail,
    key: str,
) -> tuple[list[FloatArray], FloatArray]:
    """Return what each row and the reference stopped at its pass@1 add to the difference of the two."""
    own, stopped = [], []
    path, outcome = reference.values["pass@1"], reference.values[key]
    nothing = np.zeros((1, path.shape[2]))
    for row, value_R_N in zip(rows, values, strict=True):
        if row.name == reference.name:  # which is 0: it is what the others are compared with
            own.append(nothing)
            stopped.append(np.zeros((len(path), path.shape[2])))
            continue
        mine, theirs = matched_parts(_seeds(samples, row, "pass@1"), value_R_N, path, outcome)
        own.append(mine)
        stopped.append(theirs)
    return own, np.stack(stopped)


def _pairs(found: Ranking, order: npt.NDArray[np.int64]) -> list[dict[str, float]]:
    """Return each pair of places once, the higher one first."""
    return [
        {
            "place": first,
            "other": second,
            "difference": float(found.difference[m, n]),
            "low": float(found.low[m, n]),
            "high": float(found.high[m, n]),
            "p_value": float(found.p_value[m, n]),
        }
        for first, m in enumerate(order.tolist(), 1)
        for second, n in enumerate(order.tolist(), 1)
        if first < second
    ]


# --- as tables --------------------------------------------------------------------------------------


def ranking_tables(results: Sequence[RankingResult], split: str) -> list[ReportTable]:
    """Return a table for each ranking.

    Args:
        results: rankings of the main split.
        split: its name.
    """
    return [_table(result, split) for result in results]


def _table(result: RankingResult, split: str) -> ReportTable:
    places = 2 if result.measure.startswith("distinct") else 3
    key = result.measure.removesuffix(EQUAL)
    value = f"{key} more" if result.against else key
    note = (
        f"rank: the ranks that the row may have; with {result.level:.0%} all rows have one of theirs. alike: "
        "places of the rows that this one can't be told apart from. All pairs of rows are compared, with one "
        "correction for all of them: the largest studentised deviation over problems and seeds."
    )
    if result.against:
        note += (
            f" {value}: difference to {result.against} at the step at which it has the row's pass@1; see the "
            "table at equal pass@1 for rows that are outside its path."
        )
    return ReportTable(
        title=f"{split}: ranking by {result.measure}",
        columns=("method", "place", value, "rank", "alike"),
        measures={value: key},
        rows=tuple(
            (
                row.label,
                str(row.place),
                number(row.value, places=places, sign=bool(result.against)),
                f"{row.best_rank}–{row.worst_rank}" if row.alike else str(row.best_rank),
                runs_of(row.alike) or "none",
            )
            for row in result.rows
        ),
        notes=(note,),
    )


def runs_of(places: Sequence[int]) -> str:
    """Write rising numbers briefly: ``2, 4–6``."""
    found: list[list[int]] = []
    for place in places:
        if found and place == found[-1][1] + 1:
            found[-1][1] = place
        else:
            found.append([place, place])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in found)
