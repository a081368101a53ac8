import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.errors import ConfigError, ShapeError
from polypath.verify.base import Status, Verdict
from polypath.verify.shaping import (
    CosineLength,
    boxed_format_reward,
    cosine_length_reward,
    length_reward,
    reasoning_steps_reward,
    tag_count_reward,
    think_answer_format_reward,
    think_format_reward,
)
from tests.refusals import refused

RIGHT = Verdict(status=Status.GRADED, reward=1.0, answer="1")
WRONG = Verdict(status=Status.GRADED, reward=0.0, answer="2")


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        (r"so \boxed{4}", 1.0),
        (r"\boxed{\frac{1}{2}} and more", 1.0),
        (r"\fbox{4}", 1.0),
        (r"\boxed{}", 0.0),
        (r"\boxed{ }", 0.0),
        (r"\boxed{4", 0.0),
        ("the answer is 4", 0.0),
        ("", 0.0),
    ],
)
def test_the_boxed_format_wants_a_closed_box_with_something_in_it(text, reward):
    assert boxed_format_reward([text]) == [reward]


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("a\n</think>\nb", 1.0),
        ("a</think>\nb", 0.0),
        ("a", 0.0),
        ("a\n</think>\nb\n</think>\nc", 0.0),
        ("a\n</think>\n</think>\nb", 0.0),  # str.count says 1
    ],
)
def test_the_think_format_wants_exactly_one_end_of_thinking(text, reward):
    assert think_format_reward([text]) == [reward]


def test_the_cosine_reward_at_its_ends_and_its_middle():
    settings = CosineLength(max_length=100)
    lengths = [0, 50, 100, 250]
    right = cosine_length_reward(settings, ["x"] * 4, [RIGHT] * 4, lengths)
    wrong = cosine_length_reward(settings, ["x"] * 4, [WRONG] * 4, lengths)
    assert right == pytest.approx([1.0, 0.75, 0.5, 0.5])
    assert wrong == pytest.approx([0.0, -0.25, -0.5, -0.5])


@given(
    length=st.integers(0, 10**6),
    longer=st.integers(0, 10**6),
    max_length=st.integers(1, 10**5),
    status=st.sampled_from(list(Status)),
)
def test_the_clamped_reward_keeps_its_ranges_and_falls_with_length(
    length, longer, max_length, status
):
    settings = CosineLength(max_length=max_length)
    other = Verdict(status=status, reward=0.0)
    first, second = settings.reward(RIGHT, length), settings.reward(RIGHT, length + longer)
    assert 0.5 <= second <= first <= 1.0
    assert -0.5 <= settings.reward(other, length) <= 0.0


def test_the_authors_form_comes_back_round():
    """Values of the released code: 1000 gives 0.5, 2000 gives 1.0, 3000 gives 0.5, 12000 gives 1.0."""
    settings = CosineLength(max_length=1000, unit="characters", clamp=False, bad_gold=1.0)
    texts = ["x" * length for length in (1000, 2000, 3000, 12_000, 500)]
    assert cosine_length_reward(settings, texts, [RIGHT] * 5) == pytest.approx(
        [0.5, 1.0, 0.5, 1.0, 0.75]
    )

    def released(length, *, right):
        low, high = (0.5, 1.0) if right else (-0.5, 0.0)
        return low + 0.5 * (high - low) * (1.0 + math.cos(length / 1000 * math.pi))

    for length in range(0, 5000, 37):
        assert settings.reward(RIGHT, length) == pytest.approx(released(length, right=True))
        assert settings.reward(WRONG, length) == pytest.approx(released(length, right=False))
    assert settings.reward(Verdict(status=Status.BAD_GOLD), 5) == 1.0


def test_a_gold_that_cannot_be_read_rewards_all_lengths_alike():
    settings = CosineLength(max_length=10)
    bad = Verdict(status=Status.BAD_GOLD)
    assert {settings.reward(bad, length) for length in range(20)} == {0.0}


def test_lengths_are_tokens_or_characters():
    texts = ["x" * 30]
    by_tokens = cosine_length_reward(CosineLength(max_length=60), texts, [RIGHT], [60])
    by_letters = cosine_length_reward(
        CosineLength(max_length=60, unit="characters"), texts, [RIGHT], [60]
    )
    assert (by_tokens, by_letters) == ([0.5], pytest.approx([0.75]))


@pytest.mark.parametrize(
    "values",
    [
        {"max_length": 0},
        {"max_length": 5, "unit": "words"},
        {"max_length": 5, "wrong_long": math.nan},
    ],
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ConfigError):
        CosineLength(**values)


def test_missing_and_unequal_lengths_are_refused():
    with refused(ConfigError, "num_tokens"):
        cosine_length_reward(CosineLength(max_length=5), ["x"], [RIGHT])
    with refused(ShapeError, 1, 2):
        cosine_length_reward(CosineLength(max_length=5), ["x"], [RIGHT], [1, 2])


@pytest.mark.parametrize(
    ("text", "form", "tags"),
    [
        ("<think>\na\n</think>\n<answer>\nb\n</answer>", 1.0, 1.0),
        (" <think>a</think> <answer>b</answer>\n", 1.0, 1.0),
        ("<think>a</think><answer>b</answer> and", 0.0, 1.0),
        ("so <think>a</think><answer>b</answer>", 0.0, 1.0),
        ("<think>a</think> then <answer>b</answer>", 0.0, 1.0),
        ("<answer>b</answer><think>a</think>", 0.0, 1.0),
        ("<think>a<think>b</think><answer>c</answer>", 0.0, 0.75),
        ("<think>a</think>b", 0.0, 0.5),
        ("a</think><answer>b</answer>", 0.0, 0.75),
        ("", 0.0, 0.0),
    ],
)
def test_the_think_answer_format_and_its_tags(text, form, tags):
    assert think_answer_format_reward([text]) == [form]
    assert tag_count_reward([text]) == [tags]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Step 1: a\nStep 2: b", 2),
        ("1. a\n 2. b\n3. c\n4. d", 3),  # at most 1
        ("- a\n* b", 2),
        ("First, a. Second, b", 2),
        ("3.5 - 1 is 2.5, and a first step", 0),
        ("", 0),
    ],
)
def test_marked_steps_are_a_third_each(text, steps):
    assert reasoning_steps_reward([text]) == [pytest.approx(steps / 3)]


def test_the_length_reward_compares_within_a_group_and_pays_no_wrong_answer():
    texts = ["a", "aa", "aaa", "aaa", "a" * 9, "a"]
    verdicts = [RIGHT, RIGHT, RIGHT, WRONG, RIGHT, WRONG]
    groups = ["p", "p", "p", "p", "q", "r"]
    assert length_reward(texts, verdicts, groups) == [0.5, 0.0, -0.5, -0.5, 0.0, 0.0]
    assert length_reward(["a", "aa"], [WRONG, WRONG], ["p", "p"]) == [0.0, -0.5]
