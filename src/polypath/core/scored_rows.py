"""Completions scored elsewhere: a score for each, and what else the scorer said of it.

Some engines have no reward functions side by side. They have one score per completion and a dictionary
with keys such as ``acc``, one of which says whether the completion is correct.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polypath.core.correctness import Correctness, find_correctness
from polypath.core.solutions import WITHOUT_SOLUTIONS
from polypath.core.verdicts import shares_without_verdict
from polypath.tasks.solutions import SolutionFunction
from polypath.verify.base import Status

SCORE = "score"
SOLUTION = "solution"  # canonical solution of the completion, or None
STATUS = "status"  # of the verdict
SCORED = "scored"  # false where nobody could score the completion


@dataclass(frozen=True, kw_only=True)
class ScoredRows:
    """What was said of completions.

    Attributes:
        rewards_B_2: what was paid for being correct, and the rest; they add up to the scores. float64, NaN
            where it is not known.
        correct_B: which are correct.
        known_B: of which it is known whether they are correct.
        solutions: canonical solutions; ``None`` where nothing says what a solution is.
        metrics: shares of completions without a verdict, where the scorer says so.
        unscored: whether there are completions that nobody could score.
    """

    rewards_B_2: Tensor
    correct_B: Tensor
    known_B: Tensor
    solutions: list[str | None] | None
    metrics: dict[str, float]
    unscored: bool


@dataclass(kw_only=True)
class ScoreReader:
    """Reads scores and dictionaries.

    Attributes:
        chosen: keys that say what is correct; ``None`` looks for them by name, and takes the score itself
            where there is none.
        threshold: a value above this is correct.
        solution_fn: says what a solution is; ``None``: the key ``solution``.
    """

    chosen: Sequence[str] | None
    threshold: float
    solution_fn: SolutionFunction | None = None
    _named: Correctness | None = None
    _told: bool = False

    @property
    def correctness(self) -> Correctness:
        """What is correct, by ``ScoredRows.rewards_B_2``."""
        return Correctness(columns=(0,), names=("correct", "rest"), threshold=self.threshold)

    def __call__(
        self, scores_B: Tensor, infos: Sequence[Mapping[str, Any]], texts: Sequence[str]
    ) -> ScoredRows:
        """Return what is known of completions.

        Args:
            scores_B: one score per completion.
            infos: what else was said of each.
            texts: the completions.

        Raises:
            ConfigError: a chosen key is in none of the dictionaries.
        """
        keys = {key for info in infos for key, value in info.items() if _is_value(value)}
        names = [SCORE, *sorted(keys - {SCORE, SCORED})]
        others = [[_number(info.get(key)) for info in infos] for key in names[1:]]
        values_B_F = torch.tensor(
            [scores_B.double().tolist(), *others], dtype=torch.float64
        ).T.contiguous()
        unscored_B = torch.tensor([info.get(SCORED) is False for info in infos])
        values_B_F[unscored_B] = torch.nan
        if self._named is None or self._named.names != names:
            named = [None] * len(names)
            self._named = find_correctness(self.chosen, named, names, self.threshold, warned=True)
        judged = self._named(values_B_F)
        self._named.watch(judged)
        rest_B = values_B_F[:, 0] - judged.reward_B.nan_to_num(0.0)
        statuses = [Status(info[STATUS]) for info in infos if info.get(STATUS) in set(Status)]
        return ScoredRows(
            rewards_B_2=torch.stack([judged.reward_B, rest_B], dim=1),
            correct_B=judged.correct_B,
            known_B=~judged.reward_B.isnan(),
            solutions=self._solutions(infos, texts),
            metrics=shares_without_verdict(statuses),
            unscored=bool(unscored_B.any()),
        )

    def _solutions(
        self, infos: Sequence[Mapping[str, Any]], texts: Sequence[str]
    ) -> list[str | None] | None:
        if self.solution_fn is not None:
            return [self.solution_fn(t, dict(i)) for t, i in zip(texts, infos, strict=True)]
        if any(SOLUTION in info for info in infos):
            found = (info.get(SOLUTION) for info in infos)
            return [None if solution is None else str(solution) for solution in found]
        if not self._told:
            self._told = True
            warnings.warn(WITHOUT_SOLUTIONS, stacklevel=3)
        return None


def _is_value(value: Any) -> bool:
    return isinstance(value, Real | np.bool_)


def _number(value: Any) -> float:
    return float(value) if _is_value(value) else math.nan
