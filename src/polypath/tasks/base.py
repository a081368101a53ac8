"""The interface of a task: problems in named splits, and the verifier of their completions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from polypath.errors import ConfigError, unknown_name
from polypath.verify.base import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One problem to solve.

    Attributes:
        problem_id: unique within the task, stable over runs and machines.
        prompt: plain text, or chat messages (``[{"role": ..., "content": ...}]``).
        gold: text that the verifier compares a completion with (also the dataset column
            ``gold``).
        extra: further columns, which are passed on and never read by the library.
    """

    problem_id: str
    prompt: str | list[dict[str, str]]
    gold: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationDefaults:
    """How a task is usually evaluated. Commands sample with these values by default.

    Attributes:
        num_samples: samples per problem, >= 1.
        temperature: 0 is greedy.
        top_p: probability mass that is kept; 1 keeps all.
        max_completion_length: most tokens of a completion.
        source: source of these values: a paper with section or table, or "ours".
    """

    num_samples: int = 16
    temperature: float = 1.0
    top_p: float = 1.0
    max_completion_length: int = 1024
    source: str = "ours"


class Task(Protocol):
    """A source of problems and their verifier.

    ``splits`` never overlap in problems, except that out-of-domain splits may be views of their
    own. ``verify`` and ``verify_batch`` never raise on model output and may be called from any thread.
    They give every completion its own verdict, whatever else is in the batch.
    """

    @property
    def name(self) -> str:
        """Registry key."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """Options that the task was built with, as in ``get_task``; empty for the defaults."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """The names that ``problems`` accepts."""
        ...

    @property
    def max_completion_length(self) -> int:
        """Most tokens that a completion needs; the default for sampling and training."""
        ...

    @property
    def evaluation(self) -> EvaluationDefaults:
        """The evaluation protocol that the papers use for this task."""
        ...

    def problems(self, split: str, limit: int | None = None) -> Sequence[Problem]:
        """Return the problems of a split in a fixed order, at most ``limit`` of them."""
        ...

    def verify(self, completion: str, gold: str) -> Verdict:
        """Verify one completion."""
        ...

    def verify_batch(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify many completions, each against its own gold, in their order; in parallel if it is slow."""
        ...


def check_split(name: str, splits: Sequence[str], split: str, limit: int | None) -> None:
    """Check what ``Task.problems`` is asked for.

    Args:
        name: of the task.
        splits: those it has.
        split: the one that is asked for.
        limit: the most problems; ``None`` for all.

    Raises:
        ConfigError: the split is unknown or the limit negative.
    """
    if split not in splits:
        raise unknown_name(f"split of {name}", split, splits)
    if limit is not None and limit < 0:
        raise ConfigError(f"limit is {limit}; expected 0 or more, or None for all problems.")


def check_verifier(task: Task, problem: Problem) -> None:
    """Verify an empty completion, before minutes are spent on loading a model.

    Raises:
        PolypathError: the verifier does not work: a package is missing, or a user's function fails.
    """
    task.verify_batch([""], [problem.gold])
