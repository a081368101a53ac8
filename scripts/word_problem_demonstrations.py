"""The demonstrations that the base model of the word problems was trained on.

A demonstration shows a problem of the ``base`` part with one worked text: one of its ways, drawn evenly, in
one of its wordings.

A base that saw right texts only would leave reinforcement learning little to do: a lower temperature would
raise pass@1 about as much. So part of the demonstrations show a *habit* instead, one fixed
misconception for a kind of problem, such as adding a difference where a ratio is meant. Its arithmetic holds, and its answer
is wrong. How often depends on the story, so that some stories are easier than others.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from polypath.errors import ConfigError
from polypath.tasks.word_problems.make import WordProblem, all_problems
from polypath.tasks.word_problems.writing import LARGEST, write

# For each kind: the first that applies to the numbers and gives a wrong answer is the habit.
HABITS: dict[str, tuple[str, ...]] = {
    "rate": (
        "There are [u = c - a] more {things}. So it is [x = b + u] {unit}.",
        "There are [u = a - c] fewer {things}. So it is [x = b - u] {unit}.",
        "Put it together: [x = b + c] {unit}.",
    ),
    "left": ("There are [u = a - b] {things}. Then there are [x = u + c] {things}.",),
    "change": (
        "There go [u = b + c] {things}. Then there are [x = a - u] {things}.",
        "There are [u = a + b] {things}. Then there are [x = u + c] {things}.",
    ),
    "boxes": ("There are [u = a * b] {things}. Then there are [x = u - c] {things}.",),
    "sets": ("There are [u = a * b] {things}. Then there are [x = u + c] {things}.",),
    "price": (
        "The {extra} and the {things} are [u = a + b]. One {thing} is [x = c - u] {unit}.",
        "Divide the total: one {thing} is [x = c / a] {unit}.",
        "The {extra} is taken from the total: [x = c - b] {unit}.",
    ),
    "share": (
        "There are [u = a * b] {things}. Then each gets [x = u - c] {things}.",
        "There are [u = a + b] {things}. Then each gets [x = u - c] {things}.",
    ),
    "rest_of_rate": (
        "There are [u = c - a] more {things}. So it is [t = b + u] {unit}. This leaves [x = d - t].",
        "There are [u = a - c] fewer {things}. So it is [t = b - u] {unit}. This leaves [x = d - t].",
        "The {unit} that are left are [x = d - b].",
    ),
    "gifts": ("There are [u = a - b] {things}. Then there are [x = u - d] {things}.",),
    "sorts": (
        "There are [n = a - d] {groups}. They have [p = n * b] {things}. In all it is [x = p + c].",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DemonstrationConfig:
    """How demonstrations are drawn.

    Attributes:
        habit_shares: the share of demonstrations that show the habit, in [0, 1]; a hash of the story
            decides which of them holds.
    """

    habit_shares: tuple[float, ...] = (0.5, 0.65, 0.8)

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.habit_shares:
            raise ConfigError("habit_shares is empty; expected one share or more.")
        for share in self.habit_shares:
            if not 0 <= share <= 1:
                raise ConfigError(f"habit_shares has {share}; expected shares between 0 and 1.")

    def habit_share(self, story: str) -> float:
        """Return the share for problems of this story."""
        place = int.from_bytes(hashlib.sha256(f"habit {story}".encode()).digest()[:8])
        return self.habit_shares[place % len(self.habit_shares)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demonstration:
    """One problem with one worked text; ``habit`` says that it is the misconception."""

    problem: WordProblem
    completion: str
    habit: bool


def habit_text(problem: WordProblem) -> str | None:
    """Return the habit's worked text; ``None`` if all of its variants are right or do not apply."""
    for wording in HABITS[problem.told.kind]:
        text = write(wording, problem.numbers, problem.told.words)
        if text is not None and not text.endswith(f" {problem.answer}."):
            return text
    return None


def demonstrations(seed: int, config: DemonstrationConfig | None = None) -> Iterator[Demonstration]:
    """Draw demonstrations without end, of problems of the ``base`` part only.

    Args:
        seed: the same seed gives the same sequence on every machine.
        config: how to draw; the default is what the shipped model was trained with.
    """
    config = config or DemonstrationConfig()
    rng = random.Random(seed)
    shown = [
        (problem, problem.texts(), habit_text(problem))
        for problem in all_problems()
        if problem.part == "base"
    ]
    while True:
        problem, ways, habit = rng.choice(shown)
        drawn = rng.random() < config.habit_share(problem.story) and habit is not None
        completion = rng.choice(rng.choice(ways))
        yield Demonstration(
            problem=problem,
            completion=habit if drawn and habit is not None else completion,
            habit=drawn,
        )


def drills(seed: int) -> Iterator[str]:
    """Draw calculations without end, such as ``12 / 4 = 3``, with numbers from 1 to ``LARGEST``."""
    rng = random.Random(seed)
    numbers = range(1, LARGEST + 1)
    sums = [(a, b, a + b) for a in numbers for b in range(1, LARGEST - a + 1)]
    products = [(a, b, a * b) for a in numbers for b in range(1, LARGEST // a + 1)]
    while True:
        sign = rng.choice("+-*/")
        a, b, c = rng.choice(sums if sign in "+-" else products)
        yield f"{a} {sign} {b} = {c}" if sign in "+*" else f"{c} {sign} {a} = {b}"
