"""Keep and Explore: which problems training kept solved, and which it newly solves.

After DPH-RL, arXiv:2509.07430, figure 3. Its exact formulas were not available to us; these are the
shares its text describes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.checks import check_shapes
from polypath.errors import DataError
from polypath.metrics.pass_at_k import FloatArray


@dataclass(frozen=True, kw_only=True)
class KeepExplore:
    """Problems by who solves them. The four counts add up to ``num_problems``.

    Counts are whole numbers for solved / not solved, and expected numbers for chances.

    Attributes:
        kept: solved before and after.
        lost: solved before, not after.
        gained: not solved before, solved after.
        unsolved: solved neither before nor after.
        kept_N: per problem; with ``base_N`` for ``bootstrap_ratio`` of ``keep``.
        gained_N: per problem; with ``1 - base_N`` for ``bootstrap_ratio`` of ``explore``.
        base_N: per problem, solved before.
    """

    kept: float
    lost: float
    gained: float
    unsolved: float
    kept_N: FloatArray
    gained_N: FloatArray
    base_N: FloatArray

    @property
    def num_problems(self) -> int:
        """Problems compared."""
        return len(self.base_N)

    @property
    def keep(self) -> float:
        """Share of the problems solved before that still are; in [0, 1], NaN if there were none."""
        return _share(self.kept, self.kept + self.lost)

    @property
    def explore(self) -> float:
        """Share of the problems unsolved before that now are solved; NaN if there were none."""
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

    Given pass@k, "solved" means by k fresh samples of each model. The models' samples are
    independent, so unbiased pass@k makes all four counts unbiased, and all samples are used. A model
    compared with itself then has Keep below 1: luck alone loses some problems. Judge a Keep against
    that value, ``keep_explore(base, base)``.

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
