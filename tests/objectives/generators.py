"""f(u) and its gradient weight as functions of d = log u, by registry name."""

import torch

from polypath.objectives.divergences import DIVERGENCES, DivergenceConfig, divergence
from tests.objectives.tiny_policy import grad

CENTRED = [name for name in DIVERGENCES if not name.endswith("_uncentred")]


def f(name, d, **settings):
    return divergence(DivergenceConfig(name=name, **settings), torch.as_tensor(d))


def slope(name, d, dtype=torch.float64, **settings):
    d = torch.as_tensor(d, dtype=dtype).clone().requires_grad_()
    return grad(f(name, d, **settings).sum(), d)
