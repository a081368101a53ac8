"""The log-determinant adjustment takes a Cholesky factor where it may, and gives the same numbers."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

import polypath.objectives.dra as dra
from polypath.objectives.dra import DRAConfig, log_det
from tests.rounding import within

CONFIG = DRAConfig(mutual_information="log_det")


def close(jitter: float) -> dict[str, float]:
    """Return the tolerance: an inverse of 8 x 8 with eigenvalues from the jitter to 8.

    Its entries are at most 1 / jitter, and off by as many roundings as it has operations in a row, times
    the condition number; the logarithm of a product is off by the share of that.
    """
    return within(8 * 8, size=8 / jitter)


def by_eigenvalues(config: DRAConfig, s_P_G_G: torch.Tensor) -> torch.Tensor:
    """The definition, group by group: eigenvalues of K raised to e, then K_ii times inverse_ii."""
    found = []
    for s in s_P_G_G:
        e = config.log_det_jitter
        values, vectors = torch.linalg.eigh((1 - e) * s + e * torch.eye(len(s)).double())
        raised = values.clamp(min=e)
        kernel = vectors @ raised.diag() @ vectors.T
        inverse = vectors @ (1 / raised).diag() @ vectors.T
        found.append((kernel.diagonal() * inverse.diagonal()).log())
    return torch.stack(found)


def cosines(seed: int, *, groups: int = 4, size: int = 8, width: int = 16) -> torch.Tensor:
    x = torch.randn(groups, size, width, generator=torch.Generator().manual_seed(seed)).double()
    x = torch.nn.functional.normalize(x, dim=2)
    return x @ x.mT


def without_eigenvalues(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> torch.Tensor:
        raise AssertionError("eigenvalues were computed")

    monkeypatch.setattr(dra, "_raised_product", refuse)


@pytest.mark.parametrize("jitter", [0.001, 0.05, 1.0])
def test_positive_semi_definite_groups_need_no_eigenvalues(jitter, monkeypatch):
    config = replace(CONFIG, log_det_jitter=jitter)
    singular = cosines(1, width=3)  # eight vectors in three dimensions: eigenvalues of 0
    s_P_G_G = torch.cat([cosines(0), singular, torch.ones(1, 8, 8).double()])
    expected = by_eigenvalues(config, s_P_G_G)
    without_eigenvalues(monkeypatch)
    assert_close(log_det(config, s_P_G_G), expected, **close(jitter))


def test_groups_that_are_not_have_their_eigenvalues_raised_and_leave_others_alone():
    clamped = cosines(1, width=2).clamp(min=0)
    s_P_G_G = torch.cat([cosines(0, groups=2), clamped, cosines(2, groups=1)])
    lowest_P = torch.linalg.eigvalsh(s_P_G_G).amin(dim=1)
    assert (lowest_P < -0.01).any()
    assert (lowest_P > 0.01).any()
    assert_close(log_det(CONFIG, s_P_G_G), by_eigenvalues(CONFIG, s_P_G_G), **close(0.05))


def test_an_eigenvalue_a_little_below_zero_is_raised_too():
    """K has a Cholesky factor here, so a factor of K alone would not show it."""
    s = torch.tensor([[[1.0, 0.7, 0.0], [0.7, 1.0, 0.7], [0.0, 0.7, 1.0]]]).double()
    s = s * 1.02 - 0.02 * torch.eye(3)  # off-diagonal 0.714: smallest eigenvalue -0.0097
    kernel = 0.95 * s + 0.05 * torch.eye(3)
    assert torch.linalg.eigvalsh(s).min() < -0.005
    assert torch.linalg.cholesky_ex(kernel).info.item() == 0
    assert_close(log_det(CONFIG, s), by_eigenvalues(CONFIG, s), **close(0.05))
