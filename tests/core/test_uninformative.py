"""A similarity by answers that changes nothing is told once."""

import warnings

import pytest
import torch

from polypath.core.uninformative import ENOUGH, UninformativeAnswers

SAME, OTHER = torch.ones(1, 3, 3), torch.eye(3)[None]
RIGHT = torch.tensor([[True, False, True]])


def test_answers_that_are_all_alike_are_told_once() -> None:
    apart = UninformativeAnswers()
    many = SAME.expand(ENOUGH, 3, 3), RIGHT.expand(ENOUGH, 3)
    with pytest.warns(UserWarning, match="answer"):
        apart.see(*many)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apart.see(*many)


def test_answers_that_never_repeat_are_told() -> None:
    apart = UninformativeAnswers()
    with pytest.warns(UserWarning, match="answer"):
        apart.see(OTHER.expand(ENOUGH, 3, 3), RIGHT.expand(ENOUGH, 3))


def test_answers_that_tell_some_solutions_apart_are_fine() -> None:
    apart = UninformativeAnswers()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apart.see(OTHER, RIGHT)
        for _ in range(2 * ENOUGH):
            apart.see(SAME, RIGHT)


def test_only_pairs_of_right_completions_count() -> None:
    apart = UninformativeAnswers()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2 * ENOUGH):
            apart.see(SAME, torch.tensor([[True, False, False]]))
            apart.see(SAME, torch.zeros(1, 3, dtype=torch.bool))
    mixed = torch.tensor([[[1.0, 0, 1], [0, 1, 0], [1, 0, 1]]])  # the wrong one differs
    with pytest.warns(UserWarning, match="answer"):
        apart.see(mixed.expand(ENOUGH, 3, 3), RIGHT.expand(ENOUGH, 3))
