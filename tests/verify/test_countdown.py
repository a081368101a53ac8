import ast
import operator
import random
import time
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypath.verify import Status, verify_countdown
from polypath.verify.countdown import format_gold, parse_expression, parse_gold

GOLD = "24 from 3 5 7 9"
FUNCTIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}

# A tree is a number or (operator, left, right).
numbers = st.integers(0, 12)
trees = st.recursive(
    numbers, lambda child: st.tuples(st.sampled_from("+-*/"), child, child), max_leaves=7
)


def spell(tree, rng):
    """Write a tree with every bracket, some doubled, and random spaces."""
    if isinstance(tree, int):
        return str(tree)
    space = " " * rng.randrange(2)
    text = f"({spell(tree[1], rng)}{space}{tree[0]}{space}{spell(tree[2], rng)})"
    return f"({text})" if rng.random() < 0.1 else text


def value_of(tree):
    if isinstance(tree, int):
        return Fraction(tree)
    left, right = value_of(tree[1]), value_of(tree[2])
    if left is None or right is None or (tree[0] == "/" and right == 0):
        return None
    return FUNCTIONS[tree[0]](left, right)


def python_value(text):
    """Evaluate with Python's own grammar: independent of the parser under test."""
    kinds = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}

    def walk(node):
        if isinstance(node, ast.Constant):
            return Fraction(node.value)
        return FUNCTIONS[kinds[type(node.op)]](walk(node.left), walk(node.right))

    return walk(ast.parse(text.strip(), mode="eval").body)


def rewrite(tree, rng):
    """Apply random identities of the documented list, everywhere in the tree."""
    if isinstance(tree, int):
        return tree
    sign, left, right = tree[0], rewrite(tree[1], rng), rewrite(tree[2], rng)
    down, group = ("-", "+-") if sign in "+-" else ("/", "*/")
    if sign in "+*" and rng.random() < 0.5:
        left, right = right, left
    if not isinstance(right, int) and right[0] in group and rng.random() < 0.5:
        # a + (b - c) = (a + b) - c; a - (b - c) = (a - b) + c; the same for * and /
        inner = right[0]
        if sign == down:
            inner = group[0] if inner == down else down
        return (inner, (sign, left, right[1]), right[2])
    if not isinstance(left, int) and left[0] in group and rng.random() < 0.5:
        # (a . b) . c = (a . c) . b, each operand keeping its sign
        return (left[0], (sign, left[1], right), left[2])
    return (sign, left, right)


def form(text):
    return verify_countdown(text, GOLD).answer


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("9 * 5 - 3 * 7", "5*9-3*7"),
        (" (((5))*9)-(7*3)\n", "5*9-3*7"),
        ("7+3+5+9", "3+5+7+9"),
        ("24", "24"),
    ],
)
def test_answer_is_the_normal_form_of_the_whole_completion(completion, answer):
    assert verify_countdown(completion, GOLD).answer == answer


def test_right_answer_gets_reward_one():
    verdict = verify_countdown("7+3+5+9", GOLD)
    assert (verdict.status, verdict.reward, verdict.correct) == (Status.GRADED, 1.0, True)
    assert verify_countdown("3 + 3 * 7", "24 from 3 3 7").correct


def test_exact_division_is_not_rounded():
    assert verify_countdown("8 / (3 - 8 / 3)", "24 from 3 3 8 8").correct
    assert not verify_countdown("7 * 7 / 2", "24 from 2 7 7").correct


@pytest.mark.parametrize(
    "completion",
    ["3*9-3", "9*5-3*7-24+24", "3+5+7", "24", "4*6", "(5-9)*3", "3*5+9*1"],
    ids=["reused", "not given", "wrong value", "the target", "not given", "negative", "extra"],
)
def test_wrong_expression_is_graded_zero_and_keeps_its_form(completion):
    verdict = verify_countdown(completion, GOLD)
    assert (verdict.status, verdict.reward, verdict.correct) == (Status.GRADED, 0.0, False)
    assert verdict.answer is not None


@pytest.mark.parametrize(
    "completion",
    [
        *["", " ", "()", "3+", "+3", "-3+27", "3 5", "(3+5", "3+5)", ")3(", "3(5)", "(3)5"],
        *["3.0*8", "24 = 3*8", "3*8=24", "answer: 3*8", "3**8", "3//1", "3×8", "٣*٨"],
        *["3\u00a0* 8", "\x00", "5/(3-3)", "0/0", "1234567890", "\ud800"],
    ],
)
def test_text_that_is_not_one_expression_with_a_value_is_no_answer(completion):
    verdict = verify_countdown(completion, GOLD)
    assert (verdict.status, verdict.reward, verdict.answer) == (Status.NO_ANSWER, 0.0, None)


@pytest.mark.parametrize(
    "gold", ["", "24", "24 from", "24 from ", "24 from 3, 5", "x from 3", "24 from 3 ", "-1 from 3"]
)
def test_unreadable_gold_is_reported_whatever_the_completion(gold):
    assert verify_countdown("3*8", gold).status is Status.BAD_GOLD
    assert verify_countdown("???", gold).status is Status.BAD_GOLD


def test_gold_is_read_back_as_written():
    assert parse_gold(format_gold(24, (3, 5, 7, 9))) == (24, (3, 5, 7, 9))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3+5-7", "3-7+5"),
        ("9-(7-5)", "9+5-7"),
        ("9/(3/5)", "9*5/3"),
        ("9/(3*5)", "9/5/3"),
        ("3*(7-5)", "(7-5)*3"),
        ("9-(5-7)*3", "9+(7-5)*3"),
        ("(3-5)*(7-9)", "(5-3)*(9-7)"),
        ("9-3*(5-(7-2))", "9-3*(5+2-7)"),
        ("3-1-2", "1+2-3"),
        ("(3-3)*(5-9)", "(9-5)*(3-3)"),
    ],
)
def test_documented_identities_are_folded(one, other):
    assert form(one) == form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3-5", "5-3"),
        ("3/5", "5/3"),
        ("3*(5+7)", "3*5+3*7"),
        ("3*1", "3/1"),
        ("3*1", "3"),
        ("2+2", "2*2"),
        ("9-(7-5)", "9-7-5"),
        ("9/(3/5)", "9/3/5"),
        ("2*3+4", "2*(3+4)"),
    ],
)
def test_everything_else_stays_apart(one, other):
    assert form(one) != form(other)


@given(trees, st.integers())
def test_parsed_value_and_numbers_are_those_of_the_tree(tree, seed):
    text = spell(tree, random.Random(seed))
    parsed, expected = parse_expression(text), value_of(tree)
    if expected is None:
        assert parsed is None
        return
    assert parsed is not None
    expression, used = parsed
    assert expression.value == expected == python_value(text)
    assert sorted(used) == sorted(int(n) for n in text.translate(SIGNS_TO_SPACES).split())


SIGNS_TO_SPACES = str.maketrans("+-*/()", "      ")


@given(trees, st.integers())
def test_form_survives_any_commuting_and_rebracketing(tree, seed):
    rng = random.Random(seed)
    changed = tree
    for _ in range(5):
        changed = rewrite(changed, rng)
    # a / (b / c) = a * c / b can lose a division by zero (c = 0), but none can appear.
    if value_of(tree) is not None:
        assert value_of(changed) == value_of(tree)
        assert form(spell(changed, rng)) == form(spell(tree, rng))


@given(trees)
def test_form_is_itself_an_expression_of_the_same_form_and_value(tree):
    parsed = parse_expression(spell(tree, random.Random(0)))
    if parsed is None:
        return
    expression, used = parsed
    again = parse_expression(expression.text)
    assert again is not None
    assert again[0].text == expression.text
    assert again[0].value == expression.magnitude == abs(expression.value)
    assert sorted(again[1]) == sorted(used)


@given(trees, st.lists(numbers, min_size=1, max_size=8), st.integers(0, 40))
def test_reward_agrees_with_a_plain_evaluation(tree, given_numbers, target):
    text = spell(tree, random.Random(1))
    used = Counter(int(n) for n in text.translate(SIGNS_TO_SPACES).split())
    right = value_of(tree) == target and all(given_numbers.count(n) >= c for n, c in used.items())
    verdict = verify_countdown(text, format_gold(target, tuple(given_numbers)))
    assert verdict.correct == right


@given(st.one_of(st.text(), st.text(alphabet="0123456789+-*/() ٣²①\n")))
@settings(max_examples=100)
def test_no_text_raises(text):
    assert verify_countdown(text, GOLD).reward in (0.0, 1.0)
    assert verify_countdown("3*8", text).status in (Status.GRADED, Status.BAD_GOLD)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 10**6,
        "(" * 10**6,
        "(" * 5 * 10**5 + "9" + ")" * 5 * 10**5,
        "9*" * 5 * 10**5 + "9",
        "9/(" * 3 * 10**5,
        " " * 10**6,
        "9" + " " * 10**6 + "+",
        "9 " * 5 * 10**5,
        "\ud800" * 10**6,
    ],
    ids=lambda text: ascii(text[:4]),
)
def test_a_megabyte_is_refused_at_once(text):
    start = time.perf_counter()
    assert verify_countdown(text, GOLD).status is Status.NO_ANSWER
    assert time.perf_counter() - start < 0.5


def test_brackets_and_chains_within_the_token_bound_are_read():
    assert form("(" * 60 + "9" + ")" * 60) == "9"
    assert verify_countdown("+".join("1" * 31), format_gold(31, (1,) * 31)).correct
