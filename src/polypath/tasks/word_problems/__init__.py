"""Word problems: short stories with a number as answer, and several ways to reach it.

They need no download: stories, ways and base model were made for polypath. A prompt is one chat message,
and a completion is a worked text:

    In a yard 2 crates weigh 6 kilos. How many kilos do 8 such crates weigh?
    One crate weighs 6 / 2 = 3 kilos. So 8 crates weigh 3 * 8 = 24 kilos. The answer is 24.

The mathematics verifier reads the answer and compares it with the gold. The canonical solution is the way of
solving, which ``tasks.word_problems.ways`` reads from the equations of the text, here ``(b / a) * c``. So
distinct solutions are different ways, not different words. A completion whose equations do not hold, or do not
lead to its answer, has no way. It is wrong even if its answer is right: without a way it would count as
unlike all others, and a method that rewards diversity would reward unsound working most.

A stable hash of story and numbers assigns every problem to one of four parts:

    base 70 %    the shipped base model was trained on these, and on nothing else
    train 15 %   for reinforcement learning
    dev 5 %      for choices
    test 10 %    for results

The splits are views of these parts. Two splits are out of domain for reinforcement learning, although the
base model has seen problems of their kind: ``test_more_steps`` has kinds that need a further step, and
``test_new_stories`` has stories that are not in ``train``, ``dev`` and ``test``.

``short_kinds`` and ``long_kinds`` have the ways and their wordings, ``stories`` the stories. ``writing`` fills in the
slots, and ``make`` chooses the numbers.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from polypath.errors import ConfigError
from polypath.tasks.base import EvaluationDefaults, Problem, check_split
from polypath.tasks.kept_verdicts import KeptVerdicts
from polypath.tasks.word_problems.make import SPLITS, WordProblem, all_problems
from polypath.tasks.word_problems.ways import way_of
from polypath.verify.base import Status, Verdict
from polypath.verify.countdown import format_gold, parse_gold
from polypath.verify.pool import shared_pool

MAX_COMPLETION_TOKENS = 56  # the longest demonstrated text has 50, then the end of text
EVALUATION = EvaluationDefaults(num_samples=64, max_completion_length=MAX_COMPLETION_TOKENS)
_FRACTION = re.compile(r"-?\d{1,9}(/[1-9]\d{0,8})?", re.ASCII)


def _problem(made: WordProblem) -> Problem:
    return Problem(
        problem_id=made.problem_id,
        prompt=[{"role": "user", "content": made.text}],
        gold=format_gold(made.answer, made.numbers),
        extra={"story": made.story, "kind": made.told.kind, "numbers": list(made.numbers)},
    )


@cache
def _problems(split: str) -> tuple[Problem, ...]:
    return tuple(_problem(made) for made in all_problems() if made.split == split)


def _verify(completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
    """Verify answers in one worker process, and find the ways here."""
    pool = shared_pool("polypath.verify.math:math_verifier", {"extraction": "any"}, workers=1)
    parsed = [parse_gold(gold) for gold in golds]
    # An empty gold gets the status of a gold that cannot be read.
    answers = ["" if one is None else str(one[0]) for one in parsed]
    verdicts = pool.verify(completions, answers)
    return [
        _with_way(verdict, text, () if one is None else one[1])
        for text, verdict, one in zip(completions, verdicts, parsed, strict=True)
    ]


def _with_way(verdict: Verdict, completion: str, numbers: Sequence[int]) -> Verdict:
    """Replace the answer that the verifier read by the way to it; without one, the reward is 0."""
    way = None
    if verdict.status is Status.GRADED and _FRACTION.fullmatch(verdict.answer or ""):
        way = way_of(completion, Fraction(str(verdict.answer)), numbers)
    return replace(verdict, reward=verdict.reward if way else 0.0, answer=way)


_VERDICTS = KeptVerdicts(_verify)


@dataclass(frozen=True, kw_only=True, slots=True)
class WordProblems:
    """The task of this module's docstring; see ``polypath.tasks.base.Task`` for the interface."""

    name: str = "word_problems"
    splits: tuple[str, ...] = SPLITS
    max_completion_length: int = MAX_COMPLETION_TOKENS
    evaluation: EvaluationDefaults = EVALUATION
    verifier: str = "mathematics, and the working must lead to the answer"

    @property
    def options(self) -> Mapping[str, str]:
        """Empty: there is only one word problem task."""
        return {}

    def problems(self, split: str, limit: int | None = None) -> tuple[Problem, ...]:
        """Return the first ``limit`` problems of a split; the fixed order is a random one.

        Raises:
            ConfigError: the split is unknown or the limit negative.
        """
        check_split(self.name, self.splits, split, limit)
        return _problems(split)[:limit]

    def gold_completion(self, gold: str) -> str:
        """Return a worked text with the answer of a gold.

        Raises:
            ConfigError: no problem of this task has the gold.
        """
        for made in all_problems():
            if gold == format_gold(made.answer, made.numbers):
                return next(iter(made.solutions().values()))[0]
        raise ConfigError(f"Gold {gold!r} is not one of word_problems; see polypath tasks show.")

    def verify(self, completion: str, gold: str) -> Verdict:
        """Verify one completion. The answer of the verdict is the way."""
        return self.verify_batch([completion], [gold])[0]

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions, each against its own gold."""
        return _VERDICTS.verify(completions, golds)


def solutions(problem: Problem) -> dict[str, tuple[str, ...]]:
    """Return the known canonical ways of a problem, each with its worked texts in all wordings.

    A model may find further ways.

    Raises:
        ConfigError: the problem is not one of this task.
    """
    for made in all_problems():
        if made.problem_id == problem.problem_id:
            return made.solutions()
    raise ConfigError(f"{problem.problem_id!r} is not a word problem of this task.")
