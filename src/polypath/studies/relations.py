"""Two metrics against each other over all models of a study: one point per evaluated model.

The correlation study of Yao 2025 (arXiv:2505.23433, sec. 3) over what a study trained: there, Potential@16
against Div-Equ over 12 models, with a line for those whose pass@1 is above 0.4.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polypath.studies.config import BASE, Relation
from polypath.studies.plan import CHECKPOINT, END, TEMPERATURE, StudyPlan
from polypath.studies.relation_fit import RelationFit, fit_relation
from polypath.studies.relation_metrics import Measured
from polypath.studies.splits import SplitSamples

ALL = "all"  # models, as the name of a fit


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
    step: int = 0
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
        fits: ``all``, and in words which models ``where`` chooses if there is one -> the line through
            them.
    """

    relation: Relation
    labels: Mapping[str, str]
    points: tuple[Point, ...]
    left_out: Mapping[str, str]
    fits: Mapping[str, RelationFit]


def is_chosen(relation: Relation, point: Point) -> bool:
    """Say whether ``where`` chooses this model; it does all without one."""
    where = relation.where
    return not where or point.metrics[where].value > relation.above


def models_of(plan: StudyPlan) -> Iterator[Model]:
    """Yield every model that is sampled on the main split, each once."""
    study, main = plan.study, plan.study.main
    others = [t for t in plan.base_temperatures() if t != main.temperature]
    for t in (main.temperature, *others):
        own = t == main.temperature
        yield Model(
            name=BASE,
            label=BASE if own else f"{BASE} at T={t:g}",
            run=BASE,
            kind=END if own else TEMPERATURE,
            temperature=t,
            folder=plan.samples_folder(plan.base_folder(), main.at(t)),
        )
    known: set[Path] = set()
    for name in study.methods:
        for seed in study.seeds:
            for model in _models_of_run(plan, name, seed):
                if model.folder not in known:  # a method may be a checkpoint of another
                    known.add(model.folder)
                    yield model


def _models_of_run(plan: StudyPlan, name: str, seed: int) -> Iterator[Model]:
    for kind, step, evaluation in plan.states(name):
        if evaluation.split != plan.study.main.split:
            continue
        t = evaluation.temperature
        at = {CHECKPOINT: f", step {step}", TEMPERATURE: f", T={t:g}"}.get(kind, "")
        yield Model(
            name=name,
            label=f"{plan.study.methods[name].label}, seed {seed}{at}",
            run=f"{plan.study.trained(name).name}, seed {seed}",
            kind=kind,
            step=step if kind == CHECKPOINT else 0,
            temperature=t,
            folder=plan.method_samples_folder(name, seed, evaluation, step),
        )


def relate(samples: SplitSamples) -> tuple[RelationResult, ...]:
    """Measure every model and fit the relations of the study.

    Args:
        samples: of its main split.
    """
    relations = samples.plan.study.relations
    models = models_of(samples.plan) if relations else ()
    points = [Point(model=m, metrics=samples.values(m.folder).related) for m in models]
    return tuple(_relate(relation, points) for relation in relations)


def _relate(relation: Relation, points: Sequence[Point]) -> RelationResult:
    left_out = {p.model.label: why for p in points if (why := _why_not(relation, p))}
    known = [point for point in points if point.model.label not in left_out]
    fits = {ALL: _fit(relation, known)}
    if relation.where:
        chosen = [point for point in known if is_chosen(relation, point)]
        fits[f"{relation.where} > {relation.above:g}"] = _fit(relation, chosen)
    return RelationResult(
        relation=relation,
        labels={key: points[0].metrics[key].label for key in relation.metrics},
        points=tuple(known),
        left_out=left_out,
        fits=fits,
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


def relation_record(result: RelationResult) -> dict[str, Any]:
    """Return what ``results.json`` holds of a relation."""
    keys = result.relation.metrics
    fits = list(result.fits.values())
    return {
        **vars(result.relation),
        "labels": result.labels,
        "all": fits[0],
        "chosen": fits[1] if len(fits) > 1 else None,
        "left_out": result.left_out,
        "models": [
            {
                **vars(point.model),
                "chosen": is_chosen(result.relation, point),
                "values": {key: point.metrics[key].value for key in keys},
                "num_problems": {key: point.metrics[key].num_problems for key in keys},
            }
            for point in result.points
        ],
    }
