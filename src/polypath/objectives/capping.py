"""A cap on an exponent that keeps the direction of the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


MAX_EXPONENT = 80.0  # e^80 is the last round number float32 holds


def cap_value(exponent: Tensor, maximum: float) -> Tensor:
    """Return ``min(exponent, maximum)`` with the gradient of ``exponent``.

    ``clamp`` has no gradient above its bound. For a product such as ratio times log-probability, or a
    sum such as e^-d + d, that silences one part and leaves the other, which may point the opposite way.
    """
    return exponent.detach().clamp(max=maximum) + (exponent - exponent.detach())
