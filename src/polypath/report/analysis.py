"""Measure runs, and compare them on the problems they share."""

from polypath.report.model import (
    FELL,
    FOUND,
    GROUPS,
    KEPT,
    LOST,
    NOISE,
    ROSE,
    UNJUDGED,
    UNSOLVED,
    Comparison,
    Curve,
    Difference,
    Fit,
    Flow,
    Metric,
    RunAnalysis,
)

__all__ = [
    "FELL",
    "FOUND",
    "GROUPS",
    "KEPT",
    "LOST",
    "NOISE",
    "ROSE",
    "UNJUDGED",
    "UNSOLVED",
    "Comparison",
    "Curve",
    "Difference",
    "Fit",
    "Flow",
    "Metric",
    "RunAnalysis",
]
