"""Metrics of one model, requested by the names that ``polypath diversity`` gives them.

Values and labels are those of ``report.measures``. Only requested metrics are computed.
"""

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from polypath.errors import ConfigError
from polypath.report.measures import measure
from polypath.report.prepared import Prepared, ProblemValues
from polypath.report.settings import CORRECT_SAMPLES
from polypath.report.text_values import TEXT_MEASURES
from polypath.studies.config import Evaluation
from polypath.studies.job_functions import ENTROPY, entropy_values


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One metric of one model.

    Attributes:
        label: name for people.
        value: NaN if undefined.
        num_problems: number of problems that it is computed from.
        note: why it is undefined, or uses fewer problems; else empty.
    """

    label: str
    value: float
    num_problems: int
    note: str = ""


def check_metric(key: str, evaluation: Evaluation, where: str) -> None:
    """Check that samples of this evaluation have such a metric.

    Args:
        key: name of the metric, such as ``pass@16``.
        evaluation: how the samples are drawn.
        where: name of the place in the file, for messages.

    Raises:
        ConfigError: there is no metric of this name, its k exceeds the samples, or it needs greedy
            samples, which are not drawn.
    """
    known = known_metrics(evaluation)
    if key not in known:
        near = difflib.get_close_matches(key, known, n=3, cutoff=0.0)
        greedy = "and a greedy one" if evaluation.greedy else "and no greedy one"
        raise ConfigError(
            f"Unknown metric {key!r} in {where}: {evaluation.split} has {evaluation.samples} samples "
            f"of a problem {greedy}. Nearest: {', '.join(map(repr, near))}. Use the names of "
            "`polypath diversity --json`."
        )


def known_metrics(evaluation: Evaluation) -> list[str]:
    """Return the names of all metrics that samples of this evaluation have."""
    samples = evaluation.samples

    def at_k(name: str, least: int, most: int = samples) -> list[str]:
        return [name.format(k) for k in range(least, most + 1)]

    names = at_k("pass@{}", 1)
    for name in ("pass^{}", "majority@{}", "distinct@{}"):  # at 1 they would equal pass@1
        names += at_k(name, 2)
    names += at_k("potential@{}", 1, samples - 1)  # one sample is needed for pass@1
    if evaluation.greedy:
        names += ["greedy", *at_k("potential@{} (greedy)", 1)]
    names.append(ENTROPY)
    for over, least in (("all", 2), ("correct", CORRECT_SAMPLES)):
        if samples >= least:
            names += [f"{key} ({over})" for key in ("duplicates", "entropy", *TEXT_MEASURES)]
    return names


def measure_model(
    run: Prepared, keys: Iterable[str], folder: Path, known: Sequence[ProblemValues] = ()
) -> dict[str, Measured]:
    """Compute these metrics of one model.

    Args:
        run: samples of the model, on the problems that all models have.
        keys: keys that ``check_metric`` has checked.
        folder: run folder of the samples, for their entropy per token.
        known: measures that were already computed from these samples.

    Returns:
        Key -> the metric's value, a mean over the problems that have one.
    """
    wanted = dict.fromkeys(keys)
    found = {values.key: values for values in known}
    if ENTROPY in wanted:
        found[ENTROPY] = entropy_values(folder, run.samples.problem_ids)
    missing = [key for key in wanted if key not in found]
    every = tuple(range(1, int(run.samples.num_samples_N.max()) + 1))
    sizes = replace(run.sizes, ks=every, potential_ks=every)
    again = Prepared(run.samples, sizes, run.settings)
    found |= {values.key: values for values in measure(again, missing.__contains__)}
    # Greedy samples are drawn only at the split's own temperature.
    without = Measured(label="", value=math.nan, num_problems=0, note="no greedy samples")
    return {
        key: _summed(found[key]) if key in found else replace(without, label=key) for key in wanted
    }


def _summed(values: ProblemValues) -> Measured:
    """Return the ratio of sums, or the mean, over the problems that have a value."""
    bottom_N = np.ones_like(values.top_N) if values.bottom_N is None else values.bottom_N
    known_N = ~(np.isnan(values.top_N) | np.isnan(bottom_N))
    total = float(bottom_N[known_N].sum())
    return Measured(
        label=values.label,
        value=float(values.top_N[known_N].sum()) / total if total else math.nan,
        num_problems=int(known_N.sum()),
        note=values.note,
    )
