r"""How often samples are right, for every k from one set of samples: pass@k, pass^k and Potential@k.

pass@k, at least one of k: Chen 2021, "Evaluating Large Language Models Trained on Code",
arXiv:2107.03374, equation 1. Potential@k, what more samples add on problems that one sample does not
solve: "R1-zero-Div", arXiv:2505.23433,

.. math:: \mathrm{Potential@}k =
    \frac{\sum_i \mathrm{Pass@}k(q_i) \, (1 - \mathrm{Pass@}1(q_i))}{\sum_i (1 - \mathrm{Pass@}1(q_i))}

in [0, 1], higher = more left to explore; undefined, not 0, when every problem is solved by one sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from polypath.checks import check_shapes
from polypath.errors import ConfigError, DataError, ShapeError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def pass_at_k(correct_N_S: npt.ArrayLike, ks: Sequence[int]) -> FloatArray:
    r"""Estimate pass@k of each problem from S samples, for all k at once.

    .. math:: \widehat{\mathrm{pass@}k} = 1 - \binom{S - c}{k} \Big/ \binom{S}{k}

    with c correct samples. It is the share of all draws of k of the S samples that contain a
    correct one, and is unbiased for :math:`1 - (1 - p)^k`.

    Args:
        correct_N_S: bool (or 0 and 1), N problems by S samples each.
        ks: numbers of samples, each in [1, S].

    Returns:
        ``(N, K)`` in [0, 1], higher is better.

    Raises:
        ConfigError: a k is below 1 or above S.
        ShapeError, DataError: not a 2-D array of 0 and 1.

    Differs from other scripts: verl's ``best@k`` draws with replacement, which is biased low; a
    plain ``any(first k samples)`` is unbiased too, but far noisier.
    """
    correct = as_bool("correct_N_S", correct_N_S)
    check_shapes(correct_N_S=correct)
    num_samples = correct.shape[1]
    too_large = [k for k in ks if k > num_samples]
    if too_large:
        raise ConfigError(
            f"pass@{too_large[0]} needs at least {too_large[0]} samples per problem, but "
            f"correct_N_S has {num_samples}. Sample more, or ask for k <= {num_samples}."
        )
    n_N = np.full(len(correct), num_samples)
    return pass_at_k_from_counts(n_N, correct.sum(axis=1), ks)


def pass_at_k_from_counts(n_N: npt.ArrayLike, c_N: npt.ArrayLike, ks: Sequence[int]) -> FloatArray:
    """Estimate pass@k from counts, when problems have different numbers of samples.

    Args:
        n_N: samples of each problem, >= 0.
        c_N: correct samples of each problem, in [0, n].
        ks: numbers of samples, >= 1.

    Returns:
        ``(N, K)`` in [0, 1], and NaN wherever n < k: too few samples to say, and nothing is padded.
        Exactly c/n for k = 1, 0 for c = 0, and 1 for n - c < k.

    Raises:
        ConfigError: a k is below 1, or no integer.
        ShapeError, DataError: the counts disagree in shape, are no counts, or c > n.
    """
    n_N_1, c_N_1, k_1_K = _columns(n_N, c_N, ks)
    # For c = 0 the two terms cancel to exactly 0.
    log_all_wrong_N_K = _log_share_of_draws(n_N_1 - c_N_1, n_N_1, k_1_K)
    estimate_N_K = -np.expm1(np.minimum(log_all_wrong_N_K, 0.0))
    estimate_N_K = np.where(n_N_1 - c_N_1 < k_1_K, 1.0, estimate_N_K)
    return _defined(estimate_N_K, n_N_1, c_N_1, k_1_K)


def pass_hat_k(n_N: npt.ArrayLike, c_N: npt.ArrayLike, ks: Sequence[int]) -> FloatArray:
    r"""Estimate pass^k, the chance that all of k samples are correct.

    .. math:: \widehat{\mathrm{pass}\hat{}\,k} = \binom{c}{k} \Big/ \binom{n}{k}

    unbiased for :math:`p^k`. Yao 2024, "tau-bench", arXiv:2406.12045.

    Args:
        n_N: samples of each problem, >= 0.
        c_N: correct samples of each problem, in [0, n].
        ks: numbers of samples, >= 1.

    Returns:
        ``(N, K)`` in [0, 1], higher = more reliable, NaN where n < k. Never increasing in k, and
        c/n for k = 1.

    Raises:
        ConfigError, ShapeError, DataError: as ``pass_at_k_from_counts``.
    """
    n_N_1, c_N_1, k_1_K = _columns(n_N, c_N, ks)
    share_N_K = np.exp(np.minimum(_log_share_of_draws(c_N_1, n_N_1, k_1_K), 0.0))
    share_N_K = np.where(c_N_1 < k_1_K, 0.0, share_N_K)
    return _defined(share_N_K, n_N_1, c_N_1, k_1_K)


def mean_at_k(n_N: npt.ArrayLike, c_N: npt.ArrayLike, ks: Sequence[int]) -> FloatArray:
    """Expected share of correct samples among k of a problem's n (also called avg@k).

    Args:
        n_N: samples of each problem, >= 0.
        c_N: correct samples of each problem, in [0, n].
        ks: numbers of samples, >= 1.

    Returns:
        ``(N, K)`` in [0, 1], higher is better: c/n whatever k is, and NaN where n < k. It is the
        mean over all draws of k, so less noisy than the mean of the first k samples.

    Raises:
        ConfigError, ShapeError, DataError: as ``pass_at_k_from_counts``.
    """
    n_N_1, c_N_1, k_1_K = _columns(n_N, c_N, ks)
    return np.where(n_N_1 < k_1_K, np.nan, c_N_1 / np.maximum(n_N_1, 1))


@dataclass(frozen=True, kw_only=True)
class Potential:
    """Potential@k of a data set, with the parts of its ratio, for ``bootstrap_ratio``."""

    k: int  # number of samples
    value: float  # in [0, 1] in the paper's form; NaN when undefined
    reason: str | None  # why ``value`` is NaN; None when it is not
    numerator_N: FloatArray  # NaN where a problem has too few samples, which leaves it out
    denominator_N: FloatArray


def potential_at_k(pass_at_k_N: npt.ArrayLike, pass_at_1_N: npt.ArrayLike, k: int) -> Potential:
    """Compute Potential@k in the paper's form from given pass@k and pass@1 of each problem.

    The paper's pass@1 is greedy (0 or 1) and its pass@k comes from separate samples: then numerator
    and denominator are unbiased. From the *same* samples use ``potential_from_counts``.

    Args:
        pass_at_k_N: in [0, 1]; NaN leaves the problem out.
        pass_at_1_N: in [0, 1]; NaN leaves the problem out.
        k: recorded only.

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
    1 - c/n, both without bias; their ratio is consistent. A product of estimates from the same samples
    is biased: a lucky sample raises one factor and lowers the other. Here pass@1 is that of sampling,
    not greedy: values are not comparable with the paper's form.

    Args:
        n_N: samples of each problem, >= 0.
        c_N: correct samples of each problem, in [0, n].
        ks: numbers of samples, >= 1.

    Returns:
        One ``Potential`` per k, without problems of fewer than k + 1 samples.

    Raises:
        ConfigError, ShapeError, DataError: as ``pass_at_k_from_counts``.
    """
    ks_K = check_ks(ks)
    pass_1_N = pass_at_k_from_counts(n_N, c_N, [1])[:, 0]
    pass_next_K_N = pass_at_k_from_counts(n_N, c_N, (ks_K + 1).tolist()).T
    return [
        _ratio(k, pass_next_N - pass_1_N, 1 - pass_1_N)
        for k, pass_next_N in zip(ks_K.tolist(), pass_next_K_N, strict=True)
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


def _columns(
    n_N: npt.ArrayLike, c_N: npt.ArrayLike, ks: Sequence[int]
) -> tuple[IntArray, IntArray, IntArray]:
    """Return checked counts as columns, ``(N, 1)``, and ks as a row, ``(1, K)``."""
    n, c = as_counts(n_N, c_N)
    return n[:, None], c[:, None], check_ks(ks)[None, :]


def _log_share_of_draws(part_N_1: IntArray, n_N_1: IntArray, k_1_K: IntArray) -> FloatArray:
    """Return log C(part, k) - log C(n, k): the draws of k that lie in a part of n samples.

    Where part < k there is none, and the caller must replace the number.
    """
    # Grouped so that equal terms cancel exactly; factorials would overflow from n = 171 on.
    log_factorial = gammaln(np.arange(n_N_1.max(initial=0) + 1) + 1.0)
    log_part_N_K = log_factorial[part_N_1] - log_factorial[np.maximum(part_N_1 - k_1_K, 0)]
    log_all_N_K = log_factorial[n_N_1] - log_factorial[np.maximum(n_N_1 - k_1_K, 0)]
    return np.asarray(log_part_N_K - log_all_N_K)


def _defined(
    share_N_K: FloatArray, n_N_1: IntArray, c_N_1: IntArray, k_1_K: IntArray
) -> FloatArray:
    """Make the share exactly c/n for k = 1, and NaN where n < k."""
    share_N_K = np.where(k_1_K == 1, c_N_1 / np.maximum(n_N_1, 1), share_N_K)
    return np.where(n_N_1 < k_1_K, np.nan, share_N_K)


def as_counts(n_N: npt.ArrayLike, c_N: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Return numbers of samples and of correct ones as int64, or raise when they cannot be that."""
    n, c = _counts("n_N", n_N), _counts("c_N", c_N)
    check_shapes(n_N=n, c_N=c)
    if (c > n).any():
        i = int(np.argmax(c > n))
        raise DataError(f"Problem {i} has {c[i]} correct of {n[i]} samples; c must not exceed n.")
    return n, c


def check_ks(ks: Sequence[int]) -> IntArray:
    """Return ks as an int64 array, or raise ConfigError when one is not an integer >= 1."""
    array = np.asarray(list(ks))
    if array.ndim != 1 or not array.size or array.dtype.kind not in "iu" or (array < 1).any():
        raise ConfigError(f"k must be one or more integers of at least 1, got {list(ks)}.")
    return array.astype(np.int64)


def as_bool(name: str, values: npt.ArrayLike) -> BoolArray:
    """Return a bool array, or raise DataError when a value is neither 0 nor 1 (a NaN, a reward)."""
    array = np.asarray(values)
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf" or not np.isin(array, (0, 1)).all():
        raise DataError(
            f"{name} must hold only True/False or 0/1, got dtype {array.dtype}"
            + (" with other values" if array.dtype.kind in "iuf" else "")
            + ". Rewards are turned into correctness by Verdict.correct."
        )
    return array.astype(np.bool_)


def _counts(name: str, values: npt.ArrayLike) -> IntArray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ShapeError(f"{name} must be 1-D (N), but has shape {array.shape}.")
    if array.size and (array.dtype.kind not in "iuf" or not (array == np.floor(array)).all()):
        raise DataError(f"{name} must hold whole numbers, got dtype {array.dtype}.")
    if array.size and array.min() < 0:
        raise DataError(f"{name} must not be negative, got {array.min()}.")
    return array.astype(np.int64)
