"""Verifying completions in training: each text once, and a warning when the verifier has trouble."""

import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from polypath.tasks.base import Task
from polypath.verify.base import Status, Verdict

# completion text and the columns of its row -> canonical solution, None where there is none
SolutionFunction = Callable[[str, dict[str, Any]], str | None]

CACHE_SIZE = (
    65_536  # verdicts; a step's completions are asked for once for reward and once for solution
)
NOT_GRADED = (Status.NO_ANSWER, Status.BAD_GOLD, Status.TIMEOUT, Status.ERROR)
TROUBLES = (Status.BAD_GOLD, Status.TIMEOUT, Status.ERROR)  # the verifier's, not the model's
TROUBLE_SHARE = 0.03  # of the completions so far; from here on a warning says so
TROUBLE_COUNT = 2  # and so few are never worth one


class CachedVerifier:
    """A task's verifier that remembers its latest verdicts and counts what it could not verify.

    Args:
        task: verifies.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.statuses: Counter[Status] = Counter()  # of all completions counted so far
        self._known: OrderedDict[tuple[str, str], Verdict] = OrderedDict()
        self._warned = False

    def verdicts(self, texts: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions, what is not known yet of them in one batch."""
        asked = list(zip(texts, golds, strict=True))
        found = {key: self._known[key] for key in asked if key in self._known}
        new = list(dict.fromkeys(key for key in asked if key not in found))
        if new:
            verdicts = self.task.verify_batch([text for text, _ in new], [gold for _, gold in new])
            found.update(zip(new, verdicts, strict=True))
        for key in dict.fromkeys(asked):  # the latest at the end, so that the oldest go first
            self._known[key] = found[key]
            self._known.move_to_end(key)
        while len(self._known) > CACHE_SIZE:
            self._known.popitem(last=False)
        return [found[key] for key in asked]

    def count(self, verdicts: Sequence[Verdict]) -> dict[str, float]:
        """Count verdicts, and return the shares of those without one: ``verify/timeout`` and the like.

        Warns, once, when ``bad_gold``, ``timeout`` and ``error`` together exceed ``TROUBLE_SHARE`` of all
        that was counted.
        """
        counts = Counter(verdict.status for verdict in verdicts)
        self.statuses.update(counts)
        self._warn_of_trouble()
        if not verdicts:
            return {}
        return {f"verify/{status}": counts[status] / len(verdicts) for status in NOT_GRADED}

    def _warn_of_trouble(self) -> None:
        troubles = {status: self.statuses[status] for status in TROUBLES if self.statuses[status]}
        total = self.statuses.total()
        if self._warned or sum(troubles.values()) <= max(TROUBLE_SHARE * total, TROUBLE_COUNT):
            return
        self._warned = True
        listing = ", ".join(f"{count} {status}" for status, count in troubles.items())
        warnings.warn(
            f"Task {self.task.name} could not verify {listing} of {total} completions so far; they count "
            "as wrong, or have no reward after a timeout where that was asked for. Check the golds with "
            "'polypath tasks check', or give the verifier more time.",
            stacklevel=4,
        )


def completion_text(completion: Any) -> str:
    """Return what the model wrote: the text itself, or the content of all assistant messages."""
    if isinstance(completion, str):
        return completion
    contents = [message.get("content") or "" for message in completion]
    return "\n".join(content if isinstance(content, str) else str(content) for content in contents)


def text_solution(text: str, row: dict[str, Any]) -> str | None:
    """Return the completion with white space folded: the fallback where nothing knows better."""
    del row
    return " ".join(text.split()) or None


def find_solution_function(reward_funcs: Sequence[Any]) -> SolutionFunction:
    """Return the ``solution`` method of the first reward function that has one, else the text."""
    for function in reward_funcs:
        solution = getattr(function, "solution", None)
        if callable(solution):
            return solution  # type: ignore[no-any-return]  # duck-typed by name
    return text_solution
