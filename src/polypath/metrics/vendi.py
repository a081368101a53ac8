r"""Vendi score: the effective number of different items in a group, from any similarity.

.. math:: \mathrm{VS} = \exp\Big(-\sum_i \lambda_i \ln \lambda_i\Big)

with the eigenvalues of S/G for the similarity matrix S of G items. Friedman 2022, arXiv:2210.02410;
order q: Pasarkar 2023, arXiv:2310.12952.
"""

import math

import numpy as np
import numpy.typing as npt

from polypath.checks import check_shapes
from polypath.errors import ConfigError, DataError
from polypath.metrics.equal_k import subsets
from polypath.metrics.group import mean_pairwise_similarity
from polypath.metrics.pass_at_k import FloatArray

_TOLERANCE = 1e-6  # similarities often come in float32


def vendi_score(similarity_P_G_G: npt.ArrayLike, *, q: float = 1.0) -> FloatArray:
    r"""Vendi score of each group.

    Args:
        similarity_P_G_G: symmetric, positive semi-definite, 1 on the diagonal.
        q: order, >= 0: :math:`(\sum \lambda^q)^{1/(1-q)}`; 1 is the limit above, ``math.inf`` is
            1 over the largest eigenvalue. Small q counts rare items more; 0 gives the rank.

    Returns:
        ``(P,)`` in [1, G], higher = more diverse: 1 when all are the same, G when no two have
        anything in common. It grows with G: compare equal sizes (``vendi_score_at_k``). NaN for
        empty groups.

    Raises:
        ConfigError: q is negative or NaN.
        DataError: the matrix is not symmetric, has no unit diagonal, or has an eigenvalue below
            -1e-6 G: then it is not a valid similarity here (clip or change it).

    Differs from the ``vendi-score`` package: it drops negative eigenvalues silently, and takes
    eigenvalues of 1e-17 for items when q is 0.
    """
    if not q >= 0:
        raise ConfigError(f"q must be at least 0, got {q}.")
    s_P_G_G = np.asarray(similarity_P_G_G, dtype=np.float64)
    check_shapes(similarity_P_G_G=s_P_G_G)
    num_groups, size = s_P_G_G.shape[:2]
    if not size or not num_groups:
        return np.full(num_groups, np.nan)
    _check(s_P_G_G)
    share_P_G = np.linalg.eigvalsh(s_P_G_G) / size
    if share_P_G.min() < -_TOLERANCE:
        raise DataError(
            f"similarity_P_G_G has the eigenvalue {share_P_G.min() * size:.3g}, so it is not "
            "positive semi-definite and the Vendi score is not defined. Use another similarity."
        )
    return _effective_number(share_P_G, q)


def _effective_number(share_P_G: FloatArray, q: float) -> FloatArray:
    # Rounding leaves eigenvalues of about 1e-17, which small q would take for items.
    share_P_G = np.where(share_P_G > 1e-12, share_P_G, 0.0)
    share_P_G = share_P_G / share_P_G.sum(axis=1, keepdims=True)
    positive_P_G = np.where(share_P_G > 0, share_P_G, 1.0)
    if q == 1:
        return np.asarray(np.exp(-(share_P_G * np.log(positive_P_G)).sum(axis=1)))
    if math.isinf(q):
        return np.asarray(1 / share_P_G.max(axis=1))
    powers_P_G = np.where(share_P_G > 0, positive_P_G**q, 0.0)
    return np.asarray(powers_P_G.sum(axis=1) ** (1 / (1 - q)))


def vendi_score_at_k(
    similarity_G_G: npt.ArrayLike, k: int, *, q: float = 1.0, draws: int = 32, seed: int = 0
) -> float:
    """Mean Vendi score over subsets of k items of one group, as in ``equal_k_expectation``.

    Returns:
        In [1, k]; NaN when the group has fewer than k items.

    Raises:
        ConfigError, DataError: as ``vendi_score``; k or draws is below 1.
    """
    s_G_G = np.asarray(similarity_G_G, dtype=np.float64)
    check_shapes(similarity_G_G=s_G_G)
    chosen_D_K = subsets(len(s_G_G), k, draws=draws, seed=seed)
    if not len(chosen_D_K):
        return float("nan")
    return float(vendi_score(s_G_G[chosen_D_K[:, :, None], chosen_D_K[:, None, :]], q=q).mean())


def mean_pairwise_distance(similarity_P_G_G: npt.ArrayLike) -> FloatArray:
    """1 minus the mean similarity of two different items of a group; comparable across sizes.

    Returns:
        ``(P,)``, in [0, 1] for similarities in [0, 1], higher = more diverse; NaN for groups of one.
    """
    return 1.0 - mean_pairwise_similarity(similarity_P_G_G)


def _check(s_P_G_G: FloatArray) -> None:
    if not np.isfinite(s_P_G_G).all():
        raise DataError("similarity_P_G_G must be finite, but holds NaN or infinity.")
    if np.abs(s_P_G_G - np.swapaxes(s_P_G_G, 1, 2)).max() > _TOLERANCE:
        raise DataError("similarity_P_G_G must be symmetric.")
    off = np.abs(np.diagonal(s_P_G_G, axis1=1, axis2=2) - 1).max()
    if off > _TOLERANCE:
        raise DataError(
            f"similarity_P_G_G must be 1 on its diagonal, but is off by {off:.3g}. "
            "Divide it by the roots of its diagonal on both sides."
        )
