r"""Compare a method with a reference stopped early, where its pass@1 equals the method's.

Training raises pass@1 and lowers diversity, so at equal steps a method that learns more slowly looks
more diverse. The fair comparison is with the reference when it was as accurate as the method is now.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.checks import check_shapes
from polypath.errors import ConfigError, DataError, ShapeError
from polypath.metrics.bootstrap import check_resampling, resampled_times, two_sided_p
from polypath.metrics.comparisons import SeedDifference, seed_difference, seed_parts
from polypath.metrics.pass_at_k import FloatArray

ABOVE, BELOW = "above", "below"
_SAME = 1e-12  # sums of the same values in another order


@dataclass(frozen=True, kw_only=True)
class MatchedDifference(SeedDifference):
    """A method minus the reference stopped at the method's pass@1.

    Degrees of freedom, ``seed_share`` and ``smallest_detectable`` are those of the linear approximation;
    the p-value, for "no difference at equal pass@1", is above 2 / (num_resamples + 1).
    """

    method_value: float  # the method's outcome
    reference_value: float  # the reference's outcome where it is stopped
    step: float  # where it is stopped; between two checkpoints, interpolated by pass@1
    step_low: float  # lower end of the step's interval; the same for all outcomes
    step_high: float
    # Empty where the reference passes through the method's pass@1. ABOVE: no checkpoint reaches it,
    # and the one with the best pass@1 is taken. BELOW: the first checkpoint, the base, is already
    # above it, and is taken. In both cases the difference is not at equal pass@1.
    outside: str
    # Share of the resamples that are outside. Above a few per cent, the interval is not about equal
    # pass@1 alone.
    outside_share: float
    pass_gap: float  # pass@1 of the method minus the stopped reference's; 0 unless outside
    num_problems: int  # problems with a value everywhere


@dataclass(frozen=True)
class _Match:
    """Where Z means of the reference are stopped: at checkpoint ``left_Z`` plus the share ``weight_Z``."""

    left_Z: npt.NDArray[np.int64]
    weight_Z: FloatArray
    stopped_Z_2: FloatArray  # pass@1 and outcome
    above_Z: npt.NDArray[np.bool_]
    below_Z: npt.NDArray[np.bool_]

    def steps(self, steps_C: FloatArray) -> FloatArray:
        return np.interp(self.left_Z + self.weight_Z, np.arange(len(steps_C)), steps_C)


def matched_difference(
    method_pass_R_N: npt.ArrayLike,
    method_R_N: npt.ArrayLike,
    reference_pass_R_C_N: npt.ArrayLike,
    reference_R_C_N: npt.ArrayLike,
    *,
    steps_C: Sequence[float] | None = None,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> MatchedDifference:
    r"""Compare an outcome at equal pass@1: the reference is stopped where it reaches the method's.

    With the means over seeds and problems, pass@1 :math:`m` and outcome :math:`y` of the method,
    :math:`p_c` and :math:`q_c` of the reference at checkpoint c, and the first c with
    :math:`p_c \ge m`:

    .. math::
        d = y - \big[(1 - w) \, q_{c-1} + w \, q_c\big], \qquad
        w = \frac{m - p_{c-1}}{p_c - p_{c-1}}

    Where c is the first checkpoint or there is none, see ``MatchedDifference.outside``. Only the order
    of the checkpoints matters, not their steps.

    The means over seeds are matched once, not each seed: a single run's noisier curve crosses earlier
    and reaches higher than the mean, some seeds would be outside while others are not, and no seed of
    one method has a natural partner among those of another.

    The interval uses the model of ``seed_difference``, and repeats the match in each resample. A
    resample moves all means at once, :math:`\mu^* = \mu + \tau \, (\delta + f \epsilon)`:

    * :math:`\delta`: problems are drawn again, the same ones for all means;
    * :math:`\epsilon`: seeds, :math:`\sum_s g_s (\mu_s - \mu) / \sqrt{R (R-1)}` with normal :math:`g`, of
      each method, the same seeds for all its checkpoints. This has the variance of a mean of R
      seeds; redrawing seeds has only (R-1)/R of it. The base has no seeds, and does not move;
    * :math:`f \le 1` removes what problems and seeds both hold, as ``seed_difference`` does;
    * :math:`\tau = \sqrt{\nu / \chi^2_\nu}` gives t tails, with Satterthwaite's degrees of freedom.

    f and :math:`\nu` are those of ``seed_difference`` on the linear approximation, per problem
    :math:`y - b m` and :math:`(1-w)(q_{c-1} - b p_{c-1}) + w (q_c - b p_c)` with the slope b of the
    reference's curve. Where the match is far inside a segment, its interval and this one agree.

    A method of **one** row is taken as fixed, without seeds, as in ``seed_difference``. The coverage
    of the intervals is in docs/statistics.md.

    Args:
        method_pass_R_N: pass@1 of each problem, by seed.
        method_R_N: the outcome of the same samples, such as pass@64.
        reference_pass_R_C_N: pass@1 of the reference at its checkpoints in order, the first one the
            base: the same values for all seeds. Its number of seeds may differ from the method's.
        reference_R_C_N: its outcome. Problems with a NaN in any array are left out.
        steps_C: optimizer steps of the checkpoints, increasing; default 0, 1, 2, ... They affect only
            ``step``.
        level: confidence level in (0, 1).
        num_resamples: at least 100.
        seed: for this call's own generator.

    Raises:
        ConfigError: level or num_resamples is out of range, or the steps do not increase.
        ShapeError: the arrays do not fit together, or there are fewer than two checkpoints.
        DataError: fewer than two problems have values everywhere, or a value is infinite.
    """
    method_R_2_N, reference_R_C_2_N = _checked(
        method_pass_R_N, method_R_N, reference_pass_R_C_N, reference_R_C_N
    )
    steps = _steps(steps_C, reference_R_C_2_N.shape[1])
    check_resampling(level, num_resamples)
    found = _match(method_R_2_N.mean((0, 2))[None], reference_R_C_2_N.mean((0, 3))[None])
    by_outcome, by_pass = _linear(method_R_2_N, reference_R_C_2_N, found)
    moves = _Moves(method_R_2_N, reference_R_C_2_N, num_resamples, seed)
    line = seed_difference(*by_outcome, level=level)
    method_Z_2, reference_Z_C_2 = moves.means(by_outcome, line)
    difference_Z = method_Z_2[:, 1] - _match(method_Z_2, reference_Z_C_2).stopped_Z_2[:, 1]
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(difference_Z, tails)
    # Where it is stopped depends on pass@1 alone, so it is the same for all outcomes.
    again = _match(*moves.means(by_pass, seed_difference(*by_pass, level=level)))
    step_low, step_high = np.quantile(again.steps(steps), tails)
    value = float(method_R_2_N[:, 1].mean())
    outside = (ABOVE if found.above_Z[0] else "") + (BELOW if found.below_Z[0] else "")
    reference_pass, reference_value = found.stopped_Z_2[0].tolist()
    again_by_outcome = {
        "estimate": value - reference_value,
        "low": float(low),
        "high": float(high),
        "p_value": float(two_sided_p(difference_Z, _SAME)),
    }
    return MatchedDifference(
        **vars(line) | again_by_outcome,
        method_value=value,
        reference_value=reference_value,
        step=float(found.steps(steps)[0]),
        step_low=float(step_low),
        step_high=float(step_high),
        outside=outside,
        outside_share=float((again.above_Z | again.below_Z).mean()),
        pass_gap=float(method_R_2_N[:, 0].mean() - reference_pass) if outside else 0.0,
        num_problems=method_R_2_N.shape[2],
    )


def matched_parts(
    method_pass_R_N: npt.ArrayLike,
    method_R_N: npt.ArrayLike,
    reference_pass_R_C_N: npt.ArrayLike,
    reference_R_C_N: npt.ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Return what each problem adds to ``matched_difference``, linearly: to the method, and to the reference.

    The difference of the means of both is the matched difference, and they vary with problems and seeds as it
    does near its estimate. So several methods can be compared that share a reference: ``rank_means``.

    Args:
        method_pass_R_N: as in ``matched_difference``.
        method_R_N: the same.
        reference_pass_R_C_N: the same.
        reference_R_C_N: the same.

    Returns:
        Two arrays, by seed of the method and of the reference, and by problem; NaN for problems that lack
        a value anywhere.

    Raises:
        ShapeError, DataError: as ``matched_difference``.
    """
    method_R_2_N, reference_R_C_2_N = _checked(
        method_pass_R_N, method_R_N, reference_pass_R_C_N, reference_R_C_N
    )
    found = _match(method_R_2_N.mean((0, 2))[None], reference_R_C_2_N.mean((0, 3))[None])
    parts, _ = _linear(method_R_2_N, reference_R_C_2_N, found)
    given = (method_pass_R_N, method_R_N, reference_pass_R_C_N, reference_R_C_N)
    missing = [
        np.isnan(np.asarray(one)).reshape(-1, np.shape(one)[-1]).any(axis=0) for one in given
    ]
    known_N = ~np.any(missing, axis=0)
    filled = [np.full((len(part), len(known_N)), np.nan) for part in parts]
    for whole, part in zip(filled, parts, strict=True):
        whole[:, known_N] = part
    return filled[0], filled[1]


def _checked(*arrays: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return pass@1 and outcome of both, on problems with all values."""
    a_pass, a, b_pass, b = (np.asarray(values, dtype=np.float64) for values in arrays)
    check_shapes(method_pass_R_N=a_pass, method_R_N=a)
    check_shapes(reference_pass_R_C_N=b_pass, reference_R_C_N=b)
    if a.shape[1] != b.shape[2] or not len(a) or not len(b):
        raise ShapeError(
            f"method_R_N has shape {a.shape} and reference_R_C_N {b.shape}; N must agree, R be > 0."
        )
    if b.shape[1] < 2:
        raise ShapeError(
            f"The reference must have at least two checkpoints, the base and another, got {b.shape[1]}."
        )
    method_R_2_N, reference_R_C_2_N = np.stack([a_pass, a], 1), np.stack([b_pass, b], 2)
    if np.isinf(method_R_2_N).any() or np.isinf(reference_R_C_2_N).any():
        raise DataError("Values must be finite or NaN, but hold infinity.")
    known_N = ~(np.isnan(method_R_2_N).any((0, 1)) | np.isnan(reference_R_C_2_N).any((0, 1, 2)))
    if known_N.sum() < 2:
        raise DataError(
            "matched_difference needs at least two problems with a value in every run and at every "
            f"checkpoint, got {known_N.sum()}."
        )
    return method_R_2_N[..., known_N], reference_R_C_2_N[..., known_N]


def _steps(steps_C: Sequence[float] | None, number: int) -> FloatArray:
    steps = np.arange(number) if steps_C is None else np.asarray(steps_C, dtype=np.float64)
    if steps.shape != (number,) or not (np.diff(steps) > 0).all():
        raise ConfigError(f"steps_C must be {number} rising steps, got {steps_C}.")
    return np.asarray(steps, dtype=np.float64)


def _match(method_Z_2: FloatArray, reference_Z_C_2: FloatArray) -> _Match:
    """Stop the reference at the first crossing, for Z sets of means at once."""
    pass_Z, pass_Z_C = method_Z_2[:, 0], reference_Z_C_2[:, :, 0]
    rows = np.arange(len(pass_Z))
    reached_Z_C = pass_Z_C >= pass_Z[:, None] - _SAME
    above_Z = np.asarray(~reached_Z_C.any(axis=1))
    stop_Z = np.where(above_Z, pass_Z_C.argmax(axis=1), reached_Z_C.argmax(axis=1))
    left_Z = np.maximum(stop_Z - 1, 0)
    rise_Z = pass_Z_C[rows, stop_Z] - pass_Z_C[rows, left_Z]
    crosses_Z = ~above_Z & (stop_Z > 0)
    share_Z = (pass_Z - pass_Z_C[rows, left_Z]) / np.where(crosses_Z, rise_Z, 1.0)
    # A match exactly at a checkpoint is the end of the segment before it.
    weight_Z = np.where(crosses_Z, np.clip(share_Z, 0.0, 1.0), (stop_Z > 0).astype(np.float64))
    left_Z_2, right_Z_2 = reference_Z_C_2[rows, left_Z], reference_Z_C_2[rows, stop_Z]
    stopped_Z_2 = (1 - weight_Z[:, None]) * left_Z_2 + weight_Z[:, None] * right_Z_2
    below_Z = np.asarray(pass_Z_C[:, 0] > pass_Z + _SAME)
    return _Match(left_Z, weight_Z, stopped_Z_2, above_Z, below_Z)


_Pair = tuple[FloatArray, FloatArray]


def _linear(
    method_R_2_N: FloatArray, reference_R_C_2_N: FloatArray, found: _Match
) -> tuple[_Pair, _Pair]:
    """Return per seed and problem what the two sides contribute, ``(S, N)`` each.

    First to the matched difference, second to the difference of pass@1 that decides the match.
    """
    left, weight = int(found.left_Z[0]), float(found.weight_Z[0])
    pair_R_2_2_N = reference_R_C_2_N[:, left : left + 2]
    mean_2_2 = pair_R_2_2_N.mean(axis=(0, 3))
    rise = mean_2_2[1] - mean_2_2[0]
    inside = not (found.above_Z[0] or found.below_Z[0])
    # Outside, the reference is held at a checkpoint wherever the method's pass@1 goes.
    slope = float(rise[1] / rise[0]) if inside and rise[0] else 0.0
    stopped_R_2_N = (1 - weight) * pair_R_2_2_N[:, 0] + weight * pair_R_2_2_N[:, 1]
    by_outcome = (
        method_R_2_N[:, 1] - slope * method_R_2_N[:, 0],
        stopped_R_2_N[:, 1] - slope * stopped_R_2_N[:, 0],
    )
    return by_outcome, (method_R_2_N[:, 0], stopped_R_2_N[:, 0])


def _seed_factor(linear: _Pair, line: SeedDifference) -> float:
    """Return how much of the spread of seed means is left after subtracting the residuals."""
    spread = sum(float(v.mean(axis=1).var(ddof=1)) / len(v) for v in linear if len(v) > 1)
    parts = sum(part for values in linear for part, _ in seed_parts(values))
    return float(np.sqrt(max(0.0, parts) / spread)) if spread and line.seed_share > 0 else 0.0


class _Moves:
    """Draws of how far other problems and other seeds would have moved the means, ``(Z, K)`` each.

    The K means are pass@1 and outcome of the method, then of each checkpoint of the reference.
    """

    def __init__(
        self, method_R_2_N: FloatArray, reference_R_C_2_N: FloatArray, num_resamples: int, seed: int
    ) -> None:
        num_problems = method_R_2_N.shape[2]
        sides = (method_R_2_N, reference_R_C_2_N.reshape(len(reference_R_C_2_N), -1, num_problems))
        self.mean_K = np.concatenate([side.mean(axis=(0, 2)) for side in sides])
        from_mean_N_K = np.concatenate([side.mean(axis=0) for side in sides]).T - self.mean_K
        times = resampled_times(num_problems, num_resamples, seed)
        moved_Z_K = np.concatenate([part.astype(np.float64) @ from_mean_N_K for part in times])
        self.by_problems_Z_K = moved_Z_K / np.sqrt(num_problems * (num_problems - 1))
        rng = np.random.default_rng([seed, 1])  # not the stream that draws the problems
        by_seeds = [_moved_by_seeds(side, rng, num_resamples) for side in sides]
        self.by_seeds_Z_K = np.concatenate(by_seeds, axis=1)
        self.seed = seed

    def means(self, linear: _Pair, line: SeedDifference) -> tuple[FloatArray, FloatArray]:
        """Return Z resampled means of pass@1 and outcome: ``(Z, 2)`` and ``(Z, C, 2)``."""
        rng, freedom = np.random.default_rng([self.seed, 2]), line.degrees_of_freedom
        tail_Z_1 = np.sqrt(freedom / rng.chisquare(freedom, size=(len(self.by_problems_Z_K), 1)))
        moved_Z_K = self.by_problems_Z_K + _seed_factor(linear, line) * self.by_seeds_Z_K
        again_Z_K = self.mean_K + tail_Z_1 * moved_Z_K
        return again_Z_K[:, :2], again_Z_K[:, 2:].reshape(len(again_Z_K), -1, 2)


def _moved_by_seeds(
    side_R_K_N: FloatArray, rng: np.random.Generator, num_resamples: int
) -> FloatArray:
    """Return Z draws of how far other seeds would have moved the means, ``(Z, K)``."""
    seeds, num_means = side_R_K_N.shape[:2]
    if seeds == 1:
        return np.zeros((num_resamples, num_means))
    from_mean_R_K = side_R_K_N.mean(axis=2) - side_R_K_N.mean(axis=(0, 2))
    normal_Z_R = rng.standard_normal((num_resamples, seeds))
    return np.asarray(normal_Z_R @ from_mean_R_K / np.sqrt(seeds * (seeds - 1)))
