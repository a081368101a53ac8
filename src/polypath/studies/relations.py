"""Two metrics against each other over all models of a study: one point per evaluated model.

The correlation study of Yao 2025 (arXiv:2505.23433, sec. 3) over what a study trained: there, Potential@16
against Div-Equ over 12 models, with a line for those whose pass@1 is above 0.4.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polypath.report.numbers import MISSING, with_ends
from polypath.report.table import ReportTable
from polypath.studies.config import BASE, Relation
from polypath.studies.plan import StudyPlan
from polypath.studies.relation_fit import TRUSTED_RUNS, RelationFit, fit_relation
from polypath.studies.relation_metrics import Measured
from polypath.studies.split_samples import SplitSamples

END, CHECKPOINT, TEMPERATURE = "end", "checkpoint", "temperature"


@dataclass(frozen=True, kw_only=True)
class Model:
    """One evaluated model of the main split, or the same at another temperature.

    Attributes:
        name: key of its method, or ``base``.
        label: for people.
        run: the training run it comes from, what is drawn as a whole; ``base`` for the base.
        kind: ``end`` of training (the base's own temperature, too), ``checkpoint`` or ``temperature``.
        step: of a checkpoint; else 0.
        temperature: of its samples.
        folder: where they lie.
    """

    name: str
    label: str
    run: str
    kind: str
    step: int
    temperature: float
    folder: Path


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model with the metrics that the relations ask for, by key."""

    model: Model
    metrics: Mapping[str, Measured]


@dataclass(frozen=True, kw_only=True)
class RelationResult:
    """One relation over the models that have both of its metrics.

    Attributes:
        relation: as the study asks for it.
        labels: of its metrics, by key.
        points: models with both metrics.
        left_out: label of a model -> why it is no point.
        all_models: the line through all of them.
        chosen: the line through those that ``where`` chooses; None without it.
    """

    relation: Relation
    labels: Mapping[str, str]
    points: tuple[Point, ...]
    left_out: Mapping[str, str]
    all_models: RelationFit
    chosen: RelationFit | None

    def is_chosen(self, point: Point) -> bool:
        """Say whether ``where`` chooses this model; it does all without one."""
        where = self.relation.where
        return not where or point.metrics[where].value > self.relation.above


def models_of(plan: StudyPlan) -> Iterator[Model]:
    """Yield every model that is sampled on the main split, each once."""
    study, main = plan.study, plan.study.main
    base = plan.base_folder()
    others = [t for t in plan.base_temperatures() if t != main.temperature]
    for t in (main.temperature, *others):
        own = t == main.temperature
        yield Model(
            name=BASE,
            label=BASE if own else f"{BASE} at T={t:g}",
            run=BASE,
            kind=END if own else TEMPERATURE,
            step=0,
            temperature=t,
            folder=plan.samples_folder(base, main.at(t)),
        )
    known: set[Path] = set()
    for name in study.methods:
        for seed in study.seeds:
            for model in _models_of_run(plan, name, seed):
                if model.folder not in known:  # a method may be a checkpoint of another
                    known.add(model.folder)
                    yield model


def _models_of_run(plan: StudyPlan, name: str, seed: int) -> Iterator[Model]:
    main = plan.study.main
    label = f"{plan.study.methods[name].label}, seed {seed}"
    states = [(END, 0, main.temperature, label)]
    states += [
        (CHECKPOINT, s, main.temperature, f"{label}, step {s}") for s in plan.checkpoints(name)
    ]
    states += [(TEMPERATURE, 0, t, f"{label}, T={t:g}") for t in plan.temperatures(name)]
    for kind, step, temperature, text in states:
        yield Model(
            name=name,
            label=text,
            run=f"{plan.study.trained(name).name}, seed {seed}",
            kind=kind,
            step=step,
            temperature=temperature,
            folder=plan.method_samples_folder(name, seed, main.at(temperature), step),
        )


def relate(samples: SplitSamples) -> tuple[RelationResult, ...]:
    """Measure every model and fit the relations of the study.

    Args:
        samples: of its main split.
    """
    relations = samples.plan.study.relations
    if not relations:
        return ()
    points = [
        Point(model=model, metrics=samples.values(model.folder).related)
        for model in models_of(samples.plan)
    ]
    return tuple(_relate(relation, points) for relation in relations)


def _relate(relation: Relation, points: Sequence[Point]) -> RelationResult:
    without = {point.model.label: _why_not(relation, point) for point in points}
    known = [point for point in points if not without[point.model.label]]
    chosen = [
        p for p in known if relation.where and p.metrics[relation.where].value > relation.above
    ]
    return RelationResult(
        relation=relation,
        labels={key: points[0].metrics[key].label for key in relation.metrics},
        points=tuple(known),
        left_out={label: why for label, why in without.items() if why},
        all_models=_fit(relation, known),
        chosen=_fit(relation, chosen) if relation.where else None,
    )


def _why_not(relation: Relation, point: Point) -> str:
    """Say which metric a model lacks and why; empty if it has all."""
    for key in relation.metrics:
        found = point.metrics[key]
        if not math.isfinite(found.value):
            return f"{key}: {found.note or 'no problem has a value'}"
    return ""


def _fit(relation: Relation, points: Sequence[Point]) -> RelationFit:
    x_M, y_M = (
        np.array([point.metrics[key].value for point in points], dtype=np.float64)
        for key in (relation.x, relation.y)
    )
    return fit_relation(x_M, y_M, [point.model.run for point in points])


def chosen_words(relation: Relation) -> str:
    """Say which models ``where`` chooses."""
    return f"{relation.where} > {relation.above:g}" if relation.where else "all"


def relation_tables(split: str, results: Sequence[RelationResult]) -> list[ReportTable]:
    """Return a table with a line for each fit: models, runs, R², Spearman's rho and the slope.

    None without relations.
    """
    if not results:
        return []
    rows = []
    for result in results:
        relation = result.relation
        name = f"{result.labels[relation.y]} against {result.labels[relation.x]}"
        fits = [("all", result.all_models)]
        if result.chosen is not None:
            fits.append((chosen_words(relation), result.chosen))
        for over, fit in fits:
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
        title=f"{split}: relations of metrics over models",
        columns=("metric against metric", "models", "number", "runs", "R²", "Spearman", "slope"),
        rows=tuple(rows),
        notes=tuple(_notes(results)),
    )
    return [table]


def _notes(results: Sequence[RelationResult]) -> Iterator[str]:
    yield (
        "A model: the base, or a run at its end, at a checkpoint or at another temperature. In brackets "
        "95 % intervals over runs, which keep the models of a run together. Both metrics are of the "
        "same samples, and models of one base are no sample of all models: this is no evidence of cause."
    )
    fits = [f for result in results for f in (result.all_models, result.chosen) if f is not None]
    if any(fit.runs < TRUSTED_RUNS and not fit.note for fit in fits):
        yield f"Intervals over fewer than {TRUSTED_RUNS} runs are too short."
    for result in results:
        name = f"{result.relation.y} against {result.relation.x}"
        if result.left_out:
            label, why = next(iter(result.left_out.items()))
            number = len(result.left_out)
            yield f"{name}: {number} model{'s' * (number > 1)} left out ({label}: {why})."
        for fit in (result.all_models, result.chosen):
            if fit is not None and fit.note:
                over = "" if fit is result.all_models else f" where {chosen_words(result.relation)}"
                yield f"{name}{over}: no line, {fit.note}."


def relation_record(result: RelationResult) -> dict[str, Any]:
    """Return what ``results.json`` holds of a relation."""
    keys = result.relation.metrics
    return {
        **asdict(result.relation),
        "labels": dict(result.labels),
        "all": asdict(result.all_models),
        "chosen": asdict(result.chosen) if result.chosen is not None else None,
        "left_out": dict(result.left_out),
        "models": [
            {
                **asdict(point.model),
                "folder": str(point.model.folder),
                "chosen": result.is_chosen(point),
                "values": {key: point.metrics[key].value for key in keys},
                "num_problems": {key: point.metrics[key].num_problems for key in keys},
            }
            for point in result.points
        ],
    }
