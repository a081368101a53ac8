"""Completions of a group to pairwise similarities."""

from polypath.similarity.base import Completions, Similarity
from polypath.similarity.registry import (
    SIMILARITIES,
    SimilarityConfig,
    check_similarity,
    get_similarity,
)

__all__ = [
    "SIMILARITIES",
    "Completions",
    "Similarity",
    "SimilarityConfig",
    "check_similarity",
    "get_similarity",
]
