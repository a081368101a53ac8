"""Similarity by canonical solution: two completions are the same solution, or they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polypath.similarity.base import Completions, as_list, count_groups
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


class AnswerSimilarity:
    """1 if two completions have equal canonical solutions, else 0.

    A completion without a solution (None) equals nothing but itself. The matrix is a "same class"
    matrix, so it is positive semi-definite; with it the graph-cut adjustment pays each distinct
    solution the same total, however many completions share it.

    It discriminates only where a problem has several right solutions (equations, programs, SQL). If
    the solution is one number, all right completions are equal.
    """

    def features(self, rows: Completions) -> list[Any]:
        """Return the canonical solutions as they are."""
        return list(rows.solutions)

    def matrix(self, features: Tensor | list[Any], group_size: int) -> Tensor:
        """Return ``similarity_P_G_G`` in float64 on the CPU. See ``Similarity.matrix``."""
        solutions = as_list(features)
        groups = count_groups(len(solutions), group_size)
        known: dict[str, int] = {}
        codes = [
            # A code of its own for every missing solution.
            -1 - row if solution is None else known.setdefault(solution, len(known))
            for row, solution in enumerate(solutions)
        ]
        codes_P_G = torch.tensor(codes, dtype=torch.int64).reshape(groups, group_size)
        return (codes_P_G[:, :, None] == codes_P_G[:, None, :]).double()
