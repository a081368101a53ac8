"""The numbers of one folder of samples, problem by problem."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from polypath.report.values import FloatArray, Prepared, Values
from polypath.rollouts.files import read_json
from polypath.studies.job_functions import EVALUATED

ENTROPY = "token_entropy"


def measures(run: Prepared) -> Iterator[Values]:
    """Yield pass@k, greedy accuracy and distinct solutions, as ``report.measures`` has them.

    Not all that it has: those over all pairs or orders of samples would take longer than the
    sampling of a small model, and ``report.html`` shows them.
    """
    ks = run.sizes.ks
    for k, value_N in zip(ks, run.pass_at(ks).T, strict=True):
        yield value_of(f"pass@{k}", value_N, k=k, family="pass@k")
    if run.samples.greedy_correct is not None:
        right = [math.nan if c is None else float(c) for c in run.samples.greedy_correct]
        yield value_of("greedy", np.array(right))
    more = [k for k in ks if k > 1]
    if more:
        for k, value_N in zip(more, run.distinct_at(more).T, strict=True):
            yield value_of(f"distinct@{k}", value_N, k=k, family="distinct@k", group="solutions")


def entropy_values(folder: Path, shared: Sequence[str]) -> Values:
    """Return the entropy per token of the samples of a run folder, from what its job measured."""
    surprisal = read_json(folder / EVALUATED, "what an evaluation wrote").get("surprisal", {})
    pairs = np.array([surprisal.get(p, (math.nan, math.nan)) for p in shared], dtype=np.float64)
    return value_of(ENTROPY, pairs[:, 0], bottom_N=pairs[:, 1], group="solutions")


def value_of(
    key: str,
    top_N: FloatArray,
    *,
    bottom_N: FloatArray | None = None,
    k: int = 0,
    family: str = "",
    group: str = "correctness",
) -> Values:
    """Return values with a label and a direction that follow from their key and group."""
    return Values(
        key=key,
        label=key,
        group=group,
        over="all",
        higher_is="better" if group == "correctness" else "more diverse",
        top_N=top_N,
        bottom_N=bottom_N,
        k=k,
        family=family,
    )
