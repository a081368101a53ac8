import hashlib
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypath.errors import ConfigError, DataError
from polypath.tasks import TASKS, Problem, get_task
from polypath.tasks.countdown import (
    PARTS,
    _expressions,
    make_problem,
    part_of,
    solutions,
    solvable_targets,
)
from polypath.verify.countdown import parse_gold

TASK = get_task("countdown")


def brute_force_values(numbers, *, all_used=False):
    """Values of every expression: repeatedly merge any two of a list (and stop anywhere)."""
    found, seen = set(), set()

    def search(values):
        if values in seen:
            return
        seen.add(values)
        if not all_used or len(values) == 1:
            found.update(values)
        for i, j in permutations(range(len(values)), 2):
            rest = [v for k, v in enumerate(values) if k not in (i, j)]
            a, b = values[i], values[j]
            for result in (a + b, a - b, a * b, *([a / b] if b else [])):
                search(tuple(sorted([*rest, result])))

    search(tuple(sorted(map(Fraction, numbers))))
    return found


def test_registry_builds_the_task_under_its_own_name():
    assert all(get_task(name).name == name for name in TASKS)
    with pytest.raises(ConfigError, match="'countdown'"):
        get_task("countdwn")


def test_splits_have_hundreds_of_problems_and_share_none():
    sizes = {split: len(TASK.problems(split)) for split in TASK.splits}
    assert set(sizes) == {*PARTS, "test_3numbers", "test_large", "test_more", "test_shown"}
    assert min(sizes.values()) > 300
    splits = [split for split in TASK.splits if split != "test_shown"]
    ids = [problem.problem_id for split in splits for problem in TASK.problems(split)]
    assert len(ids) == len(set(ids))


def test_the_larger_splits_hold_what_training_and_choices_do_not():
    used = {p.problem_id for split in ("train", "dev", "test") for p in TASK.problems(split)}
    more, shown = TASK.problems("test_more"), TASK.problems("test_shown")
    assert used.isdisjoint(p.problem_id for p in (*more, *shown))
    assert {p.problem_id for p in shown} < {p.problem_id for p in TASK.problems("base")}
    assert (len(more), len(shown)) == (
        2719,
        4449,
    )  # docs/tasks.md says which differences these decide
    assert min(len(solutions(problem)) for problem in shown[:200]) >= 3
    easy = [p for p in more if p.extra["target"] < 50 and len(solutions(p)) >= 3]
    assert not easy  # those are the domain's


@pytest.mark.parametrize(
    ("split", "count", "low", "high"),
    [
        ("train", 4, 10, 49),
        ("dev", 4, 10, 49),
        ("test", 4, 10, 49),
        ("test_3numbers", 3, 10, 49),
        ("test_large", 4, 60, 99),
        ("test_more", 4, 10, 59),
    ],
)
def test_split_holds_the_problems_it_promises(split, count, low, high):
    for problem in TASK.problems(split):
        target, numbers = parse_gold(problem.gold)
        assert len(numbers) == count
        assert low <= target <= high
        assert all(1 <= n <= 9 for n in numbers)
        assert part_of(target, numbers) != "base"
        assert problem.prompt == f"{problem.gold} :"
        assert problem.extra == {"target": target, "numbers": list(numbers)}


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_problems_of_the_domain_have_three_solutions_or_more(split):
    assert min(len(solutions(problem)) for problem in TASK.problems(split)) >= 3


def test_parts_have_their_shares_of_the_domain():
    sizes = {part: len(TASK.problems(part)) for part in ("train", "dev", "test")}
    total = sum(sizes.values())
    for part, size in sizes.items():
        assert size / total == pytest.approx(PARTS[part] / 30, abs=0.03)


def test_problems_are_the_same_on_every_machine_and_in_every_run():
    def digest(splits):
        ids = "\n".join(p.problem_id for split in splits for p in TASK.problems(split))
        return hashlib.sha256(ids.encode()).hexdigest()[:16]

    # Published numbers refer to these problems: changing a digest breaks comparability.
    first = (*PARTS, "test_3numbers", "test_large")
    assert digest(first) == "15965082b9466c6d"
    assert digest(["test_more", "test_shown"]) == "029970465f85d7e3"


def test_limit_takes_a_prefix_and_the_prefix_mixes_targets():
    everything = TASK.problems("test")
    assert TASK.problems("test", 50) == everything[:50]
    assert TASK.problems("test", 0) == ()
    assert len(TASK.problems("test", 10**6)) == len(everything)
    targets = [p.extra["target"] for p in everything[:50]]
    assert len(set(targets)) > 15
    assert targets != sorted(targets)


def test_bad_requests_are_refused_with_the_fix():
    with pytest.raises(ConfigError, match="'test_large'"):
        TASK.problems("test_larg")
    with pytest.raises(ConfigError, match="limit"):
        TASK.problems("test", -1)


def test_order_of_numbers_changes_neither_part_nor_problem():
    assert part_of(24, (9, 3, 7, 5)) == part_of(24, (3, 5, 7, 9))
    assert make_problem(24, (9, 3, 7, 5)) == make_problem(24, (3, 5, 7, 9))


@given(st.lists(st.integers(1, 9), min_size=3, max_size=4))
@settings(max_examples=15)
def test_solvable_targets_are_those_brute_force_reaches(numbers):
    values = brute_force_values(numbers)
    assert solvable_targets(tuple(numbers)) == {t for t in range(10, 100) if t in values}


@pytest.mark.parametrize("split", TASK.splits)
def test_every_listed_solution_is_right_and_is_its_own_normal_form(split):
    for problem in TASK.problems(split, 15):
        found = solutions(problem)
        assert found
        for solution in found:
            verdict = TASK.verify(solution, problem.gold)
            assert verdict.correct
            assert verdict.answer == solution


@given(st.data())
@settings(max_examples=150)
def test_a_right_answer_is_always_among_the_solutions(data):
    numbers = data.draw(
        st.permutations(data.draw(st.lists(st.integers(1, 9), min_size=4, max_size=4)))
    )
    values = [(Fraction(n), str(n)) for n in numbers[: data.draw(st.integers(2, 4))]]
    while len(values) > 1:
        (a, x), (b, y), *rest = data.draw(st.permutations(values))
        sign = data.draw(st.sampled_from("+-*/" if b else "+-*"))
        result = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else None}[sign]
        values = [*rest, (result, f"({x}{sign}{y})")]
    value, text = values[0]
    if value.denominator != 1 or value < 0:
        return
    problem = make_problem(int(value), tuple(numbers))
    assert TASK.verify(text, problem.gold).answer in solutions(problem)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_forms_of_unrelated_numbers_are_as_many_as_their_values(count):
    # Between numbers that share no accident, two expressions have one magnitude only if they are
    # one function up to sign: so forms neither merge nor split functions.
    numbers = (1009, 20011, 300007, 4000037)[:count]
    forms = _expressions(numbers)
    assert len({form.text for form in forms}) == len(forms)
    assert {form.magnitude for form in forms} == {
        abs(value) for value in brute_force_values(numbers, all_used=True)
    }
    assert len({form.magnitude for form in forms}) == len(forms)


def test_solutions_of_a_foreign_gold_are_an_error_that_shows_the_form():
    with pytest.raises(DataError, match="24 from 3 5 7 9"):
        solutions(Problem(problem_id="x", prompt="x", gold="24"))
