r"""Div-Equ: the share of a problem's equations that are different.

.. math:: \mathrm{Div\text{-}Equ} = \frac{1}{N} \sum_i \frac{|U_i|}{|A_i|}

over the different equations U and all equations A of the responses to problem i. Wu 2024, "Progress or
Regress? Self-Improvement Reversal in Post-training", arXiv:2407.05013, as used by "R1-zero-Div",
arXiv:2505.23433, which reports it times 100.

The papers that report "distinct equations" do not define an equation; our rule is in
``polypath.metrics.equations``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polypath.errors import ConfigError
from polypath.metrics.equal_k import expected_distinct
from polypath.metrics.pass_at_k import FloatArray


@dataclass(frozen=True, kw_only=True)
class DivEqu:
    """Div-Equ of a data set, with each problem's part."""

    k: int | None  # number of responses; None = all responses of each problem
    value: float  # mean of ``ratio_N`` over the problems that have one; NaN if none has
    # In (0, 1]; NaN without equations or with fewer than k responses. For ``bootstrap_mean``.
    ratio_N: FloatArray
    distinct_N: FloatArray  # different equations, expected in k responses
    total_N: FloatArray  # equations, expected in k responses
    without_equations: int  # problems skipped because no response holds an equation
    too_few_responses: int  # problems skipped because they have fewer than k responses


def div_equ(equations_N_S: Sequence[Sequence[Sequence[str]]], *, k: int | None = None) -> DivEqu:
    """Compute Div-Equ from the equations of every response.

    The ratio falls as responses are added, so values for different numbers of responses are not
    comparable. With k, it is the expected number of different equations in k of the responses, divided
    by the expected number of equations, both exact. (A mean of ratios over draws differs slightly.)

    Args:
        equations_N_S: per problem and response, ``extract_equations(response)``. For correct
            responses only, leave the others out.
        k: responses per problem, >= 1; None takes all there are.

    Returns:
        In (0, 1], higher = more diverse. A repeat within a response counts like one across responses.

    Raises:
        ConfigError: k is below 1.

    Differs from the papers: they do not define an equation, nor say how problems without
    equations are treated.
    """
    if k is not None and k < 1:
        raise ConfigError(f"k must be at least 1, got {k}.")
    size_N = np.array([len(responses) for responses in equations_N_S], dtype=np.int64)
    distinct_N, total_N = np.full((2, len(size_N)), np.nan)
    for i, responses in enumerate(equations_N_S):
        drawn = len(responses) if k is None else k
        if 1 <= drawn <= len(responses):
            having = Counter(equation for row in responses for equation in set(row))
            distinct_N[i] = expected_distinct(list(having.values()), len(responses), drawn)
            total_N[i] = sum(len(row) for row in responses) * drawn / len(responses)
    some_N = total_N > 0  # False for NaN
    ratio_N = np.where(some_N, distinct_N / np.where(some_N, total_N, 1.0), np.nan)
    return DivEqu(
        k=k,
        value=float(ratio_N[some_N].mean()) if some_N.any() else float("nan"),
        ratio_N=ratio_N,
        distinct_N=distinct_N,
        total_N=total_N,
        without_equations=int((total_N == 0).sum()),
        too_few_responses=int((size_N < (k or 1)).sum()),
    )
