"""Similarity in the policy's own eyes: cosine of its mean hidden states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polypath.similarity.base import Completions, as_tensor
from polypath.similarity.cosine import cosine_matrix, unit_rows

if TYPE_CHECKING:
    from torch import Tensor


class PolicySimilarity:
    """Cosine of the policy's mean hidden states over the tokens of two completions.

    In [-1, 1]. Needs no second model, and moves as the policy moves, so values of different steps
    are not comparable. Hidden states of language models share a large common direction: cosines of
    one group tend to lie close together near 1, and only their order is informative.
    """

    def features(self, rows: Completions) -> Tensor:
        """Return unit vectors ``(B, D)``; a completion without tokens gets the zero vector."""
        empty = [not ids for ids in rows.token_ids]
        return unit_rows(rows.hidden_B_D(), empty, "The policy's hidden state")

    def matrix(self, features: Tensor | list[Any], group_size: int) -> Tensor:
        """Return ``similarity_P_G_G`` on the features' device. See ``Similarity.matrix``."""
        return cosine_matrix(as_tensor(features), group_size)
