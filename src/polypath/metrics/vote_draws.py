r"""The chance that a correct answer wins the vote of k samples, for many problems at once.

Let the winner get x votes. Every other answer must get at most x. With a factor u for each that gets
exactly x, the draws are the coefficients of :math:`z^k` in a polynomial in z and u,

.. math:: F_x(z, u) = (1 + z)^f \sum_a w_a \binom{m_a}{x} z^x
    \prod_{b \ne a} \Big[ \sum_{j < x} \binom{m_b}{j} z^j + u \binom{m_b}{x} z^x \Big]

over the answers with x votes or more: answer a has :math:`m_a` votes, a share :math:`w_a` of them from
correct samples; f samples have another answer or none. Integrating u from 0 to 1 turns :math:`u^t` into
1/(t+1), the share of a tie with t rivals.

A coefficient is the mean of :math:`F_x z^{-k}` over a circle around 0. On :math:`|z| = k / (n - k)` no
term is much larger than the result, so nothing cancels. There, divided by :math:`(1 + |z|)^n`, binomial
coefficients become chances of k draws with p = k/n.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from polypath.metrics.pass_at_k import FloatArray, IntArray

ComplexArray = npt.NDArray[np.complex128]

_NEGLIGIBLE = 1e-18  # a chance too small to change a sum of chances in a double
_VALUES_AT_ONCE = 1 << 14  # complex numbers of an array: several fit in a processor's cache


@dataclass(frozen=True, kw_only=True)
class Votes:
    """The votes of R problems: classes of answers with the same number of votes, the most votes first.

    Attributes:
        n_R: samples of each problem.
        votes_R_C: votes of one answer of a class; 0 where a problem has fewer classes.
        number_R_C: answers of the class.
        weight_R_C: sum of their shares of correct samples.
    """

    n_R: IntArray
    votes_R_C: IntArray
    number_R_C: IntArray
    weight_R_C: FloatArray

    def at(self, rows: IntArray) -> "Votes":
        """Return some of the problems."""
        return Votes(
            n_R=self.n_R[rows],
            votes_R_C=self.votes_R_C[rows],
            number_R_C=self.number_R_C[rows],
            weight_R_C=self.weight_R_C[rows],
        )


def chance_of_majority(votes: Votes, ks_K: IntArray) -> FloatArray:
    """Return the chance that a correct answer wins among k samples, ``(R, K)``; NaN where n < k."""
    n_R_1 = votes.n_R[:, None]
    chance_R_K = np.where(ks_K > n_R_1, np.nan, 0.0)
    can_win_R = votes.weight_R_C.any(axis=1)
    if not can_win_R.any():
        return chance_R_K
    # All samples are one draw: the answers with the most votes share it.
    share_R_1 = votes.weight_R_C[:, :1] / np.maximum(votes.number_R_C[:, :1], 1)
    chance_R_K = np.where(ks_K == n_R_1, share_R_1, chance_R_K)
    for column, k in enumerate(ks_K.tolist()):
        rows = np.flatnonzero(can_win_R & (votes.n_R > k))
        if len(rows):
            chance_R_K[rows, column] = _Draws(votes.at(rows), k).won_R()
    return chance_R_K


class _Draws:
    """Draws of k samples from problems that have more than k, one of them correct.

    Chances are shared by all answers with m of n votes: there are M such pairs (n, m).
    """

    def __init__(self, votes: Votes, k: int) -> None:
        self.votes, self.k = votes, k
        base = int(votes.n_R.max()) + 1
        pair_M, pair_R_C = np.unique(
            votes.n_R[:, None] * base + votes.votes_R_C, return_inverse=True
        )
        self.pair_R_C = pair_R_C.reshape(votes.votes_R_C.shape)
        n_M, votes_M = np.divmod(pair_M, base)
        x_X, p_M = np.arange(min(k, int(votes_M.max())) + 1), k / n_M
        self.chance_M_X = _binomial(votes_M, x_X, p_M)  # of x votes, if each sample is drawn with p
        drawn_M_X = self.chance_M_X * _binomial(n_M - votes_M, k - x_X, p_M)
        drawn_M_X /= _binomial(n_M, np.array([k]), p_M)  # of x votes, if k are drawn
        self.at_most_M_X = np.minimum(np.cumsum(drawn_M_X, axis=1), 1.0)
        self.at_least_M_X = np.cumsum(drawn_M_X[:, ::-1], axis=1)[:, ::-1]
        # No two answers can get more votes than this.
        second_R = votes.votes_R_C[:, 1] if votes.votes_R_C.shape[1] > 1 else 0
        rivalled_R = np.where(votes.number_R_C[:, 0] == 1, second_R, votes.votes_R_C[:, 0])
        self.rivalled_R = np.minimum(rivalled_R, len(x_X) - 1)

    def won_R(self) -> FloatArray:
        """Return the chance that a correct answer wins."""
        weight_R = np.where(self.votes.number_R_C[:, 0] == 1, self.votes.weight_R_C[:, 0], 0.0)
        more_M_X = np.pad(self.at_least_M_X[:, 1:], ((0, 0), (0, 1)))
        alone_R = weight_R * more_M_X[self.pair_R_C[:, 0], self.rivalled_R]
        return np.asarray(np.minimum(alone_R + self._won_rivalled(), 1.0))

    def _won_rivalled(self) -> FloatArray:
        """Return the chance to win with no more votes than another answer can get."""
        counts_R_X = self._counts()
        circle = _circle(self.votes.n_R, self.k)
        turn_X_P = circle.point_P ** np.arange(counts_R_X.shape[1])[:, None]
        below_M_P = np.zeros((len(self.chance_M_X), len(circle.point_P)), np.complex128)
        won_R = np.zeros(len(counts_R_X))
        for x in range(1, counts_R_X.shape[1]):
            below_M_P += self.chance_M_X[:, x - 1, None] * turn_X_P[x - 1]
            rows = np.flatnonzero(counts_R_X[:, x])
            if len(rows):
                exactly_M_P = self.chance_M_X[:, x, None] * turn_X_P[x]
                won_R[rows] += self._won_with(x, rows, below_M_P, exactly_M_P, circle)
        return won_R

    def _counts(self) -> npt.NDArray[np.bool_]:
        """Return for x = 0, 1, ... whether a correct answer wins with x votes in a share that counts.

        The votes of answers are negatively associated (Joag-Dev 1983, "Negative Association of Random
        Variables with Applications", Annals of Statistics 11(1)): the chance that all are at most x
        does not exceed the product of their single chances.
        """
        votes = self.votes
        log_M_X = np.log(np.maximum(self.at_most_M_X, 1e-300))
        log_R_X = np.zeros((len(votes.n_R), log_M_X.shape[1]))
        reached_R_X = np.zeros_like(log_R_X)
        for column in range(votes.votes_R_C.shape[1]):
            pair_R, number_R_1 = self.pair_R_C[:, column], votes.number_R_C[:, column, None]
            log_R_X += number_R_1 * log_M_X[pair_R]
            reached_R_X += number_R_1 * self.at_least_M_X[pair_R]
        last_R = np.where(votes.weight_R_C > 0, votes.votes_R_C, 0).max(axis=1)
        last_R = np.minimum(last_R, self.rivalled_R)
        counts_R_X = (log_R_X > np.log(_NEGLIGIBLE)) & (reached_R_X > _NEGLIGIBLE)
        counts_R_X &= np.arange(log_R_X.shape[1]) <= last_R[:, None]
        return np.asarray(counts_R_X[:, : int(last_R.max()) + 1])

    def _won_with(
        self,
        x: int,
        rows: IntArray,
        below_M_P: ComplexArray,
        exactly_M_P: ComplexArray,
        circle: "_Circle",
    ) -> FloatArray:
        """Return the chance to win with x votes, for some problems."""
        able_R = (self.votes.votes_R_C[rows] >= x).sum(axis=1)  # classes
        order = np.argsort(-able_R, kind="stable")
        won_R = np.empty(len(rows))
        width = len(circle.point_P)
        start = 0
        while start < len(rows):
            some = self.votes.at(rows[order[start:]][: max(1, _VALUES_AT_ONCE // width)])
            able_R_C = some.votes_R_C >= x
            # Gauss-Legendre is exact for the degree in u, which is the number of rivals that may tie.
            rivals = int((some.number_R_C * able_R_C).sum(axis=1).max()) - 1
            u_U, weight_U = _quadrature(min(rivals, (self.k - x) // x) // 2 + 1)
            at = order[start : start + max(1, _VALUES_AT_ONCE // (width * len(u_U)))]
            start += len(at)
            some, able_R_C = self.votes.at(rows[at]), able_R_C[: len(at)]
            pair_R_C = self.pair_R_C[rows[at]]
            won_R_U_P = _sum_over_winners(
                some, able_R_C.sum(axis=0), pair_R_C, below_M_P, exactly_M_P, u_U
            )
            won_R_P = np.einsum("u,rup->rp", weight_U, won_R_U_P)
            free_R = some.n_R - (some.votes_R_C * some.number_R_C * able_R_C).sum(axis=1)
            p_R = self.k / some.n_R
            won_R_P *= _power(1 + p_R[:, None] * (circle.point_P - 1), free_R)
            at_k_R = _binomial(some.n_R, np.array([self.k]), p_R)[:, 0]
            won_R[at] = (won_R_P @ circle.weight_P).real / at_k_R
        return won_R


def _sum_over_winners(
    votes: Votes,
    rows_C: IntArray,
    pair_R_C: IntArray,
    below_M_P: ComplexArray,
    exactly_M_P: ComplexArray,
    u_U: FloatArray,
) -> ComplexArray:
    """Return F_x without the factor of f, at each node and point.

    ``every`` is the product of the factors so far. In ``won`` one of them is the winner's. Each class of
    answers multiplies both, and adds to ``won``.

    Args:
        votes: of problems; those with more classes that can get x votes come first.
        rows_C: how many of the problems have so many classes.
        pair_R_C: place of each class in the next two.
        below_M_P: sum of the terms below x.
        exactly_M_P: term of x.
        u_U: nodes.
    """
    shape = (len(votes.n_R), len(u_U), below_M_P.shape[1])
    every_R_U_P, won_R_U_P = np.ones(shape, np.complex128), np.zeros(shape, np.complex128)
    for column, size in enumerate(rows_C[rows_C > 0].tolist()):
        pair_R, number_R = pair_R_C[:size, column], votes.number_R_C[:size, column]
        exactly_R_1_P = exactly_M_P[pair_R][:, None, :]
        factor_R_U_P = below_M_P[pair_R][:, None, :] + u_U[:, None] * exactly_R_1_P
        every, won = every_R_U_P[:size], won_R_U_P[:size]
        several = np.flatnonzero(number_R > 1)
        if len(several):  # all but one answer of these classes
            others_R_U_P = _power(factor_R_U_P[several], number_R[several] - 1)
            every[several] *= others_R_U_P
            won[several] *= others_R_U_P
        won *= factor_R_U_P
        weight_R_1_1 = votes.weight_R_C[:size, column, None, None]
        if weight_R_1_1.any():
            won += weight_R_1_1 * exactly_R_1_P * every
        every *= factor_R_U_P
    return won_R_U_P


class _Circle(NamedTuple):
    """Points of the upper half of the unit circle, and their weights in the coefficient of z^k."""

    point_P: ComplexArray
    weight_P: ComplexArray


def _circle(n_R: IntArray, k: int) -> _Circle:
    """Return enough points for draws of k of n samples.

    With T points a coefficient also holds those that lie T, 2T, ... away. They are negligible if a number
    of binomial draws so far from its mean k is.
    """
    most = int(n_R.max())
    n_U = np.unique(n_R)
    chance_U_J = _binomial(n_U, np.arange(most + 1), k / n_U)
    far = np.flatnonzero((chance_U_J > _NEGLIGIBLE * chance_U_J[:, [k]]).any(axis=0))
    points = max(k - int(far[0]), int(far[-1]) - k) + 1
    place_P = np.arange(points // 2 + 1)
    weight_P = np.where((place_P == 0) | (2 * place_P == points), 1.0, 2.0) / points
    angle_P = 2 * np.pi * place_P / points
    return _Circle(np.exp(1j * angle_P), weight_P * np.exp(-1j * k * angle_P))


def _power(base_R: ComplexArray, exponent_R: IntArray) -> ComplexArray:
    """Raise arrays, one per row, to whole powers by squaring."""
    power_R = np.ones_like(base_R)
    for bit in range(int(exponent_R.max()).bit_length()):
        base_R = base_R * base_R if bit else base_R
        rows = np.flatnonzero(exponent_R >> bit & 1)
        power_R[rows] *= base_R[rows]
    return power_R


def _binomial(m_M: IntArray, j_J: IntArray, p_M: FloatArray) -> FloatArray:
    """Return the chance of j successes in m trials, ``(M, J)``; 0 for impossible j."""
    possible_M_J = (j_J >= 0) & (j_J <= m_M[:, None])
    j_M_J = np.where(possible_M_J, j_J, 0)
    choices_M_J = _pascal(int(m_M.max(initial=0)))[m_M[:, None], j_M_J]
    p_M_1 = p_M[:, None]
    chance_M_J = choices_M_J * p_M_1**j_M_J * (1 - p_M_1) ** (m_M[:, None] - j_M_J)
    return np.where(possible_M_J, chance_M_J, 0.0)


@lru_cache(maxsize=8)
def _pascal(most: int) -> FloatArray:
    """Return the binomials of 0 to ``most``, row by row: sums, so exact to rounding."""
    choices = np.zeros((most + 1, most + 1))
    choices[:, 0] = 1.0
    for m in range(1, most + 1):
        choices[m, 1:] = choices[m - 1, 1:] + choices[m - 1, :-1]
    choices.flags.writeable = False
    return choices


@lru_cache(maxsize=1 << 10)
def _quadrature(points: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes in 0..1 and weights of Gauss-Legendre quadrature."""
    nodes_U, weights_U = np.polynomial.legendre.leggauss(points)
    return (nodes_U + 1) / 2, weights_U / 2
