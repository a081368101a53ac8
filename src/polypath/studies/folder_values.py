"""The numbers of one folder of samples, problem by problem."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polypath.report.prepared import ProblemValues
from polypath.rollouts.files import read_json
from polypath.studies.job_functions import EVALUATED

ENTROPY = "token_entropy"


def in_tables(key: str) -> bool:
    """Say whether the tables of a study show a measure.

    Not all do: those over all pairs or orders of samples would take longer than the sampling of a
    small model, and ``report.html`` shows them.
    """
    return key == "greedy" or key.startswith(("pass@", "distinct@"))


def entropy_values(folder: Path, shared: Sequence[str]) -> ProblemValues:
    """Return the entropy per token of the samples of a run folder, from what its job measured."""
    surprisal = read_json(folder / EVALUATED, "what an evaluation wrote").get("surprisal", {})
    pairs = np.array([surprisal.get(p, (math.nan, math.nan)) for p in shared], dtype=np.float64)
    return ProblemValues(
        key=ENTROPY,
        label="entropy (nats per token)",
        group="solutions",
        higher_is="more diverse",
        top_N=pairs[:, 0],
        bottom_N=pairs[:, 1],
    )
