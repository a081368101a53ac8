"""A verifier's result: a verdict, for whatever the model wrote."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a verdict was reached. Only ``GRADED`` has a usable reward."""

    GRADED = "graded"
    NO_ANSWER = "no_answer"
    BAD_GOLD = "bad_gold"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The result of verifying one completion.

    Attributes:
        status: how the verdict was reached.
        reward: in [0, 1]; 0 unless ``status`` is ``GRADED``.
        answer: the canonical solution, ``None`` if none was found. Two completions are the same
            solution exactly when their answers are equal; everything that counts distinct
            solutions or duplicates groups by this field.
    """

    status: Status
    reward: float = 0.0
    answer: str | None = None

    @property
    def correct(self) -> bool:
        """Whether the completion is right. A reward above one half counts as right."""
        return self.status is Status.GRADED and self.reward > 0.5
