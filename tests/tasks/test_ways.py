import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.tasks.word_problems.kinds import KINDS
from polypath.tasks.word_problems.make import all_problems
from polypath.tasks.word_problems.ways import way_of

# The first problems of each kind with each set of ways: every wording occurs.
SOME = {(problem.story, problem.ways): problem for problem in reversed(all_problems())}.values()


def way(text, answer, given):
    return way_of(text, Fraction(answer), given)


def test_every_wording_of_a_way_has_its_key_and_no_two_ways_share_one():
    shown = set()
    for problem in SOME:
        found = problem.solutions()
        assert len(found) == len(problem.ways) >= 3
        for key, texts in found.items():
            assert {way(text, problem.answer, problem.numbers) for text in texts} == {key}
        shown |= {(problem.told.kind, way) for way in problem.ways}
    assert shown == {(kind, way) for kind in KINDS for way in KINDS[kind].ways}


def test_every_wording_with_another_result_is_rejected():
    for problem in SOME:
        for texts in problem.solutions().values():
            for text in texts:
                wrong = text.replace(f"= {problem.answer}.", f"= {problem.answer + 1}.")
                wrong = wrong.replace(f"= {problem.answer} ", f"= {problem.answer + 1} ")
                assert wrong != text
                assert way(wrong, problem.answer, problem.numbers) is None
                assert way(wrong, problem.answer + 1, problem.numbers) is None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("12 / 4 = 3, and 3 * 20 = 60.", "(b / a) * c"),
        ("We get $\\frac{12}{4} \\cdot 20 = 60$.", "(b / a) * c"),
        ("Use 20 x 12 ÷ 4 = 60 dollars.", "(b * c) / a"),
        ("20/4 = 5 times as many, so 5*12 = 60", "(c / a) * b"),
        ("So 20 × 3 = 60, because 12 / 4 = 3.", "(b / a) * c"),  # in any order
        ("Let x be it: 4 * x = 12 * 20. So x = 12 * 20 / 4 = 60.", "x: (b * c) / a"),
        ("Let x / 20 = 12 / 4. 12 / 4 = 3. x = 3 * 20 = 60.", "x: (b / a) * c"),
        ("x = 12 / 4 * 20 = 60 only names the answer.", "(b / a) * c"),
        ("20 - 4 = 16 is not needed. 12 / 4 * 20 = 60", "(b / a) * c"),
    ],
)
def test_other_wordings_of_the_same_ways(text, key):
    assert way(text, 60, (4, 12, 20)) == key


def test_order_matters_between_steps_and_not_within_one():
    given = (50, 12, 15)
    in_order = way("50 - 12 = 38. 38 - 15 = 23.", 23, given)
    assert in_order == way("50 - 12 - 15 = 23.", 23, given) == "(a - b) - c"
    assert way("50 - 15 = 35. 35 - 12 = 23.", 23, given) == "(a - c) - b"
    together = way("12 + 15 = 27. 50 - 27 = 23.", 23, given)
    assert together == way("50 - (15 + 12) = 23.", 23, given) == "a - (b + c)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The answer is 60.",  # no working
        "12 / 4 = 4. 3 * 20 = 60.",  # a step that does not hold
        "12 / 4 = 3. 3 * 20 = 60. 2 + 2 = 5.",  # ... even where the answer does not need it
        "3 * 20 = 60.",  # 3 is not given, and nothing computes it
        "12 / 4 = 3. 3 * 21 = 63.",  # another answer
        "30 * 2 = 60. 60 / 2 = 30. 30 / 15 = 2.",  # in a circle
        "12 / 0 = 60.",
        "x + 0 = 60 and x = 60.",  # an equation, and nothing computed
        "x + 1 = 1 + x. 12 / 4 * 20 = 60.",  # an equation that says nothing
        "2 * x = 100. 12 / 4 * 20 = 60.",  # does not hold
        "12 / 4 = 3. 3 * 20 = 2^6.",
        "y + 12 = 72. 12 / 4 * 20 = 60.",  # no one says what y is
    ],
)
def test_a_text_without_sound_working_has_no_way(text):
    assert way(text, 60, (4, 12, 20)) is None


def test_a_wrong_answer_has_the_way_that_led_to_it():
    assert way("20 - 4 = 16. 12 + 16 = 28.", 28, (4, 12, 20)) == "(c - a) + b"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "1" + ")" * 5000 + " = 1",
        "9" * 5000 + " = " + "9" * 5000 + " + 0",
        " + ".join(["1"] * 3000) + " = 3000",
        ". ".join(f"{2**n} + {2**n} = {2 ** (n + 1)}" for n in range(300)),
        ". ".join(" + ".join([str(n)] * 10) + f" = {10 * n}" for n in range(300)),
        "2 + 2 = 2 ** 99999999",
        "__import__('os') = 1 + 1",
        "1e999 + 1 = 1e999",
        "007 + 1 = 8",
        "1 + 1 = 2 = \x00",
    ],
)
def test_hostile_texts_are_rejected_quickly(text):
    start = time.process_time()
    assert way(text, 8, (1, 2, 3)) is None
    assert time.process_time() - start < 5


@given(st.text(alphabet="0123456789 +-*/()=x.,ab\n\\$", max_size=80))
def test_any_text_is_safe(text):
    found = way(text, 6, (1, 2, 3))
    assert found is None or isinstance(found, str)
