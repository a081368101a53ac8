"""The rows of each split: where their samples are, and their numbers.

The measures are those of ``polypath compare``, including seeds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from polypath.metrics import Crossing
from polypath.report.analysis import MeasuredRun, measure_runs
from polypath.report.changes import expected_explore, expected_keep, keep_and_explore
from polypath.report.estimates import (
    Stack,
    crossing_of,
    curve,
    differences,
    metrics,
    paired,
    stack,
)
from polypath.report.measures import measure
from polypath.report.model import Curve, Difference, FloatArray, Metric
from polypath.report.prepared import Prepared, ProblemValues, shared_problems
from polypath.report.settings import AnalysisSettings, choose_sizes
from polypath.rollouts.samples import Samples, load_samples
from polypath.studies.config import BASE, COOLED, Evaluation, at_temperature
from polypath.studies.job_functions import entropy_values
from polypath.studies.plan import StudyPlan
from polypath.studies.relation_metrics import Measured, measure_model


@dataclass(frozen=True, kw_only=True)
class RowFolders:
    """Where the samples of a table's row are.

    Attributes:
        name: key of the method; ``base`` or ``base, cooled``.
        label: label in tables.
        folders: folders of the samples, one for each seed.
        temperature: temperature of the samples.
        seeds: training seeds of the row; empty for the base.
        training_seconds: mean over seeds; NaN for the base.
    """

    name: str
    label: str
    folders: tuple[Path, ...]
    temperature: float
    seeds: tuple[int, ...] = ()
    training_seconds: float = math.nan


@dataclass(frozen=True, kw_only=True)
class FolderValues:
    """The measured values of one folder of samples.

    Attributes:
        values: pass@k, greedy accuracy, distinct solutions, entropy per token, and except for the base
            keep and explore shares.
        at_k: ``pass@k`` (always with pass@1), ``distinct@k`` and the study's ``matched_measures`` -> values
            ``(N,)``.
        curve_N_K: pass@k at each k of the curve.
        keep_N_2: pass@k and pass@2k at the k of the keep and explore shares; NaN without these.
        related: the metrics that the study's relations need, on its main split.
    """

    values: tuple[ProblemValues, ...]
    at_k: Mapping[str, FloatArray]
    curve_N_K: FloatArray
    keep_N_2: FloatArray
    related: Mapping[str, Measured]


class SplitSamples:
    """The samples of all rows of a split, in memory, and the values of these and other folders.

    Attributes:
        plan: plan of the study. All its samples must exist.
        evaluation: evaluation of the split.
        rows: the base first, then the base at its best temperature if there is one, then the methods.
        curve: the base at every temperature of the study.
        shared: problems that all of these have.
        measured: name of a row -> all its measures; only on the main split, for the page.
        sizes: number of samples that each kind of measure uses.
        settings: settings of the intervals.
    """

    def __init__(
        self, plan: StudyPlan, evaluation: Evaluation, best: float | None, *, workers: int = 1
    ) -> None:
        self.plan, self.evaluation = plan, evaluation
        self.rows, self.curve = base_and_methods(plan, evaluation, best), _curve(plan, evaluation)
        self._read: dict[Path, Samples] = {}
        for row in (*self.rows, *self.curve):
            for folder in row.folders:
                if folder not in self._read:
                    self._read[folder] = load_samples(folder, name=row.label)
        samples = tuple(self._read.values())
        self.shared = shared_problems([samples])
        self.settings = AnalysisSettings(ks=evaluation.ks)
        sizes, _ = choose_sizes(samples, self.settings)
        self.sizes = replace(sizes, keep_k=evaluation.keep_k)
        self._values: dict[Path, FolderValues] = {}
        self._known: dict[Path, Sequence[ProblemValues]] = {}
        self.measured: dict[str, MeasuredRun] = {}
        if plan.study.page and evaluation == plan.study.main:
            runs = [
                tuple(self._read[f].subset(self.shared) for f in row.folders) for row in self.rows
            ]
            found = measure_runs(runs, sizes, self.settings, workers=workers)
            for row, run in zip(self.rows, found, strict=True):
                self.measured[row.name] = run
                self._known |= zip(row.folders, run.values, strict=True)

    def values(self, folder: Path) -> FolderValues:
        """Return the values of a folder's samples on the shared problems.

        Samples of folders that belong to no row are not kept, because all of a study's samples together
        would not fit in memory.
        """
        if folder not in self._values:
            samples = self._read.get(folder) or load_samples(folder)
            run = Prepared(samples.subset(self.shared), self.sizes, self.settings)
            keep_k, curve_N_K = self.sizes.keep_k, run.pass_at(self.sizes.curve_ks)
            study, is_main = self.plan.study, self.evaluation == self.plan.study.main
            texts = study.matched_measures if is_main else ()
            known = self._known.get(folder) or measure(run, lambda k: _in_tables(k) or k in texts)
            values = [v for v in known if _in_tables(v.key)]
            at_k = {"pass@1": curve_N_K[:, 0]} | {v.key: v.top_N for v in values if v.k}
            at_k |= {v.key: v.top_N for v in known if v.key in texts}
            values.append(entropy_values(folder, self.shared))
            keep_N_2, base = np.full((len(self.shared), 2), np.nan), self.rows[0].folders[0]
            if keep_k:
                keep_N_2 = run.pass_at([keep_k, 2 * keep_k])
            if keep_k and folder != base:  # samples cannot say how often fresh ones are right
                of_base_N = self.values(base).keep_N_2[:, 0]
                values += keep_and_explore(of_base_N, keep_N_2[:, 0], keep_k)
            relations = study.relations if is_main else ()
            keys = [key for relation in relations for key in relation.metrics]
            self._values[folder] = FolderValues(
                values=tuple(values),
                at_k=at_k,
                curve_N_K=curve_N_K,
                keep_N_2=keep_N_2,
                related=measure_model(run, keys, folder, known) if keys else {},
            )
        return self._values[folder]

    def not_judged(self) -> int:
        """Return how many samples of the rows have no verdict because verifying took too long or failed."""
        samples = [self._read[folder] for row in self.rows for folder in row.folders]
        return sum(int((one.num_samples_N - one.num_verified_N).sum()) for one in samples)


def _in_tables(key: str) -> bool:
    """Return whether the tables of a study show a measure.

    Some are left out: measures over all pairs or orders of samples would take longer than the sampling of
    a small model. ``report.html`` shows them.
    """
    return key == "greedy" or key.startswith(("pass@", "distinct@"))


def base_and_methods(
    plan: StudyPlan, evaluation: Evaluation, best: float | None
) -> tuple[RowFolders, ...]:
    """Return where the rows of a split come from.

    At the temperature of the evaluation itself, the base at its best temperature equals the base and has
    no row of its own.

    Args:
        plan: files and jobs of the study.
        evaluation: evaluation of the split.
        best: temperature of the base's row at a lower temperature; ``None`` for no such row.
    """
    folder, own = plan.samples_folder(plan.base_folder(), evaluation), evaluation.temperature
    found = [RowFolders(name=BASE, label=BASE, folders=(folder,), temperature=own)]
    if best is not None and best != own:
        folder = plan.cooled_folder(evaluation, best)
        label = at_temperature(best)
        found.append(RowFolders(name=COOLED, label=label, folders=(folder,), temperature=best))
    for name, method in plan.study.methods.items():
        took = [training_seconds(plan.log(name, seed)) for seed in plan.study.seeds]
        seconds = [s for s in took if s is not None]
        mean = float(np.mean(seconds)) if seconds else math.nan
        row = _method(plan, name, evaluation, method.label)
        found.append(replace(row, training_seconds=mean))
    return tuple(found)


def over_temperatures(plan: StudyPlan, name: str) -> list[RowFolders]:
    """Return where a method's samples of the main split at other temperatures are."""
    main, label = plan.study.main, plan.study.methods[name].label
    return [_method(plan, name, main.at(t), f"{label} at T={t:g}") for t in plan.temperatures(name)]


def _method(plan: StudyPlan, name: str, evaluation: Evaluation, label: str) -> RowFolders:
    seeds = plan.study.seeds
    return RowFolders(
        name=name,
        label=label,
        folders=tuple(plan.method_samples_folder(name, seed, evaluation) for seed in seeds),
        temperature=evaluation.temperature,
        seeds=seeds,
    )


def _curve(plan: StudyPlan, evaluation: Evaluation) -> tuple[RowFolders, ...]:
    """Return where the base's samples at each temperature are."""
    found = []
    for t in sorted(plan.base_temperatures()):
        name, folder = (
            f"{BASE} at T={t:g}",
            plan.samples_folder(plan.base_folder(), evaluation.at(t)),
        )
        found.append(RowFolders(name=name, label=name, folders=(folder,), temperature=t))
    return tuple(found)


def training_seconds(log: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the seconds of all steps that a run kept; None if there are none.

    They do not include start-up, saving, and steps that were repeated after a kill.
    """
    total, before = 0.0, 0
    for line in log:
        if "step_time" in line:
            total += float(line["step_time"]) * (int(line["step"]) - before)
            before = int(line["step"])
    return total if before else None


# --- their numbers ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Row(RowFolders):
    """One method, or the base, on one split, with its numbers.

    Attributes:
        metrics: key -> number with interval, as in ``polypath compare``, and ``token_entropy``.
        against_base: key -> paired difference to the base.
        against: key -> paired difference to its reference method, if there is one.
        pass_curve: pass@k over k.
        crossing_base: k at which it crosses the base's.
        crossing: the same for its reference method.
    """

    metrics: Mapping[str, Metric]
    against_base: Mapping[str, Difference] = field(default_factory=dict)
    against: Mapping[str, Difference] = field(default_factory=dict)
    pass_curve: Curve
    crossing_base: Crossing | None = None
    crossing: Crossing | None = None

    @property
    def trained(self) -> bool:
        """Whether the row is a method and not the base."""
        return bool(self.seeds)


@dataclass(frozen=True, kw_only=True)
class SplitResult:
    """All rows of a split.

    Attributes:
        evaluation: how the split was sampled.
        num_problems: problems that all rows share.
        rows: base first, then the base at its best temperature if there is one, then the methods.
        cooled: the base at every temperature of the study, for the curve; these are not rows of the table.
        pairs: a method and another that it is compared with -> key -> paired difference.
        method_temperatures: methods of the main split that are sampled at several temperatures, including
            their own, from the lowest on.
        not_judged: number of samples that could not be verified; they are not counted.
        keep_by_luck: Keep of the base expected under resampling.
        explore_by_luck: the same for Explore.
    """

    evaluation: Evaluation
    num_problems: int
    rows: tuple[Row, ...]
    cooled: tuple[Row, ...]
    not_judged: int
    keep_by_luck: float
    explore_by_luck: float
    pairs: Mapping[tuple[str, str], Mapping[str, Difference]] = field(default_factory=dict)
    method_temperatures: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)


def measure_split(samples: SplitSamples) -> SplitResult:
    """Measure every row of a split.

    Args:
        samples: all rows of the split.

    Returns:
        Rows with metrics, and differences to the base and to their reference.
    """
    plan, settings = samples.plan, samples.settings
    stacks: dict[str, Stack] = {}
    uncompared: dict[str, Row] = {}

    def against(name: str, row: Row, mine: Stack) -> dict[str, Difference]:
        """Return the differences of a row to the row of this name; empty without one."""
        if not name or stacks[name] is mine:
            return {}
        return {d.key: d for d in differences(stacks[name], mine, settings, name, row.name)}

    def crossing(name: str, row: Row) -> Crossing | None:
        """Return where pass@k of a row crosses that of the row of this name."""
        if not name or uncompared[name] is row:
            return None
        found, _ = paired(_pass_at(row, samples), _pass_at(uncompared[name], samples), settings)
        return crossing_of(samples.sizes.curve_ks, found)

    def compared(row: Row, mine: Stack) -> Row:
        reference = plan.study.reference_of(row.name)
        return replace(
            row,
            against_base=against(BASE, row, mine),
            against=against(reference, row, mine),
            crossing_base=crossing(BASE, row),
            crossing=crossing(reference, row),
        )

    measured = [_measure_row(source, samples) for source in samples.rows]
    stacks |= {row.name: mine for row, mine in measured}
    uncompared |= {row.name: row for row, _ in measured}
    rows = {row.name: compared(row, mine) for row, mine in measured}
    at_temperatures: dict[str, tuple[Row, ...]] = {}
    for name in plan.study.methods if samples.evaluation == plan.study.main else ():
        others = [_measure_row(source, samples) for source in over_temperatures(plan, name)]
        if others:
            every = [rows[name], *(compared(row, mine) for row, mine in others)]
            at_temperatures[name] = tuple(sorted(every, key=lambda row: row.temperature))
    base_N, twice_N = samples.values(samples.rows[0].folders[0]).keep_N_2.T
    return SplitResult(
        evaluation=samples.evaluation,
        num_problems=len(samples.shared),
        rows=tuple(rows.values()),
        cooled=tuple(_measure_row(source, samples)[0] for source in samples.curve),
        not_judged=samples.not_judged(),
        keep_by_luck=expected_keep(base_N, twice_N),
        explore_by_luck=expected_explore(base_N, twice_N),
        pairs={
            (one, other): against(other, rows[one], stacks[one]) for one, other in plan.study.pairs
        },
        method_temperatures=at_temperatures,
    )


def _measure_row(source: RowFolders, samples: SplitSamples) -> tuple[Row, Stack]:
    found, settings = [samples.values(folder) for folder in source.folders], samples.settings
    measures = stack([one.values for one in found], len(samples.shared))
    row = Row(
        **vars(source),
        metrics={metric.key: metric for metric in metrics(measures, settings)},
        pass_curve=curve(samples.sizes.curve_ks, _pass_at(source, samples), settings, most=1.0),
    )
    return row, measures


def _pass_at(source: RowFolders, samples: SplitSamples) -> FloatArray:
    """Return pass@k of a row over the k of the curve, ``(R, N, K)``."""
    return np.stack([samples.values(folder).curve_N_K for folder in source.folders])
