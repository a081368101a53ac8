r"""Potential@k: what more samples add on problems that one sample does not solve.

.. math:: \mathrm{Potential@}k =
    \frac{\sum_i \mathrm{Pass@}k(q_i) \, (1 - \mathrm{Pass@}1(q_i))}{\sum_i (1 - \mathrm{Pass@}1(q_i))}

"R1-zero-Div", arXiv:2505.23433. In [0, 1], higher = more left to explore. Undefined, not 0, when
every problem is solved by one sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from polypath.checks import check_shapes
from polypath.errors import DataError
from polypath.metrics.pass_at_k import FloatArray, check_ks, pass_at_k_from_counts


@dataclass(frozen=True, kw_only=True)
class Potential:
    """Potential@k of a data set, with the parts of its ratio.

    Attributes:
        k: number of samples.
        value: in [0, 1] in the paper's form; NaN when undefined.
        reason: why ``value`` is NaN; None when it is not.
        numerator_N: per problem; NaN where the problem has too few samples.
        denominator_N: per problem; give both to ``bootstrap_ratio`` for an interval. ``value`` leaves
            out, in both sums, the problems whose numerator is NaN, and so does the interval.
    """

    k: int
    value: float
    reason: str | None
    numerator_N: FloatArray
    denominator_N: FloatArray


def potential_at_k(pass_at_k_N: npt.ArrayLike, pass_at_1_N: npt.ArrayLike, k: int) -> Potential:
    """Compute Potential@k in the paper's form from given pass@k and pass@1 of each problem.

    The paper's pass@1 is greedy (0 or 1) and its pass@k comes from separate samples. Then an
    unbiased pass@k makes numerator and denominator unbiased. When both come from the *same*
    samples, their product is not unbiased: use ``potential_from_counts``.

    Args:
        pass_at_k_N: in [0, 1]; NaN leaves the problem out.
        pass_at_1_N: in [0, 1]; NaN leaves the problem out.
        k: only recorded.

    Raises:
        ShapeError: the arrays differ in length.
        DataError: a value is outside [0, 1].

    Differs from the paper: its appendix B also writes a sum of Pass@k - Pass@1, without the
    denominator; that is another quantity.
    """
    pass_k, pass_1 = _unit("pass_at_k_N", pass_at_k_N), _unit("pass_at_1_N", pass_at_1_N)
    check_shapes(pass_at_k_N=pass_k, pass_at_1_N=pass_1)
    return _ratio(int(check_ks([k])[0]), pass_k * (1 - pass_1), 1 - pass_1)


def potential_from_counts(
    n_N: npt.ArrayLike, c_N: npt.ArrayLike, ks: Sequence[int]
) -> list[Potential]:
    r"""Estimate Potential@k when pass@1 and pass@k come from the same n samples.

    With p the chance of a correct sample,
    :math:`(1 - (1-p)^k)(1 - p) = \mathrm{pass@}(k{+}1) - \mathrm{pass@}1`, and both on the right
    have unbiased estimates. So the numerator is estimated from k + 1 samples, the denominator as
    1 - c/n, both without bias; their ratio is consistent. Multiplying estimates of the same samples
    instead is biased, as a lucky sample raises one factor and lowers the other.

    Here pass@1 is that of sampling, not greedy: values do not compare with the paper's form.

    Args:
        n_N: samples of each problem.
        c_N: correct samples of each problem.
        ks: numbers of samples, >= 1; problems with n < k + 1 are left out.

    Returns:
        One ``Potential`` per k.

    Raises:
        ConfigError, ShapeError, DataError: as ``pass_at_k_from_counts``.
    """
    ks_K = check_ks(ks)
    pass_1_N = pass_at_k_from_counts(n_N, c_N, [1])[:, 0]
    pass_next_N_K = pass_at_k_from_counts(n_N, c_N, [int(k) + 1 for k in ks_K])
    return [
        _ratio(int(k), pass_next_N - pass_1_N, 1 - pass_1_N)
        for k, pass_next_N in zip(ks_K, pass_next_N_K.T, strict=True)
    ]


def _ratio(k: int, numerator_N: FloatArray, denominator_N: FloatArray) -> Potential:
    known_N = ~np.isnan(numerator_N)
    total = float(denominator_N[known_N].sum())
    reason = None
    if not known_N.any():
        reason = f"no problem has enough samples for Potential@{k}"
    elif total == 0:
        reason = "every problem is already solved by one sample"
    value = float("nan") if reason else float(numerator_N[known_N].sum()) / total
    return Potential(
        k=k, value=value, reason=reason, numerator_N=numerator_N, denominator_N=denominator_N
    )


def _unit(name: str, values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if ((array < 0) | (array > 1)).any():
        raise DataError(f"{name} must lie in [0, 1], got {np.nanmin(array)} to {np.nanmax(array)}.")
    return array
