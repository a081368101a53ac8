"""Diversity-aware reinforcement learning for LLM reasoning.

``DiversityGRPOConfig`` and ``DiversityGRPOTrainer`` are drop-in subclasses of ``trl.GRPOConfig`` and
``trl.GRPOTrainer``. They load TRL and torch when they are first used; ``import polypath`` does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polypath.errors import MissingExtraError, PolypathError
from polypath.presets import preset

if TYPE_CHECKING:
    from polypath.engines.trl import (
        CollapseMonitor,
        DiversityGRPOConfig,
        DiversityGRPOTrainer,
        TaskReward,
        WeightAverage,
        task_dataset,
    )

__version__ = "0.1.0"

_LAZY = {
    "CollapseMonitor": "polypath.engines.trl",
    "DiversityGRPOConfig": "polypath.engines.trl",
    "DiversityGRPOTrainer": "polypath.engines.trl",
    "TaskReward": "polypath.engines.trl",
    "WeightAverage": "polypath.engines.trl",
    "task_dataset": "polypath.engines.trl",
}

__all__ = [
    "CollapseMonitor",
    "DiversityGRPOConfig",
    "DiversityGRPOTrainer",
    "PolypathError",
    "TaskReward",
    "WeightAverage",
    "__version__",
    "preset",
    "task_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'polypath' has no attribute {name!r}")
    try:
        return getattr(import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        if error.name in ("torch", "trl", "transformers", "datasets", "accelerate"):
            raise MissingExtraError(
                f"{name} needs {error.name}, which is not installed. Run: pip install 'polypath[trl]'"
            ) from error
        raise
