"""Which completions are correct: by the function that scored them, whatever its place."""

import math
import warnings

import pytest
import torch

from polypath.core.correctness import ENOUGH, find_correctness
from polypath.errors import ConfigError
from tests.refusals import refused

NAN = math.nan


class Verifies:
    """A reward function that knows solutions, as a task's does."""

    def solution(self, text, row):
        del row
        return text


def plain(*_):
    """A reward function of which only the name is looked at."""


def columns(*names, chosen=None, verifies=()):
    functions = [Verifies() if name in verifies else plain for name in names]
    return find_correctness(chosen, functions, names, 0.5).columns


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["format_reward", "accuracy_reward"], [1]),
        (["think_format_reward", "accuracy"], [1]),
        (["tag_count_reward", "my_reward"], [1]),
        (["correct_format_reward", "is_right"], [1]),
        (["lengthReward", "exactMatch"], [1]),
        (["get_soft_overlong_punishment", "math_reward", "code_reward"], [1, 2]),
        (["math_accuracy", "format", "code_accuracy"], [0, 2]),
        (["reasoning_accuracy_reward", "reasoning_steps_reward"], [0]),
        (["reward"], [0]),
        (["format_reward"], [0]),
        (["format_reward", "length_reward"], [0, 1]),
    ],
)
def test_what_says_so_is_found_by_more_than_its_place(names, expected):
    assert columns(*names) == tuple(expected)


def test_a_function_that_knows_solutions_says_so():
    assert columns("tone", "graded", verifies=["graded"]) == (1,)


def test_named_functions_win_in_the_order_in_which_they_are_named():
    names = ("accuracy", "one", "two")
    assert columns(*names, chosen="two") == (2,)
    assert columns(*names, chosen=["two", "one"]) == (2, 1)
    assert columns(*names, chosen="one, two") == (1, 2)
    with refused(ConfigError, "correctness_reward", "'on'", "'one'"):
        columns(*names, chosen=["on"])


def test_the_function_that_scored_a_completion_decides():
    judge = find_correctness(None, [plain, plain, plain], ["math", "code", "format"], 0.5)
    rewards = torch.tensor(
        [[1.0, NAN, 0.0], [0.0, NAN, 1.0], [NAN, 1.0, 0.0], [NAN, 0.0, 1.0], [NAN, NAN, 1.0]]
    )
    judged = judge(rewards)
    assert judged.correct_B.tolist() == [True, False, True, False, False]
    assert judged.column_B.tolist()[:4] == [0, 0, 1, 1]
    assert judged.reward_B[:4].tolist() == [1, 0, 1, 0]
    assert judged.reward_B[4].isnan()


def told(rewards, names=("accuracy", "tone"), chosen=None):
    """Return what is said of rewards of the first function, batch after batch."""
    judge = find_correctness(chosen, [plain] * len(names), names, 0.5, warned=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for batch in torch.tensor(rewards).split(32):
            judge.watch(judge(batch.unsqueeze(1).expand(-1, len(names))))
    return [str(warning.message) for warning in caught]


def test_rewards_of_0_and_1_are_not_worth_a_word():
    assert told([0.0, 1.0] * ENOUGH) == []
    assert told([1.0, NAN, 0.0, NAN] * ENOUGH) == []


@pytest.mark.parametrize(
    ("rewards", "facts"),
    [
        ([1.0], ["accuracy", "1", "tone"]),
        ([0.0], ["accuracy", "0"]),
        ([-1.0, 1.0], ["-1, 1", "0.5"]),
        ([0.0, 0.25, 1.0], ["0.25"]),
    ],
)
def test_a_constant_or_another_scale_is_said_once(rewards, facts):
    (line,) = told(rewards * ENOUGH)
    assert all(fact in line for fact in facts)
    assert told(rewards * (ENOUGH // len(rewards) - 1)) == []  # too few to say
    (line,) = told(rewards * ENOUGH, names=("only",))
    assert "correctness_threshold" in line


def test_the_other_functions_are_named_whatever_their_names():
    (line,) = told([1.0] * ENOUGH, names=("accuracy", "acc_of_form"), chosen="accuracy")
    assert "correctness_reward" in line
    (line,) = told([1.0] * ENOUGH, names=("math_reward", "reward"), chosen="math_reward")
    assert "correctness_reward" in line  # "reward" is another function, though part of the name
