"""Compare with a base run on the same problems: what was lost, kept and found.

Problems (is any sample correct?), solution modes (which different correct solutions are there?), and
the shares Keep and Explore of problems, after DPH-RL, arXiv:2509.07430, figure 3. Its exact formulas
were not available to us; these are the shares its text describes.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.checks import check_shapes
from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics.equal_k import chance_drawn
from polypath.metrics.pass_at_k import FloatArray, as_counts

KEPT, LOST, FOUND, UNSOLVED = "kept", "lost", "found", "unsolved"

_Solutions = Sequence[Sequence[str | None]]
_Correct = Sequence[Sequence[bool | None]]


def problem_changes(
    base_n_N: npt.ArrayLike, base_c_N: npt.ArrayLike, run_n_N: npt.ArrayLike, run_c_N: npt.ArrayLike
) -> list[str | None]:
    """Return for each problem whether the run kept, lost or found it, judged by the given samples.

    Solved = at least one correct sample. Use this to inspect problems: sampling noise alone moves some
    of them. To count, use ``keep_explore`` on both pass@k, which has no such noise.

    Args:
        base_n_N: verified samples of each problem in the base run.
        base_c_N: correct ones of them.
        run_n_N: verified samples in the other run.
        run_c_N: correct ones of them.

    Returns:
        "kept", "lost", "found" or "unsolved"; None where either run has no samples.

    Raises:
        ShapeError, DataError: as ``pass_at_k_from_counts``, or different numbers of problems.
    """
    base_n, base_c = as_counts(base_n_N, base_c_N)
    run_n, run_c = as_counts(run_n_N, run_c_N)
    if len(base_n) != len(run_n):
        raise ShapeError(
            f"The base run has {len(base_n)} problems, but the other has {len(run_n)}."
        )
    names = {(True, True): KEPT, (True, False): LOST, (False, True): FOUND}
    return [
        names.get((before > 0, after > 0), UNSOLVED) if n and m else None
        for n, before, m, after in zip(base_n, base_c, run_n, run_c, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class ModeChanges:
    """Different correct solutions per problem, expected in k samples of each run.

    For ratios of sums use ``bootstrap_ratio``: kept / (kept + lost) is the share of the base's modes
    that remain; found / (kept + found) is the share of the run's modes that are new. All are NaN
    where either run has fewer than k samples.
    """

    k: int  # samples of each run
    kept_N: FloatArray  # solutions in both k samples of the base and k of the run
    lost_N: FloatArray  # solutions only in the base's
    found_N: FloatArray  # solutions only in the run's
    # Expected loss if the run were the base sampled again: compare ``lost_N`` with it. NaN where the
    # base has fewer than 2 k samples.
    lost_by_luck_N: FloatArray


def mode_changes(
    base_solutions: _Solutions,
    base_correct: _Correct,
    run_solutions: _Solutions,
    run_correct: _Correct,
    *,
    k: int,
) -> ModeChanges:
    r"""Compare the sets of correct solutions of two runs on the same problems, at equal k.

    With :math:`p_s = 1 - \binom{n - m_s}{k} / \binom{n}{k}` the chance that k of the base's n
    samples hold solution s, which m of them are, and :math:`p'_s` that of the run: kept is
    :math:`\sum_s p_s p'_s`, lost :math:`\sum_s p_s (1 - p'_s)`, found
    :math:`\sum_s (1 - p_s) p'_s`: exact means over draws of k, unbiased for k fresh samples of each.
    ``lost_by_luck_N`` takes two separate draws of k from the base's own samples: with
    :math:`q_j = \binom{n - m_s}{j} / \binom{n}{j}` it is :math:`\sum_s q_k - q_{2k}`.

    Args:
        base_solutions: for N problems, each sample's canonical solution or None.
        base_correct: the same shape; only True counts as correct. None (not verified) counts as
            no sample.
        run_solutions: the same problems, in the same order.
        run_correct: the same shape as ``run_solutions``.
        k: samples of each run, >= 1.

    Raises:
        ConfigError: k is below 1.
        ShapeError: different numbers of problems, or of solutions and verdicts.
    """
    if k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    lengths = {len(rows) for rows in (base_solutions, base_correct, run_solutions, run_correct)}
    if len(lengths) > 1:
        raise ShapeError(f"Both runs must hold the same problems, got lengths {sorted(lengths)}.")
    parts_N_4 = np.full((len(base_solutions), 4), np.nan)
    rows = zip(base_solutions, base_correct, run_solutions, run_correct, strict=True)
    for i, (base_row, base_right, run_row, run_right) in enumerate(rows):
        n, base_times = _times(base_row, base_right)
        m, run_times = _times(run_row, run_right)
        modes = sorted(base_times.keys() | run_times.keys())
        base_M = np.array([base_times[mode] for mode in modes], dtype=np.int64)
        run_M = np.array([run_times[mode] for mode in modes], dtype=np.int64)
        if min(n, m) >= k:
            p_M, q_M = chance_drawn(n, k)[base_M], chance_drawn(m, k)[run_M]
            parts_N_4[i, :3] = (p_M @ q_M, p_M @ (1 - q_M), (1 - p_M) @ q_M)
            if n >= 2 * k:
                parts_N_4[i, 3] = (chance_drawn(n, 2 * k)[base_M] - p_M).sum()
    kept_N, lost_N, found_N, luck_N = parts_N_4.T
    return ModeChanges(k=k, kept_N=kept_N, lost_N=lost_N, found_N=found_N, lost_by_luck_N=luck_N)


def _times(
    solutions_S: Sequence[str | None], correct_S: Sequence[bool | None]
) -> tuple[int, Counter[str]]:
    """Return the number of verified samples, and how often each correct solution occurs."""
    if len(solutions_S) != len(correct_S):
        raise ShapeError(
            f"A problem has {len(solutions_S)} solutions, but {len(correct_S)} verdicts."
        )
    verified = sum(right is not None for right in correct_S)
    return verified, Counter(
        solution
        for solution, right in zip(solutions_S, correct_S, strict=True)
        if right and solution is not None
    )


@dataclass(frozen=True, kw_only=True)
class KeepExplore:
    """Problems by which of the two models solves them. The four counts add up to ``num_problems``.

    Counts are whole numbers for solved / not solved, and expected numbers for chances.
    """

    kept: float  # solved before and after
    lost: float  # solved before, not after
    gained: float  # not solved before, solved after
    unsolved: float  # solved neither before nor after
    kept_N: FloatArray  # with ``base_N`` for ``bootstrap_ratio`` of ``keep``
    gained_N: FloatArray  # with ``1 - base_N`` for ``bootstrap_ratio`` of ``explore``
    base_N: FloatArray  # solved before

    @property
    def num_problems(self) -> int:
        """Problems compared."""
        return len(self.base_N)

    @property
    def keep(self) -> float:
        """Share of problems solved before that are still solved; in [0, 1], NaN if there were none."""
        return _share(self.kept, self.kept + self.lost)

    @property
    def explore(self) -> float:
        """Share of problems unsolved before that are now solved; NaN if there were none."""
        return _share(self.gained, self.gained + self.unsolved)


def keep_explore(base_solved_N: npt.ArrayLike, trained_solved_N: npt.ArrayLike) -> KeepExplore:
    r"""Compare which problems the base model and the trained model solve.

    With b and t the two inputs: kept = sum of b t, lost of b (1-t), gained of (1-b) t, unsolved of
    (1-b)(1-t), so that

    .. math:: \mathrm{Keep} = \frac{\sum b_i t_i}{\sum b_i}, \quad
        \mathrm{Explore} = \frac{\sum (1-b_i) t_i}{\sum (1-b_i)}, \quad
        \overline{t} = \overline{b} \, \mathrm{Keep} + (1 - \overline{b}) \, \mathrm{Explore}

    Args:
        base_solved_N: per problem, solved (bool), or its pass@k in [0, 1].
        trained_solved_N: the same problems in the same order.

    Given pass@k, "solved" means solved by k fresh samples of each model. The models' samples are
    independent, so all four counts are unbiased. A model compared with itself then has Keep below 1,
    because luck alone loses some problems. Compare a Keep with that value, ``keep_explore(base, base)``.

    Returns:
        Counts and shares; higher Keep = less forgotten, higher Explore = more discovered.

    Raises:
        ShapeError: not the same number of problems.
        DataError: a value is NaN or outside [0, 1].
    """
    base_N = np.asarray(base_solved_N, dtype=np.float64)
    trained_N = np.asarray(trained_solved_N, dtype=np.float64)
    check_shapes(base_solved_N=base_N, trained_solved_N=trained_N)
    for name, values in (("base_solved_N", base_N), ("trained_solved_N", trained_N)):
        if not ((values >= 0) & (values <= 1)).all():
            raise DataError(
                f"{name} must lie in [0, 1] without NaN. "
                "Drop the problems that have fewer than k samples from both sides first."
            )
    kept_N, gained_N = base_N * trained_N, (1 - base_N) * trained_N
    return KeepExplore(
        kept=float(kept_N.sum()),
        lost=float((base_N * (1 - trained_N)).sum()),
        gained=float(gained_N.sum()),
        unsolved=float(((1 - base_N) * (1 - trained_N)).sum()),
        kept_N=kept_N,
        gained_N=gained_N,
        base_N=base_N,
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")
