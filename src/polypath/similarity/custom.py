"""A similarity of the user's own: one function from texts to matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from polypath.errors import DataError, ShapeError
from polypath.similarity.base import Completions, as_list, clean, count_groups
from polypath.torch_later import torch
from polypath.user_code import blamed

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

SimilarityFunction = Callable[[list[list[str]]], "Tensor | npt.NDArray[Any]"]

# Far above float32 rounding, far below a difference anyone means.
_TOLERANCE = 1e-3


class CustomSimilarity:
    """Wrap ``function(texts_P_G) -> similarity_P_G_G`` and check what it returns.

    The function gets the completions as P lists of G texts, on every process, and returns a tensor
    or array ``(P, G, G)``: symmetric, in [-1, 1], 1 on the diagonal (each within 0.001). Rows of
    empty texts are overwritten by the rule for empty completions, so it need not care about them.
    What the function itself raises stands behind a ``DataError`` that names it.
    """

    def __init__(self, function: SimilarityFunction) -> None:
        self.function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def features(self, rows: Completions) -> list[Any]:
        """Return the texts."""
        return list(rows.texts)

    def matrix(self, features: Tensor | list[Any], group_size: int) -> Tensor:
        """Return the checked ``similarity_P_G_G`` in float64. See ``Similarity.matrix``.

        Raises:
            ShapeError: the function returned another shape.
            DataError: it returned something that is no similarity.
        """
        import numpy as np

        texts = as_list(features)
        groups = count_groups(len(texts), group_size)
        texts_P_G = [texts[p * group_size : (p + 1) * group_size] for p in range(groups)]
        with blamed(f"Similarity function {self.name!r}"):
            returned = self.function(texts_P_G)
        if not isinstance(returned, torch.Tensor | np.ndarray):
            raise DataError(
                f"Similarity function {self.name!r} must return a tensor or array (P, G, G), "
                f"got {type(returned).__name__}."
            )
        if tuple(returned.shape) != (groups, group_size, group_size):
            raise ShapeError(
                f"Similarity function {self.name!r} must return shape (P, G, G) = "
                f"({groups}, {group_size}, {group_size}), got {tuple(returned.shape)}."
            )
        similarity_P_G_G = torch.as_tensor(returned).detach().double()
        empty_P_G = torch.tensor(
            [[not text.strip() for text in group] for group in texts_P_G], dtype=torch.bool
        ).reshape(groups, group_size)
        return clean(self._checked(similarity_P_G_G, empty_P_G.to(similarity_P_G_G.device)))

    def _checked(self, similarity_P_G_G: Tensor, empty_P_G: Tensor) -> Tensor:
        eye_G_G = torch.eye(
            similarity_P_G_G.shape[-1], dtype=torch.bool, device=similarity_P_G_G.device
        )
        ignored_P_G_G = empty_P_G[:, :, None] | empty_P_G[:, None, :]
        s_P_G_G = similarity_P_G_G.masked_fill(ignored_P_G_G, 0.0)
        s_P_G_G = s_P_G_G.masked_fill(ignored_P_G_G & eye_G_G, 1.0)
        problems = {
            "only finite values": ~torch.isfinite(s_P_G_G),
            "values in [-1, 1]": s_P_G_G.abs() > 1.0 + _TOLERANCE,
            "a symmetric matrix for each group": (s_P_G_G - s_P_G_G.mT).abs() > _TOLERANCE,
            "1 on the diagonal (no distance)": eye_G_G & ((s_P_G_G - 1).abs() > _TOLERANCE),
        }
        for expected, wrong_P_G_G in problems.items():
            if wrong_P_G_G.any():
                where = tuple(wrong_P_G_G.nonzero()[0].tolist())
                value = float(s_P_G_G[where])
                raise DataError(
                    f"Similarity function {self.name!r} must return {expected}; "
                    f"entry {where} is {value:.6g}."
                )
        return s_P_G_G
