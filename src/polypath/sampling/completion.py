"""The completion that every backend returns."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from polypath.sampling.plan import PlannedSample
from polypath.tasks.base import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One generated completion.

    Attributes:
        problem: problem that was sampled.
        sample_id: number of the sample among the problem's samples.
        text: decoded text, without special tokens.
        token_ids: generated tokens, with the end-of-sequence token if there was one; empty
            if a server did not return them.
        finish_reason: ``"stop"`` after an end-of-sequence token, ``"length"`` at the limit;
            ``None`` if a server reported neither.
        n_tokens: number of generated tokens, ``None`` if a server did not report it. If ``token_ids``
            are known, it is their number.
    """

    problem: Problem
    sample_id: int
    text: str
    token_ids: tuple[int, ...]
    finish_reason: str | None
    n_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.n_tokens is None and self.token_ids:
            object.__setattr__(self, "n_tokens", len(self.token_ids))


def complete(
    batch: Sequence[PlannedSample],
    rows: Sequence[Sequence[int]],
    tokenizer: Any,
    end_ids: Collection[int],
) -> list[Completion]:
    """Return the completions of a batch: their tokens up to the first end-of-sequence token, and text.

    Args:
        batch: samples that were drawn.
        rows: generated tokens of each; those after the end are ignored.
        tokenizer: decodes them.
        end_ids: tokens that end a completion.
    """

    @cache  # for one batch: short completions repeat there, and long ones would fill the memory
    def text_of(tokens: tuple[int, ...]) -> str:
        text: str = tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    found = []
    for planned, tokens in zip(batch, rows, strict=True):
        end = next((n for n, token in enumerate(tokens) if token in end_ids), None)
        kept = tuple(tokens if end is None else tokens[: end + 1])
        found.append(
            Completion(
                problem=planned.problem,
                sample_id=planned.sample_id,
                text=text_of(kept),
                token_ids=kept,
                finish_reason="length" if end is None else "stop",
            )
        )
    return found
