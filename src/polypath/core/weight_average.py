"""The uniform mean of weights over the later part of a run: arithmetic and file, without a trainer."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from polypath.errors import ConfigError, DataError, MissingFileError
from polypath.rollouts.files import atomic_write
from polypath.settings import is_number

Weights = Iterable[tuple[str, Tensor]]


class RunningMean:
    """The mean of the weights after every step beyond a fraction of training.

    Izmailov 2018, arXiv:1803.05407, Alg. 1, with weights taken after every step. The mean is kept in float32
    (float64 for float64 weights).

    Args:
        start: fraction of training, in [0, 1), after which weights count.

    Attributes:
        count: number of steps in the mean; 0 until averaging starts.
        mean: the mean by parameter name.

    Raises:
        ConfigError: ``start`` is out of range.
    """

    def __init__(self, start: float) -> None:
        if not (is_number(start) and 0 <= start < 1):
            raise ConfigError(
                f"WeightAverage start must be a number in [0, 1), got {start!r}. 0.5 averages the "
                "second half of training."
            )
        # Exact as written: 0.29 of 100 steps are 29, although 0.29 * 100 is a little less.
        self._start = Fraction(str(start))
        self.count = 0
        self.mean: dict[str, Tensor] = {}

    def expected(self, step: int, steps: int) -> int:
        """Return how many steps' weights count once ``step`` of ``steps`` is done. It may be below 1."""
        return step - int(self._start * steps)

    def reset(self) -> None:
        """Forget what was averaged."""
        self.count, self.mean = 0, {}

    @torch.no_grad()
    def add(self, weights: Weights) -> None:
        """Add the weights after a step."""
        self.count += 1
        for name, weight in weights:
            wide = torch.promote_types(weight.dtype, torch.float32)
            if self.count == 1:
                self.mean[name] = weight.detach().to(wide, copy=True)
            else:
                self.mean[name].lerp_(weight.to(wide), 1 / self.count)

    @torch.no_grad()
    def copy_to(self, weights: Weights) -> None:
        """Replace the weights by the mean."""
        for name, weight in weights:
            weight.copy_(self.mean[name])

    def save(self, path: Path) -> None:
        """Write the mean and its count as safetensors, in one step."""
        path.parent.mkdir(exist_ok=True)
        tensors = {name: mean.contiguous() for name, mean in self.mean.items()}
        with atomic_write(path) as file:
            try:
                save_file(tensors, file.name, metadata={"format": "pt", "count": str(self.count)})
            except SafetensorError as error:
                raise OSError(str(error)) from error

    def load(self, path: Path, count: int, weights: Mapping[str, Tensor]) -> None:
        """Read the mean of a checkpoint, each tensor to the device of its parameter.

        Args:
            path: written by ``save``.
            count: number of steps that it must be the mean of.
            weights: the trained parameters, by name.

        Raises:
            MissingFileError: it does not exist.
            DataError: it has other parameters or another number of steps, or is not readable.
        """
        if not path.is_file():
            raise MissingFileError(
                f"{path} does not exist, but {count} steps whose weights count were done. Resume from a "
                "checkpoint saved while weights were averaged, or from one before that part of training."
            )
        try:
            with safe_open(path, framework="pt") as file:
                told = (file.metadata() or {}).get("count")
                mean = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        except SafetensorError as error:
            raise DataError(
                f"{path} is not a safetensors file ({' '.join(str(error).split())}). "
                "Resume from another checkpoint."
            ) from error
        if told != str(count):
            raise DataError(
                f"{path} is the mean of {told} steps' weights, expected {count}. Resume with the start "
                "of averaging and the number of steps that training began with."
            )
        shapes, wanted = ({n: tuple(t.shape) for n, t in d.items()} for d in (mean, weights))
        if shapes != wanted:
            odd = sorted(n for n in shapes.keys() | wanted.keys() if shapes.get(n) != wanted.get(n))
            raise DataError(
                f"{path} does not hold the parameters that are trained: {odd[0]} is "
                f"{shapes.get(odd[0])}, expected {wanted.get(odd[0])}. Resume with the model and "
                "adapters it was saved with."
            )
        self.mean = {name: mean[name].to(weight.device) for name, weight in weights.items()}
        self.count = count
