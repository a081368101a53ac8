"""What holds for every similarity: range, symmetry, groups apart, split over processes."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from polypath.errors import ShapeError
from polypath.similarity import Completions, get_similarity
from tests.refusals import refused
from tests.rounding import F32, F64, rounding, within
from tests.similarity.strategies import groups, rows_of


def bag_of_characters(texts_P_G: list[list[str]]) -> Tensor:
    """A user's own similarity: cosine of character counts (zero rows for empty texts)."""
    counts = [[[text.count(c) for c in "w01234"] for text in group] for group in texts_P_G]
    return torch.nn.functional.cosine_similarity(
        torch.tensor(counts).double()[:, :, None], torch.tensor(counts).double()[:, None], dim=3
    )


KINDS = ["ngram", "answer", "policy", "custom"]
# Hidden states are float32, as a policy's are; all else is computed in float64.
EPS = {kind: F32 if kind == "policy" else F64 for kind in KINDS}


def build(kind: str):
    return get_similarity(bag_of_characters if kind == "custom" else kind)


def with_hidden(rows: Completions) -> Completions:
    """Add hidden states that depend on the row's tokens only."""

    def hidden() -> Tensor:
        counts = [[float(ids.count(t)) for t in range(5)] for ids in rows.token_ids]
        return torch.tensor(counts).reshape(-1, 5) @ torch.randn(
            5, 7, generator=torch.Generator().manual_seed(3)
        )

    return replace(rows, hidden_B_D=hidden)


def take(rows: Completions, index: list[int]) -> Completions:
    return with_hidden(
        Completions(
            texts=[rows.texts[i] for i in index],
            token_ids=[rows.token_ids[i] for i in index],
            solutions=[rows.solutions[i] for i in index],
        )
    )


def compute(kind: str, rows: Completions, size: int) -> Tensor:
    similarity = build(kind)
    return similarity.matrix(similarity.features(rows), size)


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=groups())
def test_symmetric_in_range_one_on_the_diagonal(kind, drawn):
    rows, num_groups, size = drawn
    s_P_G_G = compute(kind, with_hidden(rows), size)
    assert s_P_G_G.shape == (num_groups, size, size)
    assert torch.equal(s_P_G_G, s_P_G_G.mT)
    assert (s_P_G_G.diagonal(dim1=1, dim2=2) == 1).all()
    assert s_P_G_G.abs().max() <= 1
    assert not s_P_G_G.requires_grad


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=groups())
def test_positive_semi_definite(kind, drawn):
    rows, _, size = drawn
    assert torch.linalg.eigvalsh(compute(kind, with_hidden(rows), size)).min() > -rounding(
        20 * size, eps=EPS[kind]
    )


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=groups(), data=st.data())
def test_permuting_a_group_permutes_the_matrix(kind, drawn, data):
    rows, _, size = drawn
    order = data.draw(st.permutations(range(size)))
    s_G_G = compute(kind, take(rows, list(range(size))), size)[0]
    permuted_G_G = compute(kind, take(rows, order), size)[0]
    assert_close(permuted_G_G, s_G_G[order][:, order], **within(20, eps=EPS[kind]))


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=groups())
def test_groups_do_not_see_each_other(kind, drawn):
    rows, num_groups, size = drawn
    alone = [
        compute(kind, take(rows, list(range(p * size, (p + 1) * size))), size)
        for p in range(num_groups)
    ]
    together = compute(kind, with_hidden(rows), size)
    assert_close(together, torch.cat(alone), **within(20, eps=EPS[kind]))


@pytest.mark.parametrize("kind", KINDS)
@given(drawn=groups(), data=st.data())
def test_features_computed_on_two_processes_give_the_same_matrix(kind, drawn, data):
    rows, num_groups, size = drawn
    n = num_groups * size
    cut = data.draw(st.integers(0, n))  # usually inside a group, sometimes an idle process
    similarity = build(kind)
    parts = [similarity.features(take(rows, list(span))) for span in (range(cut), range(cut, n))]
    gathered = torch.cat(parts) if isinstance(parts[0], Tensor) else parts[0] + parts[1]
    expected = compute(kind, with_hidden(rows), size)
    assert_close(similarity.matrix(gathered, size), expected, **within(20, eps=EPS[kind]))


@pytest.mark.parametrize("kind", ["ngram", "policy", "custom"])
def test_empty_completions_resemble_nothing_and_identical_ones_are_one(kind):
    s_G_G = compute(kind, with_hidden(rows_of([[], [], [1, 2], [1, 2]])), 4)[0]
    expected_G_G = torch.eye(4, dtype=torch.float64)
    expected_G_G[2, 3] = expected_G_G[3, 2] = 1
    assert_close(s_G_G, expected_G_G, **within(20, eps=EPS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_no_whole_groups_are_refused(kind):
    similarity = build(kind)
    features = similarity.features(with_hidden(rows_of([[1], [2], [3]])))
    with refused(ShapeError, "group_size", 3, 2):
        similarity.matrix(features, 2)


@pytest.mark.parametrize(("kind", "wrong"), [("ngram", torch.ones(2, 2)), ("policy", [1, 2])])
def test_features_of_another_similarity_are_refused(kind, wrong):
    with refused(ShapeError, "list" if kind == "ngram" else "tensor"):
        build(kind).matrix(wrong, 2)


def test_rows_of_different_lengths_are_refused():
    with refused(ShapeError, 1, 2, 0):
        Completions(texts=["a"], token_ids=[[1], [2]], solutions=[])


def test_answer_none_equals_nothing_but_itself():
    answers = ["1+2", None, "2+1", "1+2", None]
    s_G_G = compute("answer", rows_of([[1]] * 5, answers), 5)[0]
    for i, j in permutations(range(5), 2):
        assert s_G_G[i, j] == float(answers[i] is not None and answers[i] == answers[j])
