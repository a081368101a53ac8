"""Curves over training: what runs logged, and what their checkpoints can do."""

from collections.abc import Mapping

from polypath.studies.config import Evaluation
from polypath.studies.figures import TrainingCurve, over_seeds
from polypath.studies.plan import Plan
from polypath.studies.trails import Trail

LOGGED = {
    "accuracy of samples": "diversity/accuracy",
    "entropy (nats per token)": "entropy",
    "distinct correct per group": "diversity/distinct_correct",
}


def logged_curves(plan: Plan) -> list[TrainingCurve]:
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
