"""What surrounds an answer, what a sentence says, and which texts without an answer are trusted."""

import time

import pytest

from polypath.verify.base import Status
from polypath.verify.math import verify_math
from polypath.verify.math_extract import find_answer
from polypath.verify.math_prose import bare, read_answer

pytest.importorskip("math_verify")


def right(completion, gold):
    return verify_math(completion, gold).correct


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("=7", "7"),
        (r"= \therefore\ 7", "7"),
        (r"\approx3.14", "3.14"),
        ("≈ 3.14", "3.14"),
        (r"\implies 5", "5"),
        (r"\sim 5", "5"),
        (r"\sim p", r"\sim p"),
        (r"\large 5", "5"),
        (r"{\Large{5}}", "5"),
        (r"\textcolor{red}{5}", "5"),
        (r"\boldsymbol{5}", "5"),
        (r"\(5\)", "5"),
        ("**5**", "5"),
        ("5 ✓", "5"),
        ("€7", "7"),
        ("-£7", "-7"),
        ("7 €", "7"),
        ("¥1,000", "1,000"),
        ("Rs. 7", "7"),
        ("USD 7", "7"),
        ("7 USD", "7"),
        ("US$7", "$7"),
        (r"\text{Rs. }7", "7"),
        (r"\text{\$}7", "7"),
        (r"\pounds 7", "7"),
        ("2 2/3 cups", "8/3 cups"),
        ("x=7", "x=7"),
        (r"\{1, 2\}", r"\{1, 2\}"),
        (r"\neq 4", r"\neq 4"),
        ("USDT", "USDT"),
        ("1/2 2/3", "1/2 2/3"),
    ],
)
def test_what_surrounds_an_answer(text, left):
    assert bare(text) == left


@pytest.mark.parametrize("gold", ["=7", r"\$7", "€7", "Rs. 7", r"\approx 7", r"\text{USD }7"])
def test_golds_may_be_surrounded_too(gold):
    assert right(r"\boxed{7}", gold)
    assert not right(r"\boxed{8}", gold)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"-\boxed{256}", "-256"),
        (r"$x = -\boxed{256}$", "-256"),
        (r"x = - \boxed{256}", "-256"),
        (r"$$-\boxed{3}$$", "-3"),
        (r"\[ - \boxed{x+1} \]", "-(x+1)"),
        (r"thus $ - \boxed{3}$", "-3"),
        (r"The result is -\boxed{3}.", "-3"),
        (r"= -\$\boxed{3}", "-3"),
        ("$\u2212\\boxed{3}$", "-3"),
        (r"+\boxed{5}", "5"),
        (r"$\pm\boxed{5}$", r"\pm 5"),
        (r"\boxed{3}, -\boxed{4}", "3,-4"),
        ("Answer:\n- \\boxed{256}", "256"),
        (r"So - \boxed{256}", "256"),
        (r"x - \boxed{3}", "3"),
        (r"$x-\boxed{3}=0$", "3"),
        (r"$\theta -\boxed{3}$", "3"),
        (r"$\frac{1}{2} - \boxed{3}$", "3"),
        (r"$x$ - \boxed{3}", "3"),
        (r"5\pm\boxed{3}", "3"),
    ],
)
def test_the_sign_before_a_box(text, found):
    assert find_answer(text) == (found, "box")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<think>so</think>\n<answer> 416 </answer>", "416"),
        (r"\boxed{3} <answer>416</answer>", "416"),
        (r"<answer>3</answer> \boxed{416}", "416"),
        (r"<answer>so \boxed{416}.</answer>", "416"),
        ("<answer>1</answer><answer>416</answer> and 3", "416"),
        ("<answer>The answer is 416.</answer>", "416"),
        (r"<answer>5 \text{ cm}</answer>", r"5 \text{ cm}"),
        ("<answer></answer> The answer is 3", "3"),
        (r"<think>maybe \boxed{3}</think> The answer is 5.", "5"),
        (r"<think>maybe \boxed{3}</think> So 5.", "So 5."),
        (r"maybe \boxed{3}</think> \boxed{5}", "5"),
        (r"<thinking>\boxed{3}</thinking> The answer is 5", "5"),
        (r"\boxed{5} <think>or \boxed{3}</think> done", "5"),
        (r"\boxed{5} <think>or \boxed{3}", "5"),
        (r"<think>\boxed{3}</think> I hope this helps.", "3"),
        (r"<think>\boxed{3}</think>", "3"),
    ],
)
def test_answer_tags_and_thinking(text, found):
    assert find_answer(text).text == found


@pytest.mark.parametrize(
    "text", [r"<think>so \boxed{3}", "<think>The answer is 3. Wait", "<think>3"]
)
def test_thinking_that_was_cut_off_holds_no_answer(text):
    assert verify_math(text, "3").status is Status.NO_ANSWER


def test_only_a_bare_answer_tag_counts_as_a_box():
    assert verify_math("<answer>7</answer>", "7", extraction="box").correct
    unboxed = verify_math("<answer>The answer is 7</answer>", "7", extraction="box")
    assert unboxed.status is Status.NO_ANSWER


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("The answer is 2 2/3 cups.", r"\frac83"),
        ("It takes 2 2/3 cups", "8/3"),
        ("The answer is 3 or 4", "3 or 4"),
        ("The answer is 3 or 4", r"\{3,4\}"),
        ("The answer is either 3 or maybe 4.", "3,4"),
        ("The answer is $3$ or $4$.", "3,4"),
        ("It is 3 or 4", "3,4"),
        ("x = 3 or x = 4", "3,4"),
        ("The answer is 1, 2, and 3.", "1,2,3"),
        ("The answer is not 4 but 5", "5"),
        ("It is 5, not 4.", "5"),
        ("The answer is 5, since 3 + 2 = 5.", "5"),
        ("The answer is 18 eggs, 3 a day", "18"),
        ("The answer is 5. But 3 or 4 came close.", "5"),
        (r"The answer is $3! \times 5! = 720$.", "720"),
        ("The answer is 2x+3", "2x+3"),
        ("The answer is x < 4", "x<4"),
        ("The answer is (3, 4).", "(3,4)"),
        ("The answer is: $42", "42"),
        ("The answer is Rs. 500 only.", "500"),
        (r"The answer is $\approx 3.14$", "3.14"),
        (r"the greatest value of $\gcd(n + 7, 2n + 1)$ is $13$.", "13"),
    ],
)
def test_what_a_sentence_says(text, gold):
    assert right(text, gold)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("The answer is 2 2/3 cups.", "2"),
        ("It takes 2 2/3 cups", "2/3"),
        *[
            (text, gold)
            for gold in ("3", "4")
            for text in (
                "The answer is 3 or 4",
                "The answer is $3$ or $4$",
                r"\boxed{3 \text{ or } 4}",
                "It is 3 or 4.",
                "It could be 3, or it could be 4.",
                "The answer is 3 dogs or 4 cats.",
                "The answer is 3, 4",
                "The answer is neither 3 nor 4.",
                "The answer is between 3 and 4.",
                "It ranges from 3 to 4.",
            )
        ],
        ("The answer is not 4", "4"),
        ("It is definitely not equal to 4.", "4"),
        ("so the answer isn't 4", "4"),
        ("The answer cannot be 4", "4"),
        ("The answer is anything but $4$", "4"),
        ("4 is wrong.", "4"),
        ("The answer is less than 4", "4"),
        ("x < 4", "4"),
        (r"\boxed{\neq 4}", "4"),
        ("It is 5, not 4.", "4"),
        ("The answer is 2x+3", "2"),
        ("The answer is (3, 4)", "4"),
    ],
)
def test_what_a_sentence_does_not_say(text, gold):
    assert not right(text, gold)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("7", "7"),
        ("7.", "7"),
        ("**7**", "7"),
        ("Total: **7**", "7"),
        ("So 3 + 4 = 7", "7"),
        ("So she has 7 apples", "7"),
        ("She pays $18.", "18"),
        ("Hence\n\\[\nx = 5\n\\]", "5"),
        ("1. Add 3 and 4.\n2. The total is 7.", "7"),
        ("She has 7 apples.\nI hope this helps!", "7"),
        ("```python\nprint(3 + 4)\n```\nThe output is 7.", "7"),
        ("We get 1,000,000,000,000.", "1000000000000"),
    ],
)
def test_texts_that_end_in_a_statement_are_trusted(text, gold):
    assert right(text, gold)


@pytest.mark.parametrize(
    "text",
    [
        # code
        "```python\nx = 7\nprint(x)\n```",
        "```python\nx = 7",
        "def f(x):\n    return 7",
        "print(7)",
        "x == 7",
        "a[7]",
        # lists
        "5\n6\n7",
        "5, 6, 7",
        "The primes are 2, 3, 5, 7.",
        "- 6\n- 7",
        "5. Apples\n6. Pears\n7.",
        "6. Apples\n7. Plums",
        "Done.\n\n### Step 7",
        "Done.\nQuestion 7: what now?",
        "| a | 5 |\n|---|---|\n| b | 7 |",
        # repetitions
        "7 7 7 7 7 7",
        "so 7. so 7. so 7. so 7. so 7",
        "The value is 7.\n" * 5,
        # cut off
        "We compute 7 +",
        "We compute 4 + 3 =",
        "so the total is 7,",
        "She has 7 apples. Therefore, the",
        "She has 7 apples.\nTherefore, she",
        "then 12 and so another 7",
        "the total $x = 7",
        r"so \frac{7}{",
        r"so \(x = 7",
        "<answer>7",
    ],
)
def test_texts_that_end_otherwise_are_not(text):
    assert not right(text, "7")


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "<answer>1",
        r"- \boxed{1}",
        "$1 ",
        "1, ",
        "1 or ",
        "not ",
        "1 1/",
        r"\(",
        "1\n",
    ],
)
@pytest.mark.parametrize("before", ["", "The answer is ", "<answer>"])
def test_time_grows_with_the_length_only(before, piece):
    start = time.perf_counter()
    read_answer(before + piece * (60_000 // len(piece)) + "</answer>" * bool(before))
    assert time.perf_counter() - start < 2  # measured: below 0.1 s; a quadratic rule takes minutes
