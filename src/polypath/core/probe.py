"""A probe of held-out problems: what a policy can solve now, and whether it lost ways to be right."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from polypath.core.statistics import group_metrics
from polypath.errors import ConfigError
from polypath.metrics.bootstrap import paired_difference
from polypath.metrics.pass_at_k import pass_at_k_from_counts
from polypath.rollouts.rows import WITHOUT_VERDICT
from polypath.tasks.base import Problem
from polypath.verify.base import Verdict


class Probe:
    """Measures samples of the same problems repeatedly, and compares them with the first time.

    Args:
        problems: problems to sample; none of them should be trained on.
        num_samples: number of samples of each problem, >= 2.
        ks: the k of pass@k; values above ``num_samples`` are refused.

    Raises:
        ConfigError: an argument is out of range.

    Attributes:
        warned_at: the steps at which a fall of pass@k was reported.
    """

    def __init__(self, problems: Sequence[Problem], num_samples: int, ks: Sequence[int]) -> None:
        if not problems:
            raise ConfigError("CollapseMonitor needs at least one probe problem, got none.")
        if num_samples < 2:
            raise ConfigError(f"CollapseMonitor needs num_samples >= 2, got {num_samples}.")
        if not ks or min(ks) < 1 or max(ks) > num_samples:
            raise ConfigError(
                f"CollapseMonitor ks must lie in [1, num_samples={num_samples}], got {list(ks)}."
            )
        self.problems = list(problems)
        self.num_samples = num_samples
        self.ks = tuple(sorted(ks))
        self.warned_at: list[int] = []
        self._first_pass_N_K: np.ndarray | None = None

    def part(self, rank: int, processes: int) -> tuple[list[Problem], str | None]:
        """Return one process's problems, equally many on each, and the id of the one that is not its own.

        With parameters split over processes (FSDP, ZeRO-3) every forward waits for all of them. So a
        process with less to do repeats the first problem, and its samples of it are discarded.
        """
        mine = self.problems[rank::processes]
        if len(mine) == math.ceil(len(self.problems) / processes):
            return mine, None
        first = self.problems[0]  # the first process never lacks one
        return [*mine, first], first.problem_id

    def measure(
        self, step: int, verdicts: Sequence[Verdict], entropies: Sequence[float]
    ) -> dict[str, float]:
        """Return pass@k, diversity and entropy, and warn if pass@k at the largest k fell.

        Completions that could not be verified are neither right nor wrong, and are left out.

        Args:
            step: step of training, for the warning.
            verdicts: verdicts of ``num_samples`` completions of each problem, problem after problem.
            entropies: mean entropy in nats over the tokens of each completion.
        """
        correct_N_S = np.array([v.correct for v in verdicts]).reshape(-1, self.num_samples)
        scored_N_S = np.array([v.status not in WITHOUT_VERDICT for v in verdicts])
        scored_N_S = scored_N_S.reshape(correct_N_S.shape)
        pass_N_K = pass_at_k_from_counts(scored_N_S.sum(axis=1), correct_N_S.sum(axis=1), self.ks)
        values = {
            f"pass@{k}": _mean(pass_N_K[:, column], ~np.isnan(pass_N_K[:, column]))
            for column, k in enumerate(self.ks)
        }
        answers = [verdict.answer for verdict in verdicts]
        starts = range(0, len(answers), self.num_samples)
        groups = [answers[start : start + self.num_samples] for start in starts]
        told = any(answer is not None for answer in answers)  # else the task knows no solutions
        metrics = group_metrics(groups if told else None, correct_N_S, scored_P_G=scored_N_S)
        del metrics["diversity/accuracy"]  # pass@1
        values |= {name.removeprefix("diversity/"): value for name, value in metrics.items()}
        entropy_N_S = np.array(entropies).reshape(correct_N_S.shape)
        for name, chosen in (("correct", correct_N_S), ("wrong", ~correct_N_S & scored_N_S)):
            values[f"entropy_{name}"] = _mean(entropy_N_S, chosen)
        self._warn_if_fallen(step, pass_N_K)
        return values

    def _warn_if_fallen(self, step: int, pass_N_K: np.ndarray) -> None:
        """Warn if pass@k at the largest k is below its first value by more than the interval."""
        if self._first_pass_N_K is None:
            self._first_pass_N_K = pass_N_K
            return
        change = paired_difference(pass_N_K[:, -1], self._first_pass_N_K[:, -1], seed=0)
        if float(change.high) < 0:
            self.warned_at.append(step)
            warnings.warn(
                f"Step {step}: pass@{self.ks[-1]} on the probe set fell by "
                f"{-float(change.estimate):.3f} (95 % interval {-float(change.high):.3f} to "
                f"{-float(change.low):.3f}) since the start: the policy is losing ways to be right. "
                "Stop earlier, or train with DiversityGRPOTrainer (dra, positive_entropy_coef, "
                "rehearsal_set).",
                stacklevel=2,
            )


def _mean(values: np.ndarray, chosen: np.ndarray) -> float:
    return float(values[chosen].mean()) if chosen.any() else math.nan
