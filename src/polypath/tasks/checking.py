"""Does a task's verifier agree with the task's own golds?

Every gold, written as an answer, must be right when verified against itself, and almost never against
the gold of another problem. A failure is a gold that the verifier cannot read, or a problem that no
completion can solve: training on it teaches nothing, and evaluating on it costs accuracy.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polypath.errors import ConfigError
from polypath.tasks.base import Problem, Task

BATCH = 256


@dataclass(frozen=True, kw_only=True)
class FailedGold:
    """A gold that its own verifier does not find right.

    Attributes:
        problem_id: id of the problem.
        gold: the task's gold.
        status: status of the verdict; ``graded`` means it was found wrong.
        reward: reward of the verdict.
    """

    problem_id: str
    gold: str
    status: str
    reward: float


@dataclass(frozen=True, kw_only=True)
class AcceptedGold:
    """A gold that counts as right against another problem's gold with a different text.

    Attributes:
        problem_id: id of the problem whose gold was the answer.
        answer: that gold as a completion.
        other_id: id of the problem whose gold it was verified against.
        gold: that gold as a completion.
    """

    problem_id: str
    answer: str
    other_id: str
    gold: str


@dataclass(frozen=True, kw_only=True)
class GoldCheck:
    """The result of ``check_golds``.

    Attributes:
        task: name of the task.
        split: name of the split.
        num_problems: number of golds verified against themselves.
        failed: golds that are not right, in the order of the problems.
        statuses: status -> number of golds that got it against themselves.
        num_shuffled: number of golds verified against another problem's gold with a different text.
        accepted: those of them that were right: equal answers in other words, or a lenient verifier.
    """

    task: str
    split: str
    num_problems: int
    failed: tuple[FailedGold, ...]
    statuses: Mapping[str, int]
    num_shuffled: int
    accepted: tuple[AcceptedGold, ...]

    @property
    def share_wrong_when_shuffled(self) -> float | None:
        """Share of foreign golds that were wrong; ``None`` if there was no pair."""
        if not self.num_shuffled:
            return None
        return 1.0 - len(self.accepted) / self.num_shuffled


def check_golds(
    task: Task,
    split: str,
    problems: Sequence[Problem],
    *,
    progress: Callable[[int], None] | None = None,
) -> GoldCheck:
    """Verify every gold against itself, and against the gold of the next problem (of the same database).

    Args:
        task: task whose golds are checked.
        split: split for the record.
        problems: problems of it.
        progress: called with the number of golds verified since its last call.

    Raises:
        ConfigError: the task cannot write its golds as completions, or there are no problems.
    """
    if not problems:
        raise ConfigError(f"There are no problems to check in split {split!r} of {task.name}.")
    golds = [problem.gold for problem in problems]
    texts = [gold_completion(task, gold) for gold in golds]
    failed: list[FailedGold] = []
    statuses: Counter[str] = Counter()
    for start in range(0, len(golds), BATCH):
        part = slice(start, start + BATCH)
        verdicts = task.verify_batch(texts[part], golds[part])
        for problem, verdict in zip(problems[part], verdicts, strict=True):
            statuses[str(verdict.status)] += 1
            if not verdict.correct:
                failed.append(
                    FailedGold(
                        problem_id=problem.problem_id,
                        gold=problem.gold,
                        status=str(verdict.status),
                        reward=verdict.reward,
                    )
                )
        _tell(progress, len(verdicts))
    pairs = [
        (place, other) for place, other in _next_of_kind(problems) if texts[place] != texts[other]
    ]
    accepted: list[AcceptedGold] = []
    for start in range(0, len(pairs), BATCH):
        some = pairs[start : start + BATCH]
        verdicts = task.verify_batch([texts[i] for i, _ in some], [golds[j] for _, j in some])
        accepted += [
            AcceptedGold(
                problem_id=problems[i].problem_id,
                answer=texts[i],
                other_id=problems[j].problem_id,
                gold=texts[j],
            )
            for (i, j), verdict in zip(some, verdicts, strict=True)
            if verdict.correct
        ]
        _tell(progress, len(verdicts))
    return GoldCheck(
        task=task.name,
        split=split,
        num_problems=len(problems),
        failed=tuple(failed),
        statuses=dict(statuses.most_common()),
        num_shuffled=len(pairs),
        accepted=tuple(accepted),
    )


def gold_completion(task: Task, gold: str) -> str:
    """Return a completion that says the same as the gold.

    A task defines it by a method ``gold_completion(gold)``. For a gold that is JSON with a ``query``
    (text to SQL) it is the query.

    Raises:
        ConfigError: neither exists.
    """
    own = getattr(task, "gold_completion", None)
    if callable(own):
        return str(own(gold))
    try:
        return str(json.loads(gold)["query"])
    except (ValueError, TypeError, KeyError):
        raise ConfigError(
            f"Task {task.name} cannot be checked: its golds are not answers (it has no method "
            "gold_completion)."
        ) from None


def _next_of_kind(problems: Sequence[Problem]) -> list[tuple[int, int]]:
    """Pair each problem with the next one on its database, and the last with the first."""
    kinds: dict[str, list[int]] = {}
    for place, problem in enumerate(problems):
        kinds.setdefault(str(problem.extra.get("db_id", "")), []).append(place)
    return [
        (place, places[(n + 1) % len(places)])
        for places in kinds.values()
        if len(places) > 1
        for n, place in enumerate(places)
    ]


def _tell(progress: Callable[[int], None] | None, count: int) -> None:
    if progress is not None:
        progress(count)
