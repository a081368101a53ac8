"""What a task is: problems in named splits, and the verifier that judges completions of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from polypath.verify.base import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing to solve.

    Attributes:
        problem_id: unique within the task, stable over runs and machines.
        prompt: plain text, or chat messages (``[{"role": ..., "content": ...}]``).
        gold: what the verifier needs to judge a completion, as text (also the dataset column
            ``gold``).
        extra: further columns, carried along and never read by the library.
    """

    problem_id: str
    prompt: str | list[dict[str, str]]
    gold: str
    extra: Mapping[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """A source of problems and their judge.

    ``splits`` never overlap in problems, except that out-of-domain splits may be views of their
    own. ``verify`` never raises on model output and holds no state.
    """

    @property
    def name(self) -> str:
        """Registry key."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """Names accepted by ``problems``."""
        ...

    @property
    def max_completion_length(self) -> int:
        """Tokens a completion needs at most; the default for sampling and training."""
        ...

    def problems(self, split: str, limit: int | None = None) -> Sequence[Problem]:
        """Return the problems of a split in a fixed order, at most ``limit`` of them."""
        ...

    def verify(self, completion: str, gold: str) -> Verdict:
        """Judge one completion."""
        ...
