"""Completions of a group to pairwise similarities."""

from polypath.similarity.base import Completions, Similarity
from polypath.similarity.registry import SIMILARITIES, SimilarityConfig, get_similarity

__all__ = ["SIMILARITIES", "Completions", "Similarity", "SimilarityConfig", "get_similarity"]
