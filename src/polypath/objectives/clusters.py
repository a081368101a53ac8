"""Groups of completions that are alike: a partition of a group by any similarity.

DARLING (Li 2025, arXiv:2509.02534) joins two completions that its classifier calls alike, and what is
joined through others belongs together as well; so do the methods here. Authors' code:
facebookresearch/darling@c07a323, verl/verl/utils/reward_score/partition_reward_vllm_serve.py:134-176.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from polypath.checks import check_shapes
from polypath.errors import ConfigError
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor

THRESHOLD = (
    "Similarity, in [-1, 1), above which two completions belong to one cluster; so do those that are linked "
    "through others."
)


def finite_similarity(similarity_P_G_G: Tensor, like: Tensor) -> Tensor:
    """Return the similarity in float64 on the device of another tensor, without gradient.

    Raises:
        ConfigError: it holds NaN or infinity.
    """
    similarity_P_G_G = similarity_P_G_G.detach().double().to(like.device)
    if not torch.isfinite(similarity_P_G_G).all():
        raise ConfigError(
            "The similarity holds NaN or infinite values; expected numbers in [-1, 1]. "
            "Check the similarity function or the embedding model."
        )
    return similarity_P_G_G


def same_cluster(similarity_P_G_G: Tensor, members_P_G: Tensor, threshold: float) -> Tensor:
    """Return which completions belong to one cluster, ``(P, G, G)`` booleans; each to its own.

    Args:
        similarity_P_G_G: how alike the completions of a group are.
        members_P_G: which completions may share a cluster; the others are alone.
        threshold: two members are linked where their similarity is above it.

    Raises:
        ShapeError: the arrays disagree on P or G.
        ConfigError: the similarity holds NaN or infinity.
    """
    check_shapes(members_P_G=members_P_G, similarity_P_G_G=similarity_P_G_G)
    alike_P_G_G = finite_similarity(similarity_P_G_G, members_P_G) > threshold
    both_P_G_G = members_P_G.unsqueeze(1) & members_P_G.unsqueeze(2)
    size = members_P_G.shape[1]
    itself = torch.eye(size, dtype=torch.bool, device=members_P_G.device)
    linked_P_G_G = ((alike_P_G_G | alike_P_G_G.mT) & both_P_G_G) | itself
    for _ in range(max(1, math.ceil(math.log2(max(size, 2))))):  # paths double in length
        steps_P_G_G = linked_P_G_G.float()
        linked_P_G_G = steps_P_G_G @ steps_P_G_G > 0
    return linked_P_G_G


def cluster_sizes(similarity_P_G_G: Tensor, members_P_G: Tensor, threshold: float) -> Tensor:
    """Return how many completions the cluster of each has, itself included, ``(P, G)`` in float64.

    Arguments and errors as in ``same_cluster``.
    """
    return same_cluster(similarity_P_G_G, members_P_G, threshold).sum(dim=2).double()
