"""The Countdown task: small enough for a laptop, with many ways to be right.

A problem is a target and three or four numbers from 1 to 9 (with repeats), chosen from all solvable
ones. A stable hash of target and sorted numbers assigns every problem to one of four parts, so no
two parts share a problem:

    base 70 %    the shipped base model was trained on these, and on nothing else
    train 15 %   for reinforcement learning
    dev 5 %      for choices
    test 10 %    for results

The splits are views of these parts. ``train``, ``dev`` and ``test`` hold the *domain*: four numbers,
targets 10 to 49, and at least three different solutions, so that there is diversity to keep or
to lose. Two splits are out of domain for reinforcement learning, although the base model
has seen problems of their kind: ``test_3numbers`` (three numbers, targets 10 to 49) and
``test_large`` (four numbers, targets 60 to 99). They use all parts but ``base``, because training
uses no problems of their kind.

``test`` has 690 problems, too few to decide a difference of .01 in pass@1. Two splits are larger; they
share no problem with ``train``, ``dev`` and ``test``:

    test_more    four numbers, targets 10 to 59, from all parts but ``base``: the problems with fewer
                 solutions than the domain asks for, and all with targets 50 to 59. Harder than ``test``.
    test_shown   the domain, from the part ``base``. As hard as ``test``, and held out from
                 reinforcement learning, but the base model was shown answers to these problems.

docs/tasks.md says how well the base model solves each, and which differences each can decide.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations, combinations_with_replacement, product
from math import gcd
from typing import get_args

from polypath.errors import DataError
from polypath.tasks.base import EvaluationDefaults, Problem, check_split
from polypath.verify.base import Verdict
from polypath.verify.countdown import (
    Expression,
    Operator,
    format_gold,
    parse_gold,
    verify_countdown,
)

Numbers = tuple[int, ...]

TARGETS = range(10, 100)
DOMAIN_TARGETS = range(10, 50)
MORE_TARGETS = range(10, 60)
LARGE_TARGETS = range(60, 100)
DOMAIN_SOLUTIONS = 3  # fewest solutions of a problem in the domain
MAX_COMPLETION_TOKENS = 12  # 4 numbers, 3 operators, 2 pairs of brackets, end of text

# Share of the problems assigned to each part, in percent.
PARTS = {"base": 70, "train": 15, "dev": 5, "test": 10}
SPLITS = (*PARTS, "test_3numbers", "test_large", "test_more", "test_shown")


@lru_cache(maxsize=1 << 17)
def _digest(target: int, numbers: Numbers) -> bytes:
    return hashlib.sha256(f"countdown {format_gold(target, numbers)}".encode()).digest()


def part_of(target: int, numbers: Numbers) -> str:
    """Return the part (a key of ``PARTS``) of a problem; the order of the numbers does not matter."""
    draw = int.from_bytes(_digest(target, tuple(sorted(numbers)))[:8]) % 100
    for part, percent in PARTS.items():
        if draw < percent:
            return part
        draw -= percent
    raise AssertionError("PARTS must sum to 100")


def _subsets(numbers: Numbers) -> set[tuple[Numbers, Numbers]]:
    """Every way to divide sorted numbers into a non-empty choice and the rest."""
    cuts = set()
    for size in range(1, len(numbers) + 1):
        for chosen in combinations(range(len(numbers)), size):
            rest = tuple(n for i, n in enumerate(numbers) if i not in chosen)
            cuts.add((tuple(numbers[i] for i in chosen), rest))
    return cuts


@cache
def _values(numbers: Numbers) -> frozenset[tuple[int, int]]:
    """Return magnitudes (numerator, denominator in lowest terms) reachable with all the numbers."""
    if len(numbers) == 1:
        return frozenset({(numbers[0], 1)})
    found = set()
    for left, right in _subsets(numbers):
        if not right or left > right:  # the mirror image occurs as well
            continue
        for (a, b), (c, d) in product(_values(left), _values(right)):
            fractions = [(a * d + b * c, b * d), (abs(a * d - b * c), b * d), (a * c, b * d)]
            if c:
                fractions.append((a * d, b * c))
            if a:
                fractions.append((b * c, a * d))
            for top, bottom in fractions:
                common = gcd(top, bottom)
                found.add((top // common, bottom // common))
    return frozenset(found)


def solvable_targets(numbers: Numbers) -> set[int]:
    """Return the targets of ``TARGETS`` that some of the numbers, each used once, can make."""
    return {
        top
        for chosen, _ in _subsets(tuple(sorted(numbers)))
        for top, bottom in _values(chosen)
        if bottom == 1 and top in TARGETS
    }


def _in_domain(target: int, numbers: Numbers) -> bool:
    if len(numbers) != 4 or target not in DOMAIN_TARGETS:
        return False
    return len(_solutions(numbers, TARGETS).get(target, ())) >= DOMAIN_SOLUTIONS


def _in_split(split: str, target: int, numbers: Numbers) -> bool:
    part = part_of(target, numbers)
    if split == "base":
        return part == "base"
    if split == "test_shown":
        return part == "base" and _in_domain(target, numbers)
    if split == "test_3numbers":
        return part != "base" and len(numbers) == 3 and target in DOMAIN_TARGETS
    if split == "test_large":
        return part != "base" and len(numbers) == 4 and target in LARGE_TARGETS
    if split == "test_more":
        fits = part != "base" and len(numbers) == 4 and target in MORE_TARGETS
        return fits and not _in_domain(target, numbers)
    return part == split and _in_domain(target, numbers)


@cache
def _universe() -> tuple[tuple[int, Numbers], ...]:
    """Every solvable problem, in an order fixed by the hash, so that a prefix is a random sample."""
    pairs = [
        (target, numbers)
        for size in (3, 4)
        for numbers in combinations_with_replacement(range(1, 10), size)
        for target in solvable_targets(numbers)
    ]
    return tuple(sorted(pairs, key=lambda pair: _digest(*pair)[8:]))


def make_problem(target: int, numbers: Numbers) -> Problem:
    """Write a problem. Its prompt has a token for each number and sign, as in ``24 from 3 5 9 :``.

    The numbers are sorted, so that a problem has one prompt.
    """
    numbers = tuple(sorted(numbers))
    gold = format_gold(target, numbers)
    return Problem(
        problem_id=gold.replace(" ", "-"),
        prompt=f"{gold} :",
        gold=gold,
        extra={"target": target, "numbers": list(numbers)},
    )


@cache
def _problems(split: str) -> tuple[Problem, ...]:
    return tuple(make_problem(*pair) for pair in _universe() if _in_split(split, *pair))


EVALUATION = EvaluationDefaults(num_samples=64, max_completion_length=MAX_COMPLETION_TOKENS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Countdown:
    """The task of this module's docstring; see ``polypath.tasks.base.Task`` for the interface."""

    name: str = "countdown"
    splits: tuple[str, ...] = SPLITS
    max_completion_length: int = MAX_COMPLETION_TOKENS
    evaluation: EvaluationDefaults = EVALUATION

    @property
    def options(self) -> Mapping[str, str]:
        """Empty: there is only one Countdown."""
        return {}

    def problems(self, split: str, limit: int | None = None) -> tuple[Problem, ...]:
        """Return the first ``limit`` problems of a split; the fixed order is a random one.

        Raises:
            ConfigError: the split is unknown or the limit negative.
        """
        check_split(self.name, self.splits, split, limit)
        return _problems(split)[:limit]

    def verify(self, completion: str, gold: str) -> Verdict:
        """Verify one completion with ``verify_countdown``."""
        return verify_countdown(completion, gold)

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions, each against its own gold."""
        return [verify_countdown(c, g) for c, g in zip(completions, golds, strict=True)]


@cache
def _expressions(numbers: Numbers) -> tuple[Expression, ...]:
    """Every form of non-negative value that uses all the numbers."""
    if len(numbers) == 1:
        return (Expression.number(numbers[0]),)
    found: dict[str, Expression] = {}
    for left, right in _subsets(numbers):
        if not right:
            continue
        for a, b in product(_expressions(left), _expressions(right)):
            for operator in get_args(Operator):
                result = a.combine(operator, b)
                # The normal form moves signs outwards, so no form needs a negative part.
                if result is not None and not result.negative:
                    found[result.text] = result
    return tuple(found.values())


def _landing(a: Expression, b: Expression) -> Iterator[tuple[Operator, int]]:
    """Yield the operators that lead from a and b to an integer of at least 0, and that integer."""
    (top, bottom), (c, d) = a.magnitude.as_integer_ratio(), b.magnitude.as_integer_ratio()
    values: list[tuple[Operator, int, int]] = [
        ("+", top * d + c * bottom, bottom * d),
        ("-", top * d - c * bottom, bottom * d),
        ("*", top * c, bottom * d),
        ("/", top * d, bottom * c),
    ]
    for operator, numerator, denominator in values:
        if denominator and numerator >= 0 and numerator % denominator == 0:
            yield operator, numerator // denominator


@cache
def _solutions(numbers: Numbers, targets: range) -> dict[int, set[str]]:
    """Return the canonical solutions of each target, over any of the sorted numbers.

    Expressions of all numbers are written out only if they give a target: a fraction of the work
    of ``_expressions``.
    """
    found: dict[int, set[str]] = {}
    for left, right in _subsets(numbers):
        if not right and len(numbers) > 1:
            continue
        for a in _expressions(left):
            if a.magnitude in targets:
                found.setdefault(int(a.magnitude), set()).add(a.text)
            for b in _expressions(right) if right else ():
                for operator, value in _landing(a, b):
                    if value in targets:
                        result = a.combine(operator, b)
                        assert result is not None  # _landing does not divide by zero
                        found.setdefault(value, set()).add(result.text)
    return found


def solutions(problem: Problem) -> set[str]:
    """Return every canonical solution of a problem, by exhaustive search.

    A model has found everything if the answers of its correct completions are this set.
    It is fast for up to four numbers; five take seconds.

    Raises:
        DataError: the problem's gold is not a Countdown gold.
    """
    parsed = parse_gold(problem.gold)
    if parsed is None:
        raise DataError(f"gold is {problem.gold!r}; expected a text such as '24 from 3 5 7 9'.")
    target, numbers = parsed
    targets = TARGETS if target in TARGETS else range(target, target + 1)
    return set(_solutions(tuple(sorted(numbers)), targets).get(target, ()))
