"""Comparing groups of different sizes: the value expected from k of a group's n texts.

Measures of diversity depend on the number of texts, and groups differ in the number of *correct* ones.
So each is computed at one k for all: exactly where there is a formula, else as a mean over seeded draws.
"""

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from polypath.errors import ConfigError
from polypath.metrics.pass_at_k import FloatArray, IntArray, pass_at_k_from_counts


def subsets(n: int, k: int, *, draws: int = 32, seed: int = 0) -> IntArray:
    """Choose subsets of k of n positions: all of them if there are at most ``draws``, else random.

    Returns:
        ``(D, k)`` positions, increasing in each row; ``(0, k)`` when n < k.

    Raises:
        ConfigError: k or draws is below 1.
    """
    if k < 1 or draws < 1:
        raise ConfigError(f"k and draws must be at least 1, got k={k} and draws={draws}.")
    return _subsets(n, k, draws, seed)


@functools.lru_cache(maxsize=4096)
def _subsets(n: int, k: int, draws: int, seed: int) -> IntArray:
    if math.comb(n, k) <= draws:
        every = list(itertools.combinations(range(n), k))
        chosen_D_K = np.array(every, dtype=np.int64).reshape(len(every), k)
    else:
        rng = np.random.default_rng([seed, n, k])
        order_D_S = rng.permuted(np.tile(np.arange(n), (draws, 1)), axis=1)
        chosen_D_K = np.sort(order_D_S[:, :k], axis=1)
    chosen_D_K.flags.writeable = False  # shared between calls
    return chosen_D_K


def equal_k_expectation(
    value_of: Callable[[IntArray], float], n: int, k: int, *, draws: int = 32, seed: int = 0
) -> float:
    """Mean of a group's measure over subsets of k of its n texts.

    Exact when there are at most ``draws`` subsets (always for k = n), else a mean over that many
    seeded draws. Those add unbiased noise to one group, which averages out over problems.

    Args:
        value_of: takes k positions and gives the measure of those texts, such as
            ``lambda chosen: self_bleu(counts.take(chosen))``.
        n: texts of the group.
        k: texts to draw.
        draws: most subsets.
        seed: for the draws.

    Returns:
        NaN when n < k: a group is never padded. NaN values of subsets are left out.

    Raises:
        ConfigError: k or draws is below 1.
    """
    values = [value_of(chosen) for chosen in subsets(n, k, draws=draws, seed=seed)]
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def expected_distinct(texts_having_M: npt.ArrayLike, n: int, k: int) -> float:
    r"""Expected number of different items in k of n texts, exactly (rarefaction, Hurlbert 1971).

    .. math:: \sum_i \Big[ 1 - \binom{n - r_i}{k} \Big/ \binom{n}{k} \Big]

    Args:
        texts_having_M: for each item (equation, n-gram) the number r of texts that contain it.
        n: texts of the group.
        k: texts drawn without replacement.

    Returns:
        NaN when n < k; the number of items when k = n.
    """
    if n < k:
        return float("nan")
    items_R = np.bincount(np.asarray(texts_having_M, dtype=np.int64), minlength=n + 1)
    return float(items_R @ chance_drawn(n, k))


@functools.lru_cache(maxsize=4096)
def chance_drawn(n: int, k: int) -> FloatArray:
    """Chance, for r = 0..n, that k of n texts contain an item that r of them contain; needs n >= k."""
    return pass_at_k_from_counts(np.full(n + 1, n), np.arange(n + 1), [k])[:, 0]
