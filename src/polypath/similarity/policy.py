"""Similarity in the policy's own eyes: cosine of its mean hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from polypath.similarity.base import Completions, as_tensor
from polypath.similarity.cosine import cosine_matrix, unit_rows
from polypath.torch_later import torch

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


def mean_hidden_states(model: Any, batch: Mapping[str, Any], rows: int) -> Tensor:
    """Return the policy's last hidden state averaged over each completion, ``(B, D)``, without gradient.

    Args:
        model: the policy.
        batch: ``prompt_ids``, padded left, ``completion_ids``, padded right, and the masks of both,
            ``prompt_mask`` and ``completion_mask``, 1 on tokens.
        rows: number of rows in one forward.
    """
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    width = batch["completion_ids"].shape[1]
    pooled = []
    for start in range(0, ids.shape[0], rows):
        part = slice(start, start + rows)
        with torch.no_grad():
            outputs = model(
                input_ids=ids[part],
                attention_mask=attention[part],
                output_hidden_states=True,
                logits_to_keep=1,
                use_cache=False,
            )
        hidden_B_T_D = outputs.hidden_states[-1][:, -width:].float()
        weight_B_T_1 = batch["completion_mask"][part].unsqueeze(2).float()
        total_B_D = (hidden_B_T_D * weight_B_T_1).sum(dim=1)
        pooled.append(total_B_D / weight_B_T_1.sum(dim=1).clamp(min=1.0))
    return torch.cat(pooled)
