"""Which folders of samples are the rows of a study's tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polypath.report.runs import Seeds
from polypath.report.values import AnalysisSettings, Prepared, choose_sizes
from polypath.rollouts.samples import Samples, load_samples
from polypath.studies.config import BASE, COOLED, Evaluation
from polypath.studies.plan import Plan
from polypath.studies.work import training_seconds


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the samples of a row lie."""

    name: str
    label: str
    folders: tuple[Path, ...]
    temperature: float
    seeds: tuple[int, ...] = ()
    seconds: float = math.nan


def row_sources(plan: Plan, evaluation: Evaluation, best: float | None) -> list[Source]:
    """Return where the rows of a split come from.

    At the temperature of the evaluation itself the cooled base is the base: no row of its own.
    """
    folder = plan.samples_folder(plan.base_folder(), evaluation)
    found = [
        Source(name=BASE, label=BASE, folders=(folder,), temperature=evaluation.temperature),
    ]
    if best is not None and best != evaluation.temperature:
        cooled = plan.cooled(evaluation, best)
        folder = plan.samples_folder(plan.base_folder(), cooled)
        label = f"{COOLED} (T={best:g})"
        found.append(Source(name=COOLED, label=label, folders=(folder,), temperature=best))
    seeds = plan.study.seeds
    for name, method in plan.study.methods.items():
        took = [training_seconds(plan.log(name, seed)) for seed in seeds]
        seconds = [s for s in took if s is not None]
        found.append(
            Source(
                name=name,
                label=method.label,
                folders=tuple(plan.method_samples_folder(name, s, evaluation) for s in seeds),
                temperature=evaluation.temperature,
                seeds=seeds,
                seconds=float(np.mean(seconds)) if seconds else math.nan,
            )
        )
    return found


def temperature_sources(plan: Plan, evaluation: Evaluation) -> list[Source]:
    """Return where the base's samples at each temperature lie."""
    found = []
    for temperature in sorted(plan.study.temperatures):
        cooled = plan.cooled(evaluation, temperature)
        name = f"base at T={temperature:g}"
        folder = plan.samples_folder(plan.base_folder(), cooled)
        found.append(Source(name=name, label=name, folders=(folder,), temperature=temperature))
    return found


def method_temperature_sources(plan: Plan, name: str) -> list[Source]:
    """Return where a method's samples of the main split at other temperatures lie."""
    found = []
    for temperature in plan.temperatures(name):
        cooled = plan.cooled(plan.study.main, temperature)
        seeds = plan.study.seeds
        found.append(
            Source(
                name=name,
                label=f"{plan.study.methods[name].label} at T={temperature:g}",
                folders=tuple(plan.method_samples_folder(name, s, cooled) for s in seeds),
                temperature=temperature,
                seeds=seeds,
            )
        )
    return found


def load(sources: Sequence[Source]) -> dict[str, Seeds]:
    """Read the samples of every source, by name."""
    return {
        source.name: tuple(load_samples(folder, name=source.label) for folder in source.folders)
        for source in sources
    }


def by_folder(sources: Sequence[Source], loaded: Mapping[str, Seeds]) -> dict[Path, Samples]:
    """Return what ``load`` read of these sources, by the folder it lies in."""
    return {
        folder: samples
        for source in sources
        for folder, samples in zip(source.folders, loaded[source.name], strict=True)
    }


def best_temperature(plan: Plan) -> tuple[float | None, dict[str, float]]:
    """Choose the temperature at which the base is right most often on the tuning split.

    Returns:
        It, and the base's pass@1 at each; (None, {}) for a study without temperatures.
    """
    tuning = plan.study.tuning
    if tuning is None or not plan.study.temperatures:
        return None, {}
    accuracy = {}
    for temperature in plan.study.temperatures:
        folder = plan.samples_folder(plan.base_folder(), plan.cooled(tuning, temperature))
        samples = load_samples(folder)
        sizes, _ = choose_sizes([samples], AnalysisSettings(ks=(1,)))
        accuracy[f"{temperature:g}"] = float(
            np.nanmean(Prepared(samples, sizes, AnalysisSettings(ks=(1,))).pass_at([1]))
        )
    return float(max(accuracy, key=lambda key: accuracy[key])), accuracy
