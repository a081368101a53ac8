"""Multiple choice: letters, the texts beside them, and letters that are none."""

import pytest

from polypath.verify.math import verify_math

pytest.importorskip("math_verify")


def right(answer, gold):
    return verify_math(rf"\boxed{{{answer}}}", gold).correct


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("B", "B"),
        ("(B) 42", "B"),
        ("B. 42", "B"),
        ("B)", "B"),
        (r"\textbf{(B)}\ 42", "B"),
        (r"\textbf{(B)}42", "(B)"),
        ("Option B: 42", "B"),
        (r"\text{Option B}", "(B)"),
        ("B", "Option B"),
        (r"\mathrm{B}", "B"),
        # lower case
        ("(B)", "b"),
        ("B", "(b)"),
        (r"\text{b}", "B"),
        # the text of the choice
        (r"\textbf{(B)}\ 42", "42"),
        ("B) 42", "42"),
        (r"\text{(B) }\frac{1}{2}", "0.5"),
        ("(B) Evelyn", r"\text{Evelyn}"),
        ("42", "(B) 42"),
        ("(B)", "(B) 42"),
        ("B. 42.0", "(B) 42"),
        # several
        ("D and B", "B and D"),
        ("B, D", "B and D"),
        ("(B) and (D)", "B and D"),
        (r"\text{B, D}", "B and D"),
        ("(B), (D)", "B,D"),
        # parts of a question
        ("(a) 5, (b) 7", "(a) 5, (b) 7"),
    ],
)
def test_right(answer, gold):
    assert right(answer, gold)
    # All right answers to one gold are one solution.
    same = [verify_math(rf"\boxed{{{text}}}", gold).answer for text in (answer, gold)]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("(C) 42", "B"),
        ("(C) 42", "(B) 42"),
        ("(B) 42", "43"),
        ("43", "(B) 42"),
        ("(B) 43", "(B) 42"),
        ("c", "(b)"),
        ("B", "B and D"),
        ("B, C, D", "B and D"),
        ("B and D", "B"),
        ("B or D", "B"),
        ("(A) or (B)", "(B)"),
        # variables and names
        ("2A", "A"),
        ("A", "2A"),
        ("(A)", "2A"),
        ("A^2", "A"),
        ("A+B", "A"),
        ("-A", "A"),
        (r"\text{(C)}+1", r"\text{(C)}"),
        ("(I)", "i"),
        ("I. Kant", r"\text{I. Newton}"),
        ("(a) 6, (b) 7", "(a) 5, (b) 7"),
        ("(a) 6", "(a) 5"),
    ],
)
def test_wrong(answer, gold):
    assert not right(answer, gold)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (B).", "B"),
        ("The answer is **B**.", "B"),
        ("The answer is B because 3 > 2.", "B"),
        ("The correct option is B", "B"),
        ("#### B", "B"),
        ("So it's (B).", "B"),
        ("Therefore, option B is correct.", "B"),
        ("<answer>(B) 42</answer>", "B"),
        ("Therefore, option B is not correct.", None),
        ("It is either (A) or (B).", None),
    ],
)
def test_in_prose(text, letter):
    assert [gold for gold in "ABC" if verify_math(text, gold).correct] == list(letter or "")
