"""The TRL engine: subclasses of ``trl.GRPOConfig`` and ``trl.GRPOTrainer``, and two callbacks."""

from polypath.engines.trl.averaging import WeightAverage
from polypath.engines.trl.config import DiversityGRPOConfig
from polypath.engines.trl.forward import completion_logps
from polypath.engines.trl.monitor import CollapseMonitor
from polypath.engines.trl.trainer import DiversityGRPOTrainer

__all__ = [
    "CollapseMonitor",
    "DiversityGRPOConfig",
    "DiversityGRPOTrainer",
    "WeightAverage",
    "completion_logps",
]
