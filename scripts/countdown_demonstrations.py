"""The demonstrations that the base model of Countdown was trained on.

A base model trained on right answers only would leave reinforcement learning little to do: cooling
its samples would raise pass@1 about as much. So part of the demonstrations show a *habit* instead,
one fixed answer for a problem and usually a wrong one. Cooling strengthens the habit; only rewards
tell it from the many right answers beneath.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from polypath.errors import ConfigError
from polypath.tasks.countdown import TARGETS, Numbers, make_problem, part_of

# Which operators a random demonstration draws from: additive ones a little more often.
OPERATORS = "++--**/"
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2}
_ATOM = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class DemonstrationConfig:
    """How demonstrations are drawn.

    Attributes:
        habit_share: share of demonstrations whose answer is the habit, in [0, 1].
        three_share: share of problems with three numbers instead of four, in [0, 1].
        spare_share: share of four-number problems whose right answer leaves one number out, in
            [0, 1].
    """

    habit_share: float = 0.4
    three_share: float = 0.2
    spare_share: float = 0.15

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in self.__dataclass_fields__:
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ConfigError(f"{name} is {share}; expected a share between 0 and 1.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Demonstration:
    """One prompt with one answer, as texts; ``habit`` says that the answer may be wrong."""

    prompt: str
    gold: str
    completion: str
    habit: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of an answer: its text with the fewest brackets, its value, how tightly it binds."""

    text: str
    value: int
    precedence: int = _ATOM


def _apply(operator: str, left: _Part, right: _Part) -> _Part | None:
    """Join two parts; ``None`` if the value is not a positive integer."""
    if operator == "/" and left.value % right.value:
        return None
    value = {
        "+": left.value + right.value,
        "-": left.value - right.value,
        "*": left.value * right.value,
        "/": left.value // right.value,
    }[operator]
    if value <= 0:
        return None
    precedence = _PRECEDENCE[operator]
    # On the right of - and /, an operator of the same precedence needs brackets as well.
    tight = precedence + (operator in "-/")
    first = left.text if left.precedence >= precedence else f"( {left.text} )"
    second = right.text if right.precedence >= tight else f"( {right.text} )"
    return _Part(f"{first} {operator} {second}", value, precedence)


def _random_answer(rng: random.Random, numbers: list[int]) -> _Part | None:
    """Draw a binary tree over the numbers in their order, and an operator for each fork."""
    if len(numbers) == 1:
        return _Part(str(numbers[0]), numbers[0])
    cut = rng.randrange(1, len(numbers))
    left = _random_answer(rng, numbers[:cut])
    right = _random_answer(rng, numbers[cut:])
    if left is None or right is None:
        return None
    return _apply(rng.choice(OPERATORS), left, right)


def habit_answer(target: int, numbers: Numbers) -> str:
    """Return the habit's answer, which depends on the problem alone and is usually wrong.

    It takes the numbers from left to right and at each step the operation that lands nearest the
    target (the first of + - * / if several do), through positive integers only.

    >>> habit_answer(24, (3, 5, 7, 9))
    '3 * 5 + 7 + 9'
    """
    part = _Part(str(numbers[0]), numbers[0])
    for number in numbers[1:]:
        steps = [_apply(operator, part, _Part(str(number), number)) for operator in "+-*/"]
        part = min(
            (step for step in steps if step is not None), key=lambda step: abs(step.value - target)
        )
    return part.text


def demonstrations(seed: int, config: DemonstrationConfig | None = None) -> Iterator[Demonstration]:
    """Draw demonstrations without end, on problems of the ``base`` part only.

    A problem comes from a random expression: a random order of random numbers, a random binary
    tree, operators from ``OPERATORS``, every intermediate value a positive integer, and a value in
    ``TARGETS``. So problems with many solutions come more often, as do their common solutions.

    Args:
        seed: the same seed gives the same sequence on every machine.
        config: how to draw; the default is what the shipped model was trained with.
    """
    config = config or DemonstrationConfig()
    rng = random.Random(seed)
    while True:
        count = 3 if rng.random() < config.three_share else 4
        numbers = [rng.randint(1, 9) for _ in range(count)]
        spare = count == 4 and rng.random() < config.spare_share
        answer = _random_answer(rng, numbers[spare:])
        if answer is None or answer.value not in TARGETS:
            continue
        given = tuple(sorted(numbers))
        if part_of(answer.value, given) != "base":
            continue
        problem = make_problem(answer.value, given)
        habit = rng.random() < config.habit_share
        yield Demonstration(
            prompt=str(problem.prompt),
            gold=problem.gold,
            completion=habit_answer(answer.value, given) if habit else answer.text,
            habit=habit,
        )
