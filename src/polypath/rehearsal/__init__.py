"""From an initial policy to a rehearsal set: presample, partition, reference log-probs."""

import importlib
from typing import TYPE_CHECKING, Any

from polypath.rehearsal.keys import prompt_key
from polypath.rehearsal.settings import PresampleSettings

if TYPE_CHECKING:
    from polypath.rehearsal.dataset import RehearsalSet
    from polypath.rehearsal.schedule import RehearsalSchedule

_SLOW = {  # they need torch or numpy
    "RehearsalSchedule": "polypath.rehearsal.schedule",
    "RehearsalSet": "polypath.rehearsal.dataset",
}

__all__ = ["PresampleSettings", "RehearsalSchedule", "RehearsalSet", "prompt_key"]


def __getattr__(name: str) -> Any:
    """Import slow modules on first use, so that reading settings stays fast."""
    if name in _SLOW:
        return getattr(importlib.import_module(_SLOW[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
