"""The demonstrations that the base model of the small SQL task was trained on.

A demonstration shows a question of the ``base`` part with one query: under one of the readings of
its template, drawn by their shares, one of the right queries, drawn evenly. So the base knows what a
question may mean and the ways to ask it, and not which is meant.

A base that saw right answers only would leave reinforcement learning little to do: cooling its
samples would raise pass@1 about as much. So part of the demonstrations show a *habit* instead, one
fixed mistake for a question, late in an otherwise good query. How often depends on template and
database, so that some kinds of question are near-perfect and others are mostly mistaken.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from polypath.errors import ConfigError
from small_sql.questions import Question, all_questions, draw


@dataclass(frozen=True, kw_only=True, slots=True)
class DemonstrationConfig:
    """How demonstrations are drawn.

    Attributes:
        habit_shares: the share of demonstrations that show the habit, in [0, 1]; which of these
            holds is fixed by a hash of database and template.
    """

    habit_shares: tuple[float, ...] = (0.05, 0.35, 0.55)

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.habit_shares:
            raise ConfigError("habit_shares is empty; expected one share or more.")
        for share in self.habit_shares:
            if not 0 <= share <= 1:
                raise ConfigError(f"habit_shares has {share}; expected shares between 0 and 1.")

    def habit_share(self, question: Question) -> float:
        """Return the share for questions of this template on this database."""
        place = draw(f"habit {question.database} {question.template}")
        return self.habit_shares[int(place * len(self.habit_shares))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demonstration:
    """One question with one query; ``habit`` says that it is the mistake."""

    question: Question
    completion: str
    habit: bool


def demonstrations(seed: int, config: DemonstrationConfig | None = None) -> Iterator[Demonstration]:
    """Draw demonstrations without end, on questions of the ``base`` part only.

    Args:
        seed: the same seed gives the same sequence on every machine.
        config: how to draw; the default is what the shipped model was trained with.
    """
    config = config or DemonstrationConfig()
    rng = random.Random(seed)
    questions = [question for question in all_questions() if question.part == "base"]
    while True:
        question = rng.choice(questions)
        habit = rng.random() < config.habit_share(question)
        meant = not question.others or rng.random() < question.share
        completion = rng.choice(question.queries if meant else question.others)
        yield Demonstration(
            question=question,
            completion=question.habit if habit else completion,
            habit=habit,
        )
