"""Reading expressions, their values at points, and sets of real numbers."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.verify.math_interval import RealInterval, difference, intersection, line, union
from polypath.verify.math_latex import Unread, read
from polypath.verify.math_leaf import _readers
from polypath.verify.math_value import Opaque, agree, number_of

pytest.importorskip("math_verify")
sympy = pytest.importorskip("sympy")

READ = [
    r"\frac{1}{2}x^{2}-3x+\sqrt{2}",
    r"1/2x",
    r"-x^2+2\cdot 3",
    r"\sqrt[3]{x+1}",
    r"2\frac{1}{3}",
    r"\sin^{2}x+\cos x",
    r"\sin^{-1} x",
    r"\ln|x-2|",
    r"\log_{2} 8+\log 100",
    r"e^{-2t}\cos(3t)",
    r"\frac{x!}{y}",
    r"\binom{n}{2}",
    r"\frac{\frac{1}{x}}{1+\frac{1}{y}}",
    r"(a+b)^{2}",
    r"x_{1}+x_{2}",
    r"\alpha\beta^{2}",
    r"|x|-|y|",
    r"2(x+1)-[x-1]",
]


@pytest.mark.parametrize("text", READ)
def test_what_is_read_here_is_what_the_library_reads(text):
    normal, _, full = _readers()
    assert agree(read(text), full(is_real=True).parse(normal(text)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x+",
        "(x",
        r"\frac{1}{0}",
        r"\int x dx",
        "x^12",
        "3 4",
        r"\foo{x}",
        "a=b",
        r"\sin",
        "10^{99999}",
    ],
)
def test_what_is_not_sure_is_left_to_the_library(text):
    with pytest.raises(Unread):
        read(text)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (r"\sqrt{x^2}", "x", False),
        (r"\sqrt{x^2}", "|x|", True),
        (r"\sqrt{x}\sqrt{y}", r"\sqrt{xy}", True),
        (r"\sqrt[3]{x^2}", "x^{2/3}", True),
        (r"\frac{x^2-1}{x-1}", "x+1", True),
        (r"(-1)^{n+1}", r"-(-1)^{n}", True),
        (r"(-1)^{n}", "1", False),
        ("A+a", "2a", False),
        ("A", "a", True),
        (r"e^{i x}", r"\cos x+i\sin x", True),
        ("3i+4j", "3i-4j", False),
        (r"\sqrt{-x^{2}-1}", r"i\sqrt{x^{2}+1}", True),
        (r"1+10^{-30}", "1", False),
    ],
)
def test_expressions_agree_where_both_are_defined(left, right, same):
    assert agree(read(left), read(right)) is same


def test_an_open_integral_has_no_value():
    with pytest.raises(Opaque):
        agree(sympy.Integral(sympy.Symbol("x")), read("x"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2^{10}", 1024),
        (r"\frac{3}{4}-\frac{1}{2}", Fraction(1, 4)),
        (r"\sqrt{16}", 4),
        ("x", None),
    ],
)
def test_numbers_of_expressions(text, value):
    assert number_of(read(text)) == value


ENDS = st.integers(-4, 4).map(Fraction)
SETS = st.lists(
    st.tuples(ENDS, ENDS, st.booleans(), st.booleans())
    .filter(lambda part: part[0] < part[1] or (part[0] == part[1] and part[2] and part[3]))
    .map(lambda part: RealInterval(*part)),
    max_size=4,
)
POINTS = [Fraction(number, 2) for number in range(-10, 11)]


def members(parts):
    return {
        point
        for point in POINTS
        for low, high, low_closed, high_closed in parts
        if low < point < high or (point == low and low_closed) or (point == high and high_closed)
    }


@given(SETS, SETS)
def test_sets_of_real_numbers(left, right):
    assert members(union([left, right])) == members(left) | members(right)
    assert members(intersection(left, right)) == members(left) & members(right)
    assert members(difference(left, right)) == members(left) - members(right)
    assert members(difference(line(), left)) == set(POINTS) - members(left)
    # Equal sets are written in one way.
    assert union([left, right]) == union([right, left]) == union([union([left, right])])
