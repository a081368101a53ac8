"""What counts as an equation, and when two are the same."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.metrics import extract_equations, normalise_equation
from tests.metrics.texts import SOLUTIONS, real_solutions


@pytest.mark.parametrize(
    ("text", "equations"),
    [
        # calculator notes, not found again in the text around them
        ("He sold 48/2 = <<48/2=24>>24 clips.", ["48/2=24"]),
        # LaTeX spans
        (r"\(x = 1\) and \[ y = 2. \] and $$z=3$$ and $w=4$.", ["x=1", "y=2", "z=3", "w=4"]),
        (r"$ y = 2 $", ["y=2"]),
        (r"$x + 1$ is no equation, nor $x \le 2$ or $x \neq 3$", []),
        (r"$\sum_{i=1}^n i$ is none either", []),
        (r"\[a = b = c\]", ["a=b=c"]),
        (r"\begin{align*} x &= 2+3 \\ &= 5 \\[2pt] y &= 4 \end{align*}", ["x=2+3", "x=5", "y=4"]),
        (r"\[\begin{aligned} u &= 1 \\ v &= 2 \end{aligned}\]", ["u=1", "v=2"]),
        (
            r"$A = \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}$",
            [r"A=\begin{pmatrix}1,2;3,4\end{pmatrix}"],
        ),
        # plain text
        ("Then 3 x 4 = 12, and x = 5 + 3 = 8.", ["3*4=12", "x=5+3=8"]),
        ("(so 2*(3+4) = 14)", ["2*(3+4)=14"]),
        ("- 5 + 3 = 8\n* 1 + 1 = 2\n1) 2x + 1 = 7", ["5+3=8", "1+1=2", "2x+1=7"]),
        ("**5 + 3 = 8** - next", ["5+3=8"]),
        ("of all 5 3 + 4 = 7", ["3+4=7"]),
        ("total = 12, a = b, x <= 5, y == 6, z != 7", []),
        ("2 + 2\n= 4", []),
        # money is no formula
        ("costs $5 and 3 * $5 = $15 in all", ["3*5=15"]),
        ("from $5 * 3 = $15 to \\$20", ["5*3=15"]),
        # repeats are kept
        ("1+1=2 so 1 + 1 = 2", ["1+1=2", "1+1=2"]),
        ("", []),
    ],
)
def test_equations_found(text, equations):
    assert sorted(extract_equations(text)) == sorted(equations)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"x = \left( \dfrac{1}{2} \right)", r"x=(\frac12)".replace("12", "{1}{2}")),
        (r"2 \cdot 3 \times 4 = 24.", "2·3×4=24"),
        (r"6 \div 2 = 3,", "6÷2=3"),
        (r"\$1,000 + 5 = 1{,}005", "1000 + $5 = 1\\,005"),
        (r"x = \boxed{\frac{14}{3}}", r"x=\frac{14}{3}"),
        (r"\text{speed} = 5 \text{ m}", "speed = 5m"),
        ("x − 1 = 2", "x - 1 = 2"),
        ("2**3 = 8", "2^3=8"),
        (r"50\% = 0.5", "50% = 0.5"),
    ],
)
def test_equations_that_read_the_same_become_equal(one, other):
    assert normalise_equation(one) == normalise_equation(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("2+3=5", "3+2=5"), ("x=1", "X=1"), ("x=(1,20)", "x=120"), (r"\leftarrow=1", "arrow=1")],
)
def test_nothing_is_computed(one, other):
    assert normalise_equation(one) != normalise_equation(other)


@given(st.text(alphabet="ab x12=+-*$\\[](){}<>.,\n&%×", max_size=60))
def test_what_is_found_has_two_sides_and_normal_form(text):
    for equation in extract_equations(text):
        assert "=" in equation
        assert not equation.startswith("=")
        assert not equation.endswith("=")
        assert not any(character.isspace() for character in equation)


def test_solutions_share_equations_across_notations():
    found = [set(extract_equations(text)) for text in SOLUTIONS]
    assert found[0] == found[1] == {"48/2=24", "48+24=72"}
    assert found[2] == found[3] == found[4] == set()
    assert found[5] == {"48*1.5=72"}


def test_real_notes_are_all_found():
    for solution in real_solutions("gsm8k", 200):
        notes = [part.split(">>")[0] for part in solution.split("<<")[1:]]
        found = extract_equations(solution)
        assert {normalise_equation(note) for note in notes} <= set(found)


@pytest.mark.parametrize(
    "piece",
    [
        "\\[",
        "$",
        "$$a",
        "\\begin{align}",
        "<<",
        "(1=",
        "((",
        "1 ",
        "- ",
        "x=",
        "\\text{",
        "~=",
        "{",
    ],
)
def test_time_grows_with_the_length_only(piece):
    start = time.perf_counter()
    extract_equations(piece * 50_000 + "=1")
    extract_equations("$$" + piece * 50_000 + "=1$$")
    assert time.perf_counter() - start < 5  # measured: below 0.4 s; a quadratic rule takes minutes
