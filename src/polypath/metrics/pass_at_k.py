"""pass@k: the chance that at least one of k samples is correct, for every k from one sampling.

Chen 2021, "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, equation 1.
"""

from collections.abc import Sequence

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

    with c correct samples. It is the share of all draws of k of the S samples that hold a correct
    one, and unbiased for :math:`1 - (1 - p)^k`.

    Args:
        correct_N_S: bool (or 0 and 1), N problems by S samples each.
        ks: numbers of samples, each in [1, S].

    Returns:
        ``(N, K)`` in [0, 1], higher is better. Average over problems for a data set's score, and
        resample *problems* for its interval.

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
        ``(N, K)`` in [0, 1], and NaN wherever n < k: too few samples to say. Nothing is padded;
        average with ``bootstrap_mean``, which counts the problems it used. Exactly c/n for k = 1,
        0 for c = 0, and 1 for n - c < k.

    Raises:
        ConfigError: a k is below 1, or no integer.
        ShapeError, DataError: the counts disagree in shape, are no counts, or c > n.
    """
    n, c = as_counts(n_N, c_N)
    k_1_K = check_ks(ks)[None, :]
    n_N_1, c_N_1 = n[:, None], c[:, None]
    wrong_N_1 = n_N_1 - c_N_1
    # log C(n-c, k) - log C(n, k), grouped so that c = 0 cancels to exactly 0; factorials would
    # overflow from n = 171 on. The maximum only feeds entries that are replaced below.
    log_factorial = gammaln(np.arange(n.max(initial=0) + 1) + 1.0)
    log_all_wrong_N_K = (
        log_factorial[wrong_N_1] - log_factorial[np.maximum(wrong_N_1 - k_1_K, 0)]
    ) - (log_factorial[n_N_1] - log_factorial[np.maximum(n_N_1 - k_1_K, 0)])
    estimate_N_K: FloatArray = -np.expm1(np.minimum(log_all_wrong_N_K, 0.0))
    estimate_N_K[wrong_N_1 < k_1_K] = 1.0
    estimate_N_K[:, k_1_K[0] == 1] = c_N_1 / np.maximum(n_N_1, 1)
    estimate_N_K[n_N_1 < k_1_K] = np.nan
    return estimate_N_K


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
