"""Two metrics compared over all models of a study, with one point per evaluated model.

This is the correlation study of Yao 2025 (arXiv:2505.23433, sec. 3) for the models that a study trained. The
paper has Potential@16 against Div-Equ over 12 models, with a line for those whose pass@1 is above 0.4.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polypath.studies.config import BASE, Relation
from polypath.studies.plan import CHECKPOINT, END, TEMPERATURE
from polypath.studies.relation_fit import RelationFit, fit_relation
from polypath.studies.relation_metrics import Measured
from polypath.studies.splits import SplitSamples

ALL = "all"  # name of the fit over all models


@dataclass(frozen=True, kw_only=True)
class Point:
    """One evaluated model of the main split, possibly at another temperature, with its metrics.

    Attributes:
        name: key of its method, or ``base``.
        label: name for people.
        run: the training run that it comes from, resampled as a whole; ``base`` for the base.
        kind: ``end`` of training (also the base's own temperature), ``checkpoint`` or ``temperature``.
        step: step of a checkpoint; else 0.
        temperature: temperature of its samples.
        folder: folder of the samples.
        metrics: metrics that the relations ask for, by key.
    """

    name: str
    label: str
    run: str
    kind: str
    step: int = 0
    temperature: float
    folder: Path
    metrics: Mapping[str, Measured]


@dataclass(frozen=True, kw_only=True)
class RelationResult:
    """One relation over the models that have both of its metrics.

    Attributes:
        relation: the relation as the study defines it.
        labels: labels of its metrics, by key.
        points: models with both metrics.
        left_out: label of a model -> why it has no point.
        fits: the line through ``all`` models, and with ``where`` the line through the models that it
            chooses, by a description of them.
    """

    relation: Relation
    labels: Mapping[str, str]
    points: tuple[Point, ...]
    left_out: Mapping[str, str]
    fits: Mapping[str, RelationFit]


def is_chosen(relation: Relation, point: Point) -> bool:
    """Return whether a relation's ``where`` chooses this model.

    Args:
        relation: with or without ``where``.
        point: a model with the metric that ``where`` names.

    Returns:
        True if the relation has no ``where``.
    """
    where = relation.where
    return not where or point.metrics[where].value > relation.above


def relate(samples: SplitSamples) -> tuple[RelationResult, ...]:
    """Measure every model and fit the relations of the study.

    Args:
        samples: samples of its main split.

    Returns:
        The relations in the order of the study.
    """
    relations = samples.plan.study.relations
    points = list(_points(samples)) if relations else []
    return tuple(_relate(relation, points) for relation in relations)


def _points(samples: SplitSamples) -> Iterator[Point]:
    """Yield every model that is sampled on the main split, without repeats."""
    plan, study, main = samples.plan, samples.plan.study, samples.plan.study.main
    for t in dict.fromkeys((main.temperature, *plan.base_temperatures())):
        own = t == main.temperature
        folder = plan.samples_folder(plan.base_folder(), main.at(t))
        yield Point(
            name=BASE,
            label=BASE if own else f"{BASE} at T={t:g}",
            run=BASE,
            kind=END if own else TEMPERATURE,
            temperature=t,
            folder=folder,
            metrics=samples.values(folder).related,
        )
    known: set[Path] = set()
    for name, seed in itertools.product(study.methods, study.seeds):
        for kind, step, evaluation in plan.states(name):
            folder = plan.method_samples_folder(name, seed, evaluation, step)
            # A method may be a checkpoint of another.
            if evaluation.split != main.split or folder in known:
                continue
            known.add(folder)
            t = evaluation.temperature
            at = {CHECKPOINT: f", step {step}", TEMPERATURE: f", T={t:g}"}.get(kind, "")
            yield Point(
                name=name,
                label=f"{study.methods[name].label}, seed {seed}{at}",
                run=f"{study.trained(name).name}, seed {seed}",
                kind=kind,
                step=step if kind == CHECKPOINT else 0,
                temperature=t,
                folder=folder,
                metrics=samples.values(folder).related,
            )


def _relate(relation: Relation, points: Sequence[Point]) -> RelationResult:
    left_out = {p.label: why for p in points if (why := _why_not(relation, p))}
    known = [point for point in points if point.label not in left_out]
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
    """Return which metric a model lacks and why; empty if it has all."""
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
    return fit_relation(x_M, y_M, [point.run for point in points])


def relation_record(result: RelationResult) -> dict[str, Any]:
    """Return the record of a relation in ``results.json``."""
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
                **{key: value for key, value in vars(point).items() if key != "metrics"},
                "chosen": is_chosen(result.relation, point),
                "values": {key: point.metrics[key].value for key in keys},
                "num_problems": {key: point.metrics[key].num_problems for key in keys},
            }
            for point in result.points
        ],
    }
