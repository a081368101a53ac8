"""Group samples by problem, in an order that does not depend on when each was drawn."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from polypath.rollouts.rows import SampleRow


class Sample(NamedTuple):
    """What is kept of a row: its prompt, which every sample of a problem repeats, is not."""

    sample_id: int | None
    completion: str
    correct: bool | None
    answer: str | None


@dataclass(kw_only=True, slots=True)
class ProblemRows:
    """What was read of one problem."""

    prompt: str | None = None
    gold: str | None = None
    rows: list[Sample] = field(default_factory=list)
    sample_ids: set[int] = field(default_factory=set)
    greedy: bool | None = None
    has_greedy: bool = False

    def ordered(self) -> list[Sample]:
        """Return numbered samples by number, then those without a number as they came."""
        numbered = [row for row in self.rows if row.sample_id is not None]
        rest = [row for row in self.rows if row.sample_id is None]
        return sorted(numbered, key=lambda row: row.sample_id or 0) + rest


def gather(rows: Iterable[SampleRow], left_out: Counter[str]) -> dict[str, ProblemRows]:
    """Group rows by problem, problems in order of first appearance.

    Of several rows with one (problem_id, sample_id) the first counts; the others are counted in
    ``left_out``, as are further greedy samples of a problem.
    """
    problems: dict[str, ProblemRows] = {}
    for row in rows:
        problem = problems.setdefault(row.problem_id, ProblemRows())
        if problem.prompt is None:
            problem.prompt = row.prompt
        if problem.gold is None:
            problem.gold = row.gold
        if row.greedy:
            if problem.has_greedy:
                left_out["duplicate greedy sample"] += 1
            else:
                problem.greedy, problem.has_greedy = row.correct, True
        elif row.sample_id is not None and row.sample_id in problem.sample_ids:
            left_out["duplicate sample"] += 1
        else:
            if row.sample_id is not None:
                problem.sample_ids.add(row.sample_id)
            problem.rows.append(Sample(row.sample_id, row.completion, row.correct, row.answer))
    return problems
