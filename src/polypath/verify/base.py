"""What a verifier returns: a verdict, for whatever the model wrote."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a verdict came about. Only ``GRADED`` carries a usable reward."""

    GRADED = "graded"
    NO_ANSWER = "no_answer"
    BAD_GOLD = "bad_gold"
    TIMEOUT = "timeout"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The outcome of checking one completion.

    Attributes:
        status: how the verdict came about.
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
        """Whether the completion is right. A reward of more than one half counts as right."""
        return self.status is Status.GRADED and self.reward > 0.5
