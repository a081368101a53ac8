"""Methods over their training: at their checkpoints, in their logs, and with a reference stopped early."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.metrics import MatchedDifference, holm, matched_difference
from polypath.metrics.matched import ABOVE, BELOW
from polypath.report.estimates import verdict
from polypath.report.model import Difference, FloatArray
from polypath.studies.config import BASE, Evaluation
from polypath.studies.plan import StudyPlan
from polypath.studies.splits import RowFolders, SplitSamples

LOGGED = {
    "accuracy of samples": "diversity/accuracy",
    "entropy (nats per token)": "entropy",
    "distinct correct per group": "diversity/distinct_correct",
}
NOTES = {
    "": "",
    ABOVE: "not at equal pass@1: the reference never reaches the method's; compared with its best step",
    BELOW: "not at equal pass@1: the base's is above the method's; compared with the base",
}


@dataclass(frozen=True, kw_only=True)
class Trail:
    """One method on the main split, at the steps that all of its seeds have.

    Attributes:
        name: name of the method.
        label: label of the method.
        steps: 0 for the base, its checkpoints, and its last step.
        values: ``pass@k``, ``distinct@k`` and the study's ``matched_measures`` -> values ``(R, C, N)``; the
            base's are the same for all seeds.
    """

    name: str
    label: str
    steps: tuple[int, ...]
    values: Mapping[str, FloatArray]

    def mean(self, key: str) -> FloatArray:
        """Return the mean over problems, ``(R, C)``; NaN if none has a value."""
        value_R_C_N = self.values[key]
        with np.errstate(invalid="ignore"):  # 0 / 0 if none has
            total, number = np.nansum(value_R_C_N, axis=-1), (~np.isnan(value_R_C_N)).sum(axis=-1)
            return np.asarray(total / number)


def read_trails(samples: SplitSamples) -> dict[str, Trail]:
    """Measure the checkpoints of all methods that have any, together with the base and the last step.

    Args:
        samples: samples of the study's main split.

    Returns:
        Name of a method -> its trail.
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


# --- curves -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TrainingCurve:
    """A number over T optimizer steps: mean over seeds, and the lowest and highest seed, ``(T,)``.

    Attributes:
        name: key of the method.
        label: label of the method, in legends.
        panel: title of the panel it belongs to.
        steps: optimizer steps, ``(T,)``.
        mean: over seeds, ``(T,)``.
        low: value of the lowest seed at each step, ``(T,)``.
        high: value of the highest seed.
    """

    name: str
    label: str
    panel: str
    steps: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]


def logged_curves(plan: StudyPlan) -> list[TrainingCurve]:
    """Return what the runs logged: accuracy, entropy and distinct correct solutions."""
    curves = []
    for name, method in plan.study.methods.items():
        logs = [plan.log(name, seed) for seed in plan.study.seeds]
        for panel, key in LOGGED.items():
            seeds = [{line["step"]: line[key] for line in log if key in line} for log in logs]
            steps = sorted(set.intersection(*(set(seed) for seed in seeds)))
            if steps:
                values_R_T = np.array([[seed[step] for step in steps] for seed in seeds])
                curves.append(_curve(name, method.label, panel, steps, values_R_T))
    return curves


def checkpoint_curves(trails: Mapping[str, Trail], evaluation: Evaluation) -> list[TrainingCurve]:
    """Return pass@1, pass@K and distinct solutions of checkpoints, with the base first and the end last.

    Args:
        trails: trails from ``read_trails``.
        evaluation: evaluation of the main split.
    """
    panels = {key: key.replace("distinct@", "distinct correct in ") for key in evaluation.front}
    return [
        _curve(trail.name, trail.label, panel, trail.steps, trail.mean(key))
        for trail in trails.values()
        for key, panel in panels.items()
    ]


def _curve(
    name: str, label: str, panel: str, steps: Iterable[float], values_R_T: FloatArray
) -> TrainingCurve:
    return TrainingCurve(
        name=name,
        label=label,
        panel=panel,
        steps=np.array(steps, dtype=np.float64),
        mean=values_R_T.mean(axis=0),
        low=values_R_T.min(axis=0),
        high=values_R_T.max(axis=0),
    )


# --- at equal pass@1 --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MatchedRow:
    """One method, or the base at its best temperature, compared with the reference stopped at its pass@1.

    Attributes:
        name: key of the method.
        label: label in tables.
        against: key of the reference.
        pass_at_1: pass@1 of the method.
        step: step at which the reference is stopped.
        step_low: lower end of its interval.
        step_high: upper end.
        outside: empty, ``above`` or ``below``; see ``metrics.MatchedDifference``.
        outside_share: share of the resamples that are outside.
        pass_gap: pass@1 of the method minus that of the stopped reference; 0 unless outside.
        differences: ``pass@k``, ``distinct@k`` and the study's ``matched_measures`` -> difference to the
            stopped reference.
    """

    name: str
    label: str
    against: str
    pass_at_1: float
    step: float
    step_low: float
    step_high: float
    outside: str
    outside_share: float
    pass_gap: float
    differences: Mapping[str, Difference]


def match(
    samples: SplitSamples,
    wanted: Iterable[tuple[str, str]],
    trails: Mapping[str, Trail],
) -> tuple[MatchedRow, ...]:
    """Compare rows of the main split with references at equal pass@1.

    Args:
        samples: samples of the main split.
        wanted: names of a row and its reference.
        trails: trails of the methods; without that of a reference there is nothing to match with.

    Returns:
        Empty if the study does not request it, no reference has checkpoints, or pass@1 is the only
        measure.
    """
    if not samples.plan.study.matched or max(samples.evaluation.ks) == 1:
        return ()
    rows = {row.name: row for row in samples.rows}
    return tuple(
        _match_row(samples, rows[name], trails[reference])
        for name, reference in wanted
        if reference in trails
    )


def _match_row(samples: SplitSamples, row: RowFolders, reference: Trail) -> MatchedRow:
    settings = samples.settings
    seeds = [samples.values(folder).at_k for folder in row.folders]
    values = {key: np.stack([seed[key] for seed in seeds]) for key in seeds[0]}
    by_key = {
        key: matched_difference(
            values["pass@1"],
            value_R_N,
            reference.values["pass@1"],
            reference.values[key],
            steps_C=reference.steps,
            level=settings.level,
            num_resamples=settings.num_resamples,
            seed=settings.seed,
        )
        for key, value_R_N in values.items()
        if _can_be_compared(value_R_N, reference.values[key])
    }
    first = by_key.pop("pass@1")
    differences: dict[str, Difference] = {}
    for family in ("pass@k", "distinct@k"):
        members = {k: d for k, d in by_key.items() if k.startswith(family.removesuffix("k"))}
        differences |= _differences(row, reference, family, members)
    for key in (key for key in samples.plan.study.matched_measures if key in by_key):
        differences |= _differences(row, reference, key, {key: by_key[key]})
    return MatchedRow(
        name=row.name,
        label=row.label,
        against=reference.name,
        pass_at_1=first.method_value,
        step=first.step,
        step_low=first.step_low,
        step_high=first.step_high,
        outside=first.outside,
        outside_share=first.outside_share,
        pass_gap=first.pass_gap,
        differences=differences,
    )


def _can_be_compared(*values: FloatArray) -> bool:
    """Return whether two problems or more have a value everywhere: of texts, some have too few."""
    missing = [np.isnan(value).reshape(-1, value.shape[-1]).any(axis=0) for value in values]
    return int((~np.any(missing, axis=0)).sum()) >= 2


def _differences(
    row: RowFolders, reference: Trail, family: str, members: Mapping[str, MatchedDifference]
) -> dict[str, Difference]:
    """Return the differences of one measure, with p-values corrected for its several k if it has any."""
    corrected = holm([d.p_value for d in members.values()])
    found = {}
    for (key, d), p_holm in zip(members.items(), corrected.tolist(), strict=True):
        found[key] = Difference(
            key=key,
            label=key,
            group="correctness" if family == "pass@k" else "solutions",
            over="correct" if key.endswith("(correct)") else "all",
            higher_is="better" if family == "pass@k" else "more diverse",
            k=int(key.split("@")[1]) if "@" in key else 0,
            family=family,
            run=row.name,
            base=reference.name,
            run_value=d.method_value,
            base_value=d.reference_value,
            estimate=d.estimate,
            low=d.low,
            high=d.high,
            p_value=d.p_value,
            p_holm=p_holm,
            smallest_detectable=d.smallest_detectable,
            verdict=verdict(d.estimate, p_holm, d.level),
            num_problems=d.num_problems,
            note=NOTES[d.outside],
        )
    return found
