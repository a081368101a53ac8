"""What one process finds and all act on, where a launcher started several."""

from collections.abc import Callable
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from polypath.errors import PolypathError

Result = TypeVar("Result")


def on_main(work: Callable[[], Result]) -> Result:
    """Return on every process what the main process finds; what it refuses, every process does.

    Raises:
        PolypathError: as ``work`` does on the main process.
    """
    found: list[Any] = [None, None]
    if PartialState().is_main_process:
        try:
            found[0] = work()
        except PolypathError as error:
            found[1] = error
    if PartialState().num_processes > 1:
        broadcast_object_list(found)
    if found[1] is not None:
        raise found[1]
    result: Result = found[0]
    return result
