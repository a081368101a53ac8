import subprocess
import sys

import pytest

from polypath.errors import ConfigError
from polypath.verify.base import Status
from polypath.verify.math import math_verifier, verify_math
from polypath.verify.math_extract import find_answer
from polypath.verify.math_number import read_number
from tests.refusals import refused
from tests.verify.math_cases import RIGHT, WRONG

pytest.importorskip("math_verify")


def verifier(answer, gold):
    return verify_math(rf"\boxed{{{answer}}}", gold)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"so \boxed{4}.", "4"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\boxed{42}}", "{42}"),
        (r"\boxed{x = \fbox{3} + 1}", "x = {3} + 1"),
        (r"\fbox{3}", "3"),
        (r"\boxed {3}", "3"),
        (r"\boxed{1}, \boxed{2} and \boxed{3}", "1,2,3"),
        (r"\boxed{1}$ and $\boxed{1}", "1"),
        (r"\boxed{3} and after some more work \boxed{4}", "4"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{3} so it is \boxed{4", "3"),
        ("a\n#### 42\n", "42"),
        ("#### 1,234\n", "1,234"),
        ("The answer is 42.", "42"),
        ("The answer is **42**.", "42"),
        ("**Answer:** 42", "42"),
        ("Final Answer: The final answer is 5. I hope it is correct.", "5"),
        ("The answer is 3. Wait.\nNo, the answer is 4.", "4"),
        ("so x \u2212 1 or \uff14\u200b", "so x - 1 or 4"),
    ],
)
def test_the_answer_is_found(text, found):
    assert find_answer(text).text == found


def test_a_box_wins_over_a_line_and_a_line_over_the_tail():
    assert find_answer(r"\boxed{1}. The answer is 2. Then 3").mark == "box"
    assert find_answer("The answer is 2.\nThen 3").mark == "line"
    assert find_answer("2 and then 3").mark == "tail"
    assert find_answer(" \u200b\n") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", "42"),
        ("-0.5", "-1/2"),
        (".5", "1/2"),
        ("3.", "3"),
        ("1,234,567", "1234567"),
        (r"10,\!080", "10080"),
        (r"10{,}080", "10080"),
        (r"\$18.90", "189/10"),
        (r"12\%", "12"),
        (r"\frac12", "1/2"),
        (r"-\dfrac{3}{4}", "-3/4"),
        (r"\frac{-3}{4}", "-3/4"),
        ("3/4", "3/4"),
        ("-1./3", "-1/3"),
        (r"1\frac{4}{5}", "9/5"),
        (r"-1\frac{4}{5}", "-9/5"),
        ("1 4/5", "9/5"),
        ("4.5e3", "4500"),
        (r"4.5 \times 10^{3}", "4500"),
        (r"4.5\cdot10^3", "4500"),
        ("10^{-3}", "1/1000"),
        (r"90^\circ", "90"),
        (r"5 \text{ cm}^2", "5"),
        (r"\textbf{(073)}", "73"),
    ],
)
def test_numbers_are_read_exactly(text, value):
    assert read_number(text).canonical == value


@pytest.mark.parametrize(
    "text", ["", "x", "1/0", "1,23", "1,2", "2x", "1e999", "9" * 200, r"\sqrt{2}", "--1", "(1,2)"]
)
def test_what_is_no_single_number_is_left_alone(text):
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("0.5", r"\frac12"),
        ("0.333333", r"\frac{1}{3}"),
        ("x = 5", "5"),
        ("5", "x=5"),
        ("2x+3", "y = 2x+3"),
        ("-2, 1", "1,-2"),
        (r"\{-2, 1 - \sqrt5, 1 + \sqrt5\}", r"\{1 \pm \sqrt{5}, -2\}"),
        (r"x \in [-2,7]", "[-2,7]"),
        (r"(-\infty, 2) \cup (3, \infty)", r"(3,\infty) \cup (-\infty,2)"),
        (
            r"\begin{bmatrix} 0.2 \\ -3.6 \end{bmatrix}",
            r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}",
        ),
        (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"),
        ("(x+1)^2", "x^2+2x+1"),
        ("(C)", r"\text{(C)}"),
        (r"\textbf{(C) } 42", r"\text{(C)}"),
        ("evelyn", r"\text{Evelyn}"),
        ("6:00 PM", r"6\!:\!00 \text{ p.m.}"),
        ("52_{8}", "52_8"),
        ("52", "52_8"),
        (r"50\%", "50"),
        ("50", r"50\%"),
        (r"12.5\%", "12.5"),
        (r"50\%", "0.5"),
        ("4.5e33", r"4.5 \times 10^{33}"),
        (r"4.5 \times 10^{33} \text{ ergs/s}", "4.5e33"),
        (r"\arcsin(10/13)", "np.arcsin(10/13)"),
        ("E_{2}, E_{1}", "E_{1},E_{2}"),
        (r"90 \text{ degrees}", r"90^\circ"),
        ("25", "025"),
        ("7", "$7$"),
        ("7", r"\boxed{7}"),
    ],
)
def test_right_answers_in_other_clothes(answer, gold):
    verdict = verifier(answer, gold)
    assert (verdict.status, verdict.correct) == (Status.GRADED, True)
    # All right answers to one gold are one solution.
    assert verdict.answer == verifier(gold, gold).answer


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("(2,1)", "(1,2)"),
        ("(3,4)", "(3,4]"),
        ("-x", "x"),
        ("q-p", "p-q"),
        ("1,2,3", "1,2"),
        (r"\text{(D)}", r"\text{(C)}"),
        (r"\text{(C)}+1", r"\text{(C)}"),
        ("odd", r"\text{even}"),
        ("7:00 PM", "6:00 PM"),
        ("52_7", "52_8"),
        ("0", "1e-8"),
        ("1.3e-8", "1.24e-8"),
        ("0.000067", ".0000672"),
        ("0.33", r"\frac13"),
        (r"5000\%", "50"),
        ("5", "6"),
    ],
)
def test_wrong_answers(answer, gold):
    verdict = verifier(answer, gold)
    assert (verdict.status, verdict.correct) == (Status.GRADED, False)
    assert verdict.answer != verifier(gold, gold).answer


def pairs(kinds):
    return [
        pytest.param(answer, gold, id=f"{kind}: {answer} | {gold}")
        for kind, found in kinds.items()
        for answer, gold in found
    ]


@pytest.mark.parametrize(("answer", "gold"), pairs(RIGHT))
def test_an_answer_that_says_what_the_gold_says_is_right(answer, gold):
    verdict = verifier(answer, gold)
    assert (verdict.status, verdict.correct) == (Status.GRADED, True)
    assert verdict.answer == verifier(gold, gold).answer


@pytest.mark.parametrize(("answer", "gold"), pairs(WRONG))
def test_an_answer_that_says_something_else_is_wrong(answer, gold):
    verdict = verifier(answer, gold)
    assert (verdict.status, verdict.correct) == (Status.GRADED, False)


@pytest.mark.parametrize(
    "gold", ["A likelihood function cannot be negative.", r"\bigcup_{k}(k, k+1)"]
)
def test_equal_text_is_right_before_anything_is_read(gold):
    assert verifier(gold, gold).correct
    assert verifier("7", gold).reward == 0


@pytest.mark.parametrize(
    "spellings",
    [
        ("1/2", "0.5", r"\frac12", r"\frac{2}{4}", r"0.50", r"\dfrac{1}{2}"),
        (r"\sqrt{2}/2", r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt2}{2}"),
        ("x^2+2x+1", "(x+1)^2", "1+x(x+2)"),
        ("1000", "1,000", r"1{,}000", "10^{3}", "1e3"),
        ("east", r"\text{East}"),
    ],
)
def test_wrong_answers_that_are_equal_are_one_solution(spellings):
    gold = r"\text{west}" if spellings[0] == "east" else "77"
    assert len({verifier(spelling, gold).answer for spelling in spellings}) == 1


def test_long_answers_are_named_by_their_hash():
    gold = r"\text{west}"
    answers = [verifier("east" * n, gold).answer for n in (60, 61)]
    assert len(set(answers)) == 2
    assert all(answer.startswith("sha256:") and len(answer) == 71 for answer in answers)


@pytest.mark.parametrize("completion", ["", "  ", "no idea", r"\boxed{}", r"\boxed{\frac{}{}}"])
def test_no_answer_is_said_so(completion):
    verdict = verify_math(completion, "7")
    assert (verdict.status, verdict.answer) == (Status.NO_ANSWER, None)


@pytest.mark.parametrize("gold", ["", " ", r"\text{}", r"\frac{}{}", r"\boxed{}"])
def test_a_gold_that_cannot_be_read_is_said_so(gold):
    assert verify_math(r"\boxed{7}", gold).status is Status.BAD_GOLD


def test_towers_of_powers_are_refused_without_trying():
    assert verifier("9^{9^{9^9}}", "7").status is Status.TIMEOUT
    assert verifier("9^{9^{9^9}}", "9^{9^{9^9}}").correct


def test_extraction_from_boxes_only():
    verify_boxes = math_verifier(extraction="box")
    assert verify_boxes("The answer is 7.", "7").status is Status.NO_ANSWER
    assert verify_boxes(r"\boxed{7}", "7").correct
    with refused(ConfigError, "extraction", "any", "box"):
        math_verifier(extraction="boxes")


def test_a_missing_library_is_named_with_the_line_that_installs_it():
    code = (
        "import sys; sys.modules['math_verify'] = None\n"
        "from polypath.verify.math import math_verifier\n"
        "from polypath.errors import MissingExtraError\n"
        "try: math_verifier()\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'polypath[math]'" in done.stdout, done.stderr
