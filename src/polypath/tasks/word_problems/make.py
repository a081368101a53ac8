"""From stories and numbers to problems, and their split.

The numbers of a problem are chosen so that a text has one reading: all given numbers differ, and no
result of any way equals a given number or another result of that way. At least ``FEWEST_WAYS`` ways
apply. Which numbers a story has, their order, its name and its part depend on a hash of the story and the
numbers alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product

from polypath.tasks.word_problems.kinds import KINDS
from polypath.tasks.word_problems.stories import NAMES, STORIES, Story
from polypath.tasks.word_problems.ways import way_of
from polypath.tasks.word_problems.writing import RESULT, Way, results, write

# Share of the problems of a story assigned to each part, in percent.
PARTS = {"base": 70, "train": 15, "dev": 5, "test": 10}
SPLITS = (*PARTS, "test_more_steps", "test_new_stories")
FEWEST_WAYS = 3
MOST_OF_A_STORY = 160  # problems


@dataclass(frozen=True, slots=True)
class WordProblem:
    """A story with its numbers.

    Attributes:
        story: key of ``STORIES``.
        numbers: the given numbers a, b, c (and d).
        ways: the ways of its kind that apply, at least ``FEWEST_WAYS``.
        answer: the right answer.
    """

    story: str
    numbers: tuple[int, ...]
    ways: tuple[Way, ...]
    answer: int

    @property
    def problem_id(self) -> str:
        """The story and the numbers."""
        return "-".join((self.story, *map(str, self.numbers)))

    @property
    def told(self) -> Story:
        """The story itself."""
        return STORIES[self.story]

    @property
    def text(self) -> str:
        """The problem in words."""
        name = NAMES[_draw("name", self.problem_id) % len(NAMES)]
        given = dict(zip("abcd", self.numbers, strict=False))
        return self.told.text.format(name=name, **given)

    @property
    def part(self) -> str:
        """Key of ``PARTS``."""
        place = _draw("part", self.problem_id) % 100
        for part, percent in PARTS.items():
            if place < percent:
                return part
            place -= percent
        raise AssertionError("PARTS must sum to 100")

    @property
    def split(self) -> str:
        """The part, except that long kinds and new stories have a test split of their own."""
        if self.part == "base":
            return "base"
        if KINDS[self.told.kind].long:
            return "test_more_steps"
        return "test_new_stories" if self.told.new else self.part

    def texts(self) -> list[tuple[str, ...]]:
        """Return the worked texts of each way, in all wordings."""
        return [
            tuple(
                text
                for wording in way.wordings
                if (text := write(wording, self.numbers, self.told.words)) is not None
            )
            for way in self.ways
        ]

    def solutions(self) -> dict[str, tuple[str, ...]]:
        """Return every canonical way, with its worked texts in all wordings."""
        found = {}
        for texts in self.texts():
            key = way_of(texts[0], Fraction(self.answer), self.numbers)
            assert key is not None  # by the choice of numbers
            found[key] = texts
        return found


def _draw(what: str, text: str) -> int:
    """Return a number that depends on the texts alone."""
    return int.from_bytes(hashlib.sha256(f"{what} {text}".encode()).digest()[:8])


def _applying(ways: Sequence[Way], numbers: tuple[int, ...]) -> tuple[tuple[Way, ...], int] | None:
    """Return the ways that apply and the answer; ``None`` if the numbers will not do."""
    if len({*numbers}) < len(numbers):
        return None
    found = [(way, known) for way in ways if (known := results(way.wordings[0], numbers))]
    if len(found) < FEWEST_WAYS or any(len({*known.values()}) < len(known) for _, known in found):
        return None
    return tuple(way for way, _ in found), found[0][1][RESULT]


@cache
def _choices(kind: str) -> dict[tuple[int, ...], tuple[tuple[Way, ...], int]]:
    """Return all numbers that a kind may have, each with its ways and answer."""
    ranges, ways = KINDS[kind].ranges, KINDS[kind].ways
    return {
        numbers: found
        for numbers in product(*ranges)
        if (found := _applying(ways, numbers)) is not None
    }


def _of_story(name: str) -> list[WordProblem]:
    """Return the problems of a story."""
    choices = _choices(STORIES[name].kind)
    order = sorted(choices, key=lambda numbers: _draw("order", f"{name} {numbers}"))
    return [WordProblem(name, numbers, *choices[numbers]) for numbers in order[:MOST_OF_A_STORY]]


@cache
def all_problems() -> tuple[WordProblem, ...]:
    """Return every problem, in an order fixed by the hash, so that a prefix is a random sample."""
    problems = [problem for name in STORIES for problem in _of_story(name)]
    return tuple(sorted(problems, key=lambda problem: _draw("place", problem.problem_id)))
