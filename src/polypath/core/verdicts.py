"""Verifying completions in training: each text once, with a warning if the verifier has trouble."""

import warnings
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from polypath.credentials import one_line
from polypath.errors import DataError
from polypath.tasks.base import Task
from polypath.verify.base import Status, Verdict

CACHE_SIZE = (
    65_536  # verdicts; a step needs each completion once for its reward and once for its solution
)
NOT_GRADED = (Status.NO_ANSWER, Status.BAD_GOLD, Status.TIMEOUT, Status.ERROR)
TROUBLES = (Status.BAD_GOLD, Status.TIMEOUT, Status.ERROR)  # the verifier's, not the model's
TROUBLE_SHARE = 0.03  # of the completions so far; above it there is a warning
TROUBLE_COUNT = 2  # this few never cause a warning


class CachedVerifier:
    """A task's verifier that remembers its latest verdicts and counts what it could not verify.

    Args:
        task: task that verifies.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.statuses: Counter[Status] = Counter()  # of all completions counted so far
        self._known: OrderedDict[tuple[str, str], Verdict] = OrderedDict()
        self._warned = False

    def verdicts(self, texts: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions. Those without a remembered verdict are verified in one batch."""
        asked = list(zip(texts, golds, strict=True))
        found = {key: self._known[key] for key in asked if key in self._known}
        new = list(dict.fromkeys(key for key in asked if key not in found))
        if new:
            verdicts = self.task.verify_batch([text for text, _ in new], [gold for _, gold in new])
            found.update(zip(new, verdicts, strict=True))
        for key in dict.fromkeys(
            asked
        ):  # the latest go to the end, so that the oldest are dropped first
            self._known[key] = found[key]
            self._known.move_to_end(key)
        while len(self._known) > CACHE_SIZE:
            self._known.popitem(last=False)
        return [found[key] for key in asked]

    def count(self, verdicts: Sequence[Verdict]) -> dict[str, float]:
        """Count verdicts, and return the shares of those without one, such as ``verify/timeout``.

        Warns once if ``bad_gold``, ``timeout`` and ``error`` together exceed ``TROUBLE_SHARE`` of all
        that was counted.
        """
        counts = Counter(verdict.status for verdict in verdicts)
        self.statuses.update(counts)
        self._warn_of_trouble()
        if not verdicts:
            return {}
        return {f"verify/{status}": counts[status] / len(verdicts) for status in NOT_GRADED}

    def _warn_of_trouble(self) -> None:
        meant: frozenset[Status] = getattr(
            self.task, "unscored", frozenset()
        )  # intended by the task
        counts = {status: self.statuses[status] for status in TROUBLES if status not in meant}
        troubles = {status: count for status, count in counts.items() if count}
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
    """Return what the model wrote: the text itself, or that of all assistant messages.

    Texts of tools and users are not the model's answer. Content may be a list of parts; those with a
    text count.
    """
    if isinstance(completion, str):
        return completion
    told = [m for m in completion if m.get("role", "assistant") == "assistant"]
    return "\n".join(filter(None, (_content_text(message.get("content")) for message in told)))


def _content_text(content: Any) -> str:
    """Return the text of a message's content.

    Raises:
        DataError: it is neither a text nor a list of texts and parts with a type.
    """
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, list | tuple) else [content]
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif not (
            isinstance(part, Mapping) and "type" in part
        ):  # a picture, for example, has no text
            raise DataError(
                "A message's content must be a text or a list of parts such as "
                f"{{'type': 'text', 'text': ...}}, got {one_line(part, 60)!r}."
            )
    return "".join(texts)
