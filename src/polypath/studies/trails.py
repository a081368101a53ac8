"""What methods could do along their training: values per problem at the base, checkpoints and the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polypath.report.runs import Seeds
from polypath.report.values import AnalysisSettings, FloatArray, Prepared, choose_sizes
from polypath.rollouts.samples import Samples, load_samples
from polypath.studies.config import BASE, Evaluation
from polypath.studies.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Trail:
    """One method on the main split, at the steps that all of its seeds have.

    Attributes:
        name: of the method.
        label: of the method.
        steps: 0 for the base, its checkpoints, and its last.
        values: ``pass@k`` and ``distinct@k`` -> values ``(S, C, N)``; the base's are the same for all
            seeds.
    """

    name: str
    label: str
    steps: tuple[int, ...]
    values: Mapping[str, FloatArray]

    def mean(self, key: str) -> FloatArray:
        """Return the mean over problems, ``(S, C)``; NaN where none has a value."""
        value_S_C_N = self.values[key]
        known = ~np.isnan(value_S_C_N)
        total = np.where(known, value_S_C_N, 0.0).sum(axis=-1)
        number = known.sum(axis=-1)
        return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def read_trails(plan: Plan, loaded: Mapping[str, Seeds], shared: Sequence[str]) -> dict[str, Trail]:
    """Measure the checkpoints of all methods that have any, and with them the base and the last step.

    Args:
        plan: of the study.
        loaded: samples of the base and the methods on the study's main split, by name.
        shared: problems to measure on.
    """
    names = [name for name in plan.study.methods if plan.checkpoints(name)]
    base = values_of(loaded[BASE][0], shared, plan.study.main)
    found = {}
    for name in names:
        seeds = []
        for seed, final in zip(plan.study.seeds, loaded[name], strict=True):
            at = {0: base}
            for step in plan.checkpoints(name):
                folder = plan.method_samples_folder(name, seed, plan.study.main, step)
                at[step] = values_of(load_samples(folder), shared, plan.study.main)
            at[plan.last_step(name, seed)] = values_of(final, shared, plan.study.main)
            seeds.append(at)
        steps = sorted(set.intersection(*(set(at) for at in seeds)))
        found[name] = Trail(
            name=name,
            label=plan.study.methods[name].label,
            steps=tuple(steps),
            values={
                key: np.stack([[at[step][key] for step in steps] for at in seeds]) for key in base
            },
        )
    return found


def values_of(
    samples: Samples, shared: Sequence[str], evaluation: Evaluation
) -> dict[str, FloatArray]:
    """Return pass@k and distinct solutions in k samples of each of these problems, ``(N,)``."""
    settings = AnalysisSettings(ks=evaluation.ks)
    sizes, _ = choose_sizes([samples], settings)
    prepared = Prepared(samples.subset(shared), sizes, settings)
    ks = sorted({1, *evaluation.ks})
    found = {f"pass@{k}": value_N for k, value_N in zip(ks, prepared.pass_at(ks).T, strict=True)}
    more = [k for k in ks if k > 1]
    if more:
        columns = prepared.distinct_at(more).T
        found |= {f"distinct@{k}": value_N for k, value_N in zip(more, columns, strict=True)}
    return found
