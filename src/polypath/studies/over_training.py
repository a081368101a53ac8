"""What methods could do along their training, and the curves of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from polypath.report.model import FloatArray
from polypath.studies.config import BASE, Evaluation
from polypath.studies.curve_figures import TrainingCurve, over_seeds
from polypath.studies.plan import StudyPlan
from polypath.studies.split_samples import SplitSamples

LOGGED = {
    "accuracy of samples": "diversity/accuracy",
    "entropy (nats per token)": "entropy",
    "distinct correct per group": "diversity/distinct_correct",
}


@dataclass(frozen=True, kw_only=True)
class Trail:
    """One method on the main split, at the steps that all of its seeds have.

    Attributes:
        name: of the method.
        label: of the method.
        steps: 0 for the base, its checkpoints, and its last.
        values: ``pass@k`` and ``distinct@k`` -> values ``(R, C, N)``; the base's are the same for all
            seeds.
    """

    name: str
    label: str
    steps: tuple[int, ...]
    values: Mapping[str, FloatArray]

    def mean(self, key: str) -> FloatArray:
        """Return the mean over problems, ``(R, C)``; NaN where none has a value."""
        value_R_C_N = self.values[key]
        known = ~np.isnan(value_R_C_N)
        total = np.where(known, value_R_C_N, 0.0).sum(axis=-1)
        number = known.sum(axis=-1)
        return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


def read_trails(samples: SplitSamples) -> dict[str, Trail]:
    """Measure the checkpoints of all methods that have any, and with them the base and the last step.

    Args:
        samples: of the study's main split.
    """
    plan, folders = samples.plan, {row.name: row.folders for row in samples.rows}
    base = samples.values(folders[BASE][0]).at_k
    found = {}
    for name, method in plan.study.methods.items():
        if not plan.checkpoints(name):
            continue
        seeds = []
        for seed, final in zip(plan.study.seeds, folders[name], strict=True):
            at = {0: base}
            for step in plan.checkpoints(name):
                folder = plan.method_samples_folder(name, seed, samples.evaluation, step)
                at[step] = samples.values(folder).at_k
            at[plan.last_step(name, seed)] = samples.values(final).at_k
            seeds.append(at)
        steps = sorted(set.intersection(*(set(at) for at in seeds)))
        found[name] = Trail(
            name=name,
            label=method.label,
            steps=tuple(steps),
            values={
                key: np.stack([[at[step][key] for step in steps] for at in seeds]) for key in base
            },
        )
    return found


def logged_curves(plan: StudyPlan) -> list[TrainingCurve]:
    """Return what the runs logged: accuracy, entropy and distinct correct solutions."""
    curves = []
    for name, method in plan.study.methods.items():
        logs = [plan.log(name, seed) for seed in plan.study.seeds]
        for panel, key in LOGGED.items():
            pairs = [[(line["step"], line[key]) for line in log if key in line] for log in logs]
            curve = over_seeds(name, method.label, panel, pairs)
            if curve is not None:
                curves.append(curve)
    return curves


def checkpoint_curves(trails: Mapping[str, Trail], evaluation: Evaluation) -> list[TrainingCurve]:
    """Return pass@1, pass@K and distinct solutions of checkpoints, the base first and the end last."""
    k = max(evaluation.ks)
    panels = {"pass@1": "pass@1", f"pass@{k}": f"pass@{k}"}
    if k > 1:
        panels[f"distinct@{k}"] = f"distinct correct in {k}"
    curves = []
    for trail in trails.values():
        for key, panel in panels.items():
            seeds = [list(zip(trail.steps, row, strict=True)) for row in trail.mean(key).tolist()]
            curves.append(over_seeds(trail.name, trail.label, panel, seeds))
    return [curve for curve in curves if curve is not None]
