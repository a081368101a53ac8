"""Diversity-aware reinforcement learning for LLM reasoning.

``DiversityGRPOConfig`` and ``DiversityGRPOTrainer`` are drop-in subclasses of ``trl.GRPOConfig`` and
``trl.GRPOTrainer``. They load TRL and torch on first use; ``import polypath`` does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polypath.errors import PolypathError, needs_extra
from polypath.presets import preset

if TYPE_CHECKING:
    from polypath.core.rewards import TaskReward, task_dataset
    from polypath.engines.trl import (
        CollapseMonitor,
        DiversityGRPOConfig,
        DiversityGRPOTrainer,
        WeightAverage,
    )
    from polypath.tasks.own import task_from

__version__ = "0.2.0"

_LAZY = {
    "CollapseMonitor": "polypath.engines.trl",
    "DiversityGRPOConfig": "polypath.engines.trl",
    "DiversityGRPOTrainer": "polypath.engines.trl",
    "TaskReward": "polypath.core.rewards",
    "WeightAverage": "polypath.engines.trl",
    "task_dataset": "polypath.core.rewards",
    "task_from": "polypath.tasks.own",
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
    "task_from",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'polypath' has no attribute {name!r}")
    with needs_extra(name, "trl"):
        return getattr(import_module(_LAZY[name]), name)
