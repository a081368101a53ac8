import itertools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypath.verify.sql_compare import (
    QueryResult,
    column_overlap,
    has_order_by,
    rounded,
    same_result,
)


def table(*rows, width=None):
    return QueryResult(width=len(rows[0]) if width is None else width, rows=list(rows))


def same(compare, gold, answer, ordered=False):
    return same_result(gold, answer, compare, ordered=ordered)


A = table((1, "a"), (2, "b"), (2, "b"))


@pytest.mark.parametrize(
    ("answer", "bird", "spider", "strict"),
    [
        (table((1, "a"), (2, "b"), (2, "b")), True, True, True),
        (table((2, "b"), (1, "a"), (2, "b")), True, True, True),
        (table((1, "a"), (2, "b")), True, False, False),
        (table((1, "a"), (1, "a"), (2, "b")), True, False, False),
        (table(("a", 1), ("b", 2), ("b", 2)), False, True, False),
        (table((1.0, "a"), (2, "b"), (2, "b")), True, True, True),
        (table((1, "A"), (2, "b"), (2, "b")), False, False, False),
        (table(("1", "a"), (2, "b"), (2, "b")), False, False, False),
        (table((1, b"a"), (2, "b"), (2, "b")), False, False, False),
        (table((1, "a", 0), (2, "b", 0), (2, "b", 0)), False, False, False),
        (table(width=2), False, False, False),
    ],
)
def test_the_three_rules_without_order(answer, bird, spider, strict):
    assert [same(rule, A, answer) for rule in ("bird", "spider", "strict")] == [
        bird,
        spider,
        strict,
    ]


@pytest.mark.parametrize("rule", ["spider", "strict"])
def test_order_counts_where_it_is_asked_for(rule):
    backwards = table(*A.rows[::-1])
    assert same(rule, A, backwards)
    assert not same(rule, A, backwards, ordered=True)
    assert same("bird", A, backwards, ordered=True)


def test_columns_may_change_places_under_spider_with_order_too():
    swapped = table(*[row[::-1] for row in A.rows])
    assert same("spider", A, swapped, ordered=True)
    assert not same("spider", A, table(*swapped.rows[::-1]), ordered=True)


def test_empty_results_of_different_width():
    assert same("spider", table(width=1), table(width=2))
    assert same("bird", table(width=1), table(width=2))
    assert not same("strict", table(width=1), table(width=2))


def test_null_equals_null_and_nothing_else():
    assert same("strict", table((None,)), table((None,)))
    assert not any(same("bird", table((None,)), table((value,))) for value in (0, "", "None"))


def test_equal_columns_that_belong_to_different_rows():
    # Each column holds 0, 0, 1, 1 in both; only the rows tell them apart.
    gold = table((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))
    assert not same("spider", gold, table((0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)))
    assert same("spider", gold, table((1, 0, 1), (0, 0, 0), (1, 1, 0), (0, 1, 1)))


@given(st.data())
def test_column_matching_agrees_with_trying_every_permutation(data):
    width = data.draw(st.integers(1, 4))
    row = st.tuples(*[st.sampled_from([0, 1, None, "a"])] * width)
    gold = data.draw(st.lists(row, min_size=1, max_size=5))
    if data.draw(st.booleans()):
        order = data.draw(st.permutations(range(width)))
        answer = [tuple(r[i] for i in order) for r in data.draw(st.permutations(gold))]
    else:
        answer = data.draw(st.lists(row, min_size=len(gold), max_size=len(gold)))
    for ordered in (False, True):
        wanted = gold if ordered else sorted(gold, key=repr)
        tried = (
            [tuple(r[i] for i in order) for r in answer]
            for order in itertools.permutations(range(width))
        )
        expected = any((rows if ordered else sorted(rows, key=repr)) == wanted for rows in tried)
        assert same("spider", table(*gold), table(*answer), ordered=ordered) == expected


def test_many_alike_columns_do_not_take_forever():
    draw = random.Random(0)
    rows = [tuple(draw.randrange(2) for _ in range(30)) for _ in range(400)]
    columns = [*zip(*rows, strict=True)]
    # Give all columns one content: as many ones everywhere, in different rows.
    columns = [tuple(draw.sample([0] * 200 + [1] * 200, 400)) for _ in columns]
    gold = table(*zip(*columns, strict=True))
    other = [tuple(draw.sample([0] * 200 + [1] * 200, 400)) for _ in columns]
    start = time.monotonic()
    assert not same("spider", gold, table(*zip(*other, strict=True)))
    draw.shuffle(columns)
    assert same("spider", gold, table(*zip(*columns, strict=True)))
    assert time.monotonic() - start < 3.0


def test_floats_agree_in_twelve_digits():
    assert rounded(0.1 + 0.2) == 0.3
    assert rounded(1e300 * 3) == 3e300
    assert rounded(1 / 3) != rounded(1 / 3 + 1e-9)
    assert rounded(float("inf")) == float("inf")


def test_order_by_is_seen_in_any_white_space_and_not_in_a_name():
    assert has_order_by("SELECT a FROM t ORDER\n  BY a")
    assert not has_order_by("SELECT border_by FROM reorder bypass")


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        (table((1,), (2,)), 1 / 2),
        (table((1, "x"), (2, "y")), 1 / 4),
        (table((1, "a", 7), (2, "b", 7)), 4 / 6),
        (table(("b", 2), ("a", 1)), 1.0),
        (table((3,)), 0.0),
        (table(width=3), 0.0),
    ],
)
def test_column_overlap_is_matched_columns_squared_over_both_widths(answer, share):
    assert column_overlap(A, answer) == pytest.approx(share)


def test_one_column_matches_one_column():
    # The scorer it comes from would count both gold columns: 2 * 2 / (2 * 1) = 2.
    assert column_overlap(table((1, 1)), table((1,))) == 0.5
