"""What every backend returns."""

from dataclasses import dataclass

from polypath.tasks.base import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One generated completion.

    Attributes:
        problem: what was asked.
        sample_id: which sample of the problem.
        text: decoded, special tokens left out.
        token_ids: as generated, with the end-of-sequence token if there was one; empty
            where a server did not tell.
        finish_reason: ``"stop"`` after an end-of-sequence token, ``"length"`` at the limit;
            ``None`` where a server said neither.
        n_tokens: number of generated tokens, ``None`` where a server did not tell; that of
            ``token_ids`` where these are known.
        logprobs: of every generated token, where they were asked for and given.
    """

    problem: Problem
    sample_id: int
    text: str
    token_ids: tuple[int, ...]
    finish_reason: str | None
    n_tokens: int | None = None
    logprobs: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.n_tokens is None and self.token_ids:
            object.__setattr__(self, "n_tokens", len(self.token_ids))
