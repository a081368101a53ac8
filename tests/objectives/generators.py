"""f(u) and its gradient weight as functions of d = log u, by registry name."""

import torch

from polypath.objectives.divergences import DIVERGENCES, divergence
from tests.objectives.tiny_policy import grad

CENTRED = [name for name in DIVERGENCES if not name.endswith("_uncentred")]


def term(name, d, mask=None, **settings):
    member = DIVERGENCES[name]
    if name != "alpha":
        settings.pop("alpha", None)
    return divergence(member, member.config(**settings), torch.as_tensor(d), mask)


def f(name, d, mask=None, **settings):
    return term(name, d, mask, **settings).loss_B_T


def slope(name, d, dtype=torch.float64, **settings):
    d = torch.as_tensor(d, dtype=dtype).clone().requires_grad_()
    return grad(f(name, d, **settings).sum(), d)
