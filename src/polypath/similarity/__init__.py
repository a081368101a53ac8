"""Completions of a group to pairwise similarities."""
