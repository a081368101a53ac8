"""The interface of a similarity: completions of a group in, ``similarity_P_G_G`` out, in two phases.

The completions of one group may be on several processes. So each process first turns its own rows
into *features*, one entry a row. The engine gathers those (as a tensor, or as objects if they are
a list). Only then is the matrix computed, from whole groups. Computing it on local rows would
make a completion's weight depend on the process that holds it, and mix prompts.

One rule holds for every similarity: **an empty completion resembles nothing but itself**. It has
similarity 0 to every other completion, including other empty ones, and 1 to itself. It is the
absence of a solution, not a solution that two completions could share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from polypath.errors import ConfigError, ShapeError
from polypath.torch_later import torch

if TYPE_CHECKING:
    from torch import Tensor


def _no_hidden_states() -> Tensor:
    raise ConfigError(
        "This similarity needs the policy's hidden states, and none were given: no model is loaded "
        "here. Use it in training, or choose 'ngram', 'answer' or 'embedding'."
    )


@dataclass(frozen=True, kw_only=True)
class Completions:
    """The rows of one process: completions only, without any prompt text.

    Attributes:
        texts: decoded completions.
        token_ids: tokens of each completion without padding; the end-of-sequence token may be in.
        solutions: canonical solutions (``Verdict.answer``); None where nothing was found.
        hidden_B_D: called at most once and only when needed; returns the mean hidden state of each
            completion under the policy. Without it, a similarity that needs it raises ConfigError.

    Raises:
        ShapeError: the three lists differ in length.
    """

    texts: list[str]
    token_ids: list[list[int]]
    solutions: list[str | None]
    hidden_B_D: Callable[[], Tensor] = _no_hidden_states

    def __post_init__(self) -> None:
        """Check that every list holds the same rows."""
        lengths = (len(self.texts), len(self.token_ids), len(self.solutions))
        if len(set(lengths)) != 1:
            raise ShapeError(
                "Completions needs one entry per row in texts, token_ids and solutions, got "
                f"{lengths[0]}, {lengths[1]} and {lengths[2]}."
            )


class Similarity(Protocol):
    """How alike the completions of one prompt are."""

    def features(self, rows: Completions) -> Tensor | list[Any]:
        """Return one entry per row of this process: a tensor ``(B, ...)`` or a picklable list."""
        ...

    def matrix(self, features: Tensor | list[Any], group_size: int) -> Tensor:
        """Return ``similarity_P_G_G`` from the gathered features of whole groups, in order.

        Symmetric, in [-1, 1], exactly 1 on the diagonal, floating point, without gradient.

        Raises:
            ShapeError: the number of rows is not a multiple of ``group_size``.
        """
        ...


def count_groups(num_rows: int, group_size: int) -> int:
    """Return how many whole groups ``num_rows`` rows are.

    Raises:
        ShapeError: they are not whole groups.
    """
    if group_size < 1 or num_rows % group_size:
        raise ShapeError(
            f"Similarity needs whole groups: got {num_rows} rows for group_size {group_size}. "
            "Gather the features of all processes before computing the matrix."
        )
    return num_rows // group_size


def as_list(features: Tensor | list[Any]) -> list[Any]:
    """Narrow gathered features to the list this similarity produced.

    Raises:
        ShapeError: they are a tensor.
    """
    if isinstance(features, torch.Tensor):
        raise ShapeError(
            f"Expected the features as a list, got a tensor {tuple(features.shape)}. "
            "Pass what features() of the same similarity returned."
        )
    return features


def as_tensor(features: Tensor | list[Any]) -> Tensor:
    """Narrow gathered features to the tensor ``(B, D)`` this similarity produced.

    Raises:
        ShapeError: they are a list, or not 2-D.
    """
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        got = (
            tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
        )
        raise ShapeError(
            f"Expected the features as a tensor (B, D), got {got}. "
            "Pass what features() of the same similarity returned."
        )
    return features


def clean(similarity_P_G_G: Tensor) -> Tensor:
    """Remove rounding noise: exactly symmetric, inside [-1, 1], exactly 1 on the diagonal."""
    symmetric_P_G_G = 0.5 * (similarity_P_G_G + similarity_P_G_G.mT)
    eye_G_G = torch.eye(
        similarity_P_G_G.shape[-1], dtype=torch.bool, device=similarity_P_G_G.device
    )
    return symmetric_P_G_G.clamp(-1.0, 1.0).masked_fill(eye_G_G, 1.0)
