"""Presample, partition, reference log-probs: from an initial policy to a rehearsal set."""

import importlib
from typing import TYPE_CHECKING, Any

from polypath.rehearsal.keys import prompt_key
from polypath.rehearsal.schedule import RehearsalSchedule
from polypath.rehearsal.settings import PresampleSettings

if TYPE_CHECKING:
    from polypath.rehearsal.dataset import RehearsalSet

_NEEDS_TORCH = {"RehearsalSet": "polypath.rehearsal.dataset"}

__all__ = ["PresampleSettings", "RehearsalSchedule", "RehearsalSet", "prompt_key"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for, so that reading settings stays quick."""
    if name in _NEEDS_TORCH:
        return getattr(importlib.import_module(_NEEDS_TORCH[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
