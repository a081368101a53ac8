"""Unit vectors and cosines: what must not matter does not."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from polypath.errors import ConfigError, DataError, ShapeError
from polypath.similarity import Completions
from polypath.similarity.cosine import cosine_matrix, unit_rows
from polypath.similarity.policy import PolicySimilarity
from tests.refusals import refused
from tests.rounding import F32, within


def vectors(seed: int, rows: int = 6, width: int = 5) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def cosines(vectors_B_D: torch.Tensor, size: int = 3) -> torch.Tensor:
    return cosine_matrix(unit_rows(vectors_B_D, [False] * len(vectors_B_D), "x"), size)


@given(st.integers(0, 10_000), st.sampled_from([1e-30, 1e-6, 1.0, 1e6, 1e30]))
def test_length_of_a_vector_does_not_matter(seed, scale):
    x_B_D = vectors(seed)
    scales_B_1 = torch.tensor([scale, 1, 2, 3, scale, 0.5])[:, None]
    assert_close(cosines(x_B_D * scales_B_1), cosines(x_B_D), **within(50, eps=F32))


@given(st.integers(0, 10_000))
def test_rotation_of_the_space_does_not_matter(seed):
    x_B_D = vectors(seed)
    rotation_D_D = torch.linalg.qr(vectors(seed + 1, 5, 5)).Q
    assert_close(cosines(x_B_D @ rotation_D_D), cosines(x_B_D), **within(50, eps=F32))


def test_golden_right_angle_opposite_and_sixty_degrees():
    x_B_D = torch.tensor([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0], [1.0, 3**0.5]])
    s_G_G = cosines(x_B_D, 4)[0]
    assert_close(s_G_G[0], torch.tensor([1.0, 0.0, -1.0, 0.5]).double(), **within(4, eps=F32))


def test_bfloat16_hidden_states_are_scaled_in_float32():
    unit_B_D = unit_rows(vectors(0).bfloat16(), [False] * 6, "x")
    assert unit_B_D.dtype == torch.float32
    assert_close(unit_B_D.norm(dim=1), torch.ones(6))


def test_no_gradient_reaches_the_policy():
    hidden_B_D = vectors(0).requires_grad_()
    rows = Completions(
        texts=["a"] * 6, token_ids=[[1]] * 6, solutions=[None] * 6, hidden_B_D=lambda: hidden_B_D
    )
    assert not PolicySimilarity().features(rows).requires_grad


def test_nan_is_refused_with_a_count():
    x_B_D = vectors(0)
    x_B_D[2, 1] = torch.nan
    with refused(DataError, "The model", "1 of 6"):
        unit_rows(x_B_D, [False] * 6, "The model")


def test_nan_of_an_empty_completion_is_harmless():
    # The mean over no tokens is 0 / 0.
    x_B_D = vectors(0)
    x_B_D[0] = torch.nan
    unit_B_D = unit_rows(x_B_D, [True] + [False] * 5, "The model")
    assert (unit_B_D[0] == 0).all()


def test_one_vector_too_few_is_refused():
    with refused(ShapeError, "(5, D)", "(6, 5)"):
        unit_rows(vectors(0), [False] * 5, "The model")


def test_policy_similarity_without_a_model_says_what_to_use():
    rows = Completions(texts=["a"], token_ids=[[1]], solutions=[None])
    with refused(ConfigError):
        PolicySimilarity().features(rows)
