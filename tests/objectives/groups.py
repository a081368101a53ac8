"""Groups and settings shared by the tests of DRA."""

import torch

from polypath.objectives.dra import MUTUAL_INFORMATION, DRAConfig
from tests.strategies import generator

SAFE = DRAConfig()
# Adjusts everything, so that a weight can be read off a group of equal rewards.
PLAIN = DRAConfig(uniform_group="paper")
KINDS = list(MUTUAL_INFORMATION)
TWINS = torch.tensor([[[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]], dtype=torch.float64)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def psd(seed, group=5):
    x = torch.randn(group, 4, generator=generator(seed), dtype=torch.float64)
    unit = torch.nn.functional.normalize(x, dim=1)
    return unit @ unit.mT


def flat(group, off_diagonal):
    """One group in which every two completions have the same similarity."""
    s = torch.full((1, group, group), off_diagonal, dtype=torch.float64)
    return s.masked_fill(torch.eye(group, dtype=torch.bool), 1.0)
