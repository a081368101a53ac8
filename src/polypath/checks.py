"""Shape checks that read the name: ``rewards_P_G`` must be 2-D, and all ``_P`` must agree.

Works on anything with a ``shape``, such as torch tensors and numpy arrays, and imports neither.
"""

from typing import Protocol

from polypath.errors import ShapeError


class HasShape(Protocol):
    """A torch tensor or a numpy array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        ...


_HINTS = {
    "G": "Did a group lose a completion, or were the groups of two prompts merged?",
    "T": "Were prompt tokens left in one array and not in the other?",
    "N": "Do both arrays hold the same problems?",
}


def check_shapes(**arrays: HasShape) -> None:
    """Check that each array has the axes that its name ends with.

    ``rewards_P_G`` must be 2-D. ``similarity_P_G_G`` must be 3-D with equal last two axes. Every axis letter
    must have one length across all arrays of the call.

    Raises:
        ShapeError: names the array, the axis, both lengths and where the first came from.

    >>> import numpy as np
    >>> check_shapes(rewards_P_G=np.zeros((2, 4)), similarity_P_G_G=np.zeros((2, 3, 3)))
    Traceback (most recent call last):
      ...
    polypath.errors.ShapeError: similarity_P_G_G has 3 entries on axis 1 (G), but rewards_P_G has \
G=4. Did a group lose a completion, or were the groups of two prompts merged?
    """
    length: dict[str, int] = {}
    seen_in: dict[str, str] = {}
    for name, array in arrays.items():
        axes = [part for part in name.split("_") if len(part) == 1 and part.isupper()]
        shape = tuple(array.shape)
        if len(shape) != len(axes):
            raise ShapeError(
                f"{name} must be {len(axes)}-D ({', '.join(axes)}), but has shape {shape}."
            )
        for position, (axis, n) in enumerate(zip(axes, shape, strict=True)):
            if length.setdefault(axis, n) != n:
                message = (
                    f"{name} has {n} entries on axis {position} ({axis}), "
                    f"but {seen_in[axis]} has {axis}={length[axis]}. {_HINTS.get(axis, '')}"
                )
                raise ShapeError(message.rstrip())
            seen_in.setdefault(axis, name)
