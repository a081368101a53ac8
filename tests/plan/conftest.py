"""Fixtures of the tests that plan a recipe."""

from tests.train.conftest import write_recipe

__all__ = ["write_recipe"]
