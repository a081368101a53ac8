"""Cosine similarity of one vector per completion, shared by the embedding kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polypath.errors import DataError, ShapeError
from polypath.similarity.base import clean, count_groups
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


def unit_rows(vectors_B_D: Tensor, empty: list[bool], source: str) -> Tensor:
    """Scale each row to length 1 in float32; rows of empty completions become zero vectors.

    Args:
        vectors_B_D: one vector per completion, any floating type and scale.
        empty: per row, whether the completion is empty.
        source: named in errors.

    Raises:
        ShapeError: not one vector per row.
        DataError: a vector holds NaN or infinity.
    """
    if vectors_B_D.ndim != 2 or len(vectors_B_D) != len(empty):
        raise ShapeError(
            f"{source} must give one vector per completion, ({len(empty)}, D), "
            f"got shape {tuple(vectors_B_D.shape)}."
        )
    x_B_D = vectors_B_D.detach().float()
    if any(empty):
        empty_B_1 = torch.tensor(empty, dtype=torch.bool, device=x_B_D.device).reshape(-1, 1)
        x_B_D = x_B_D.masked_fill(empty_B_1, 0.0)
    largest_B_1 = torch.linalg.vector_norm(x_B_D, torch.inf, dim=1, keepdim=True)
    finite_B_1 = torch.isfinite(largest_B_1)  # a NaN in a row makes its largest entry NaN
    if not finite_B_1.all():
        raise DataError(
            f"{source} gave NaN or infinity for {int((~finite_B_1).sum())} of {len(empty)} "
            "completions. Run that model in float32 or bfloat16 rather than float16."
        )
    # Divide by the largest entry first: squares of very small or large entries leave float32.
    tiny = torch.finfo(torch.float32).tiny
    scaled_B_D: Tensor = x_B_D / largest_B_1.clamp(min=tiny)
    length_B_1 = torch.linalg.vector_norm(scaled_B_D, dim=1, keepdim=True)
    return scaled_B_D.div_(length_B_1.clamp(min=tiny))


def cosine_matrix(unit_B_D: Tensor, group_size: int) -> Tensor:
    """Return the cosines of each group's unit vectors, ``(P, G, G)``, on the vectors' device.

    In float64 where the device has it. Raises ShapeError when the rows are not whole groups.
    """
    groups = count_groups(len(unit_B_D), group_size)
    # Apple's GPUs have no float64.
    dtype = torch.float32 if unit_B_D.device.type == "mps" else torch.float64
    unit_P_G_D = unit_B_D.detach().to(dtype).reshape(groups, group_size, unit_B_D.shape[1])
    return clean(unit_P_G_D @ unit_P_G_D.mT)
