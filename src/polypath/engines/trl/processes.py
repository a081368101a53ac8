"""Accelerate's processes behind the interface the core expects."""

from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor


class AccelerateProcesses:
    """The processes of an accelerator.

    Args:
        accelerator: the trainer's.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    @property
    def rank(self) -> int:
        """Number of this process."""
        return int(self._accelerator.process_index)

    @property
    def world(self) -> int:
        """Number of processes."""
        return int(self._accelerator.num_processes)

    def gather(self, rows: Tensor) -> Tensor:
        """Join the rows of all processes, on the accelerator's device."""
        gathered: Tensor = self._accelerator.gather(rows.to(self._accelerator.device))
        return gathered

    def gather_objects(self, rows: list[Any]) -> list[Any]:
        """Join the picklable rows of all processes."""
        gathered: list[Any] = gather_object(rows)
        return gathered

    def sum(self, values: Tensor) -> Tensor:
        """Sum over all processes."""
        total: Tensor = self._accelerator.reduce(values, reduction="sum")
        return total
