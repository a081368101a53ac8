"""One row of a sample store: a completion and its verdict."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields

import pyarrow as pa

from polypath.credentials import one_line
from polypath.errors import ConfigError, DataError

FINISH_REASONS = ("stop", "length")

SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("sample_id", pa.int64(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("completion", pa.string(), nullable=False),
        pa.field("gold", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reward", pa.float64(), nullable=False),
        pa.field("correct", pa.bool_(), nullable=False),
        pa.field("answer", pa.string()),
        pa.field("n_tokens", pa.int64()),
        pa.field("finish_reason", pa.string()),
        pa.field("token_ids", pa.list_(pa.int32())),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One sampled and verified completion.

    Attributes:
        problem_id: id of the problem; with ``sample_id`` the key of the row.
        sample_id: number of the sample among the problem's samples, from 0.
        prompt: the prompt as ``encode_prompt`` writes it.
        completion: decoded text, without special tokens.
        gold: the gold answer that the verifier compared with.
        status: a value of ``polypath.verify.base.Status``.
        reward: the raw reward, in [0, 1].
        correct: whether the completion counts as right.
        answer: the canonical solution, ``None`` if none was found.
        n_tokens: number of generated tokens, including the end-of-sequence token; ``None`` if unknown.
        finish_reason: ``"stop"`` if the model ended the completion, ``"length"`` if the limit did,
            ``None`` if unknown.
        token_ids: the generated tokens (tokenising the text again may give others), ``None`` if
            unknown.
    """

    problem_id: str
    sample_id: int
    prompt: str
    completion: str
    gold: str
    status: str
    reward: float
    correct: bool
    answer: str | None
    n_tokens: int | None
    finish_reason: str | None
    token_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.sample_id < 0 or (self.n_tokens or 0) < 0:
            raise ConfigError(
                f"sample_id and n_tokens must be at least 0, got {self.sample_id} and "
                f"{self.n_tokens} for problem {self.problem_id!r}."
            )
        if self.finish_reason not in (*FINISH_REASONS, None):
            raise ConfigError(
                f"finish_reason must be 'stop' or 'length', got {self.finish_reason!r} "
                f"for problem {self.problem_id!r}."
            )
        if self.token_ids is not None and len(self.token_ids) != self.n_tokens:
            raise ConfigError(
                f"n_tokens is {self.n_tokens} but token_ids has {len(self.token_ids)} entries "
                f"for problem {self.problem_id!r}."
            )


def to_table(rows: Iterable[Rollout]) -> pa.Table:
    """Turn rows into a table of ``SCHEMA``."""
    held = list(rows)
    names = [field.name for field in fields(Rollout)]
    columns = {name: [getattr(row, name) for row in held] for name in names}
    return pa.table(columns, schema=SCHEMA)


def encode_prompt(prompt: str | list[dict[str, str]]) -> str:
    """Return the text as which a prompt is stored: itself, or its messages as JSON.

    Raises:
        DataError: a plain prompt looks like stored messages, so the two could not be told apart.

    >>> encode_prompt([{"role": "user", "content": "2 + 2 ="}])
    '[{"role": "user", "content": "2 + 2 ="}]'
    """
    if not isinstance(prompt, str):
        return json.dumps(prompt, ensure_ascii=False)
    if not isinstance(decode_prompt(prompt), str):
        raise DataError(
            f"The plain-text prompt {one_line(repr(prompt), 60)} is JSON chat messages as text; "
            "pass the messages as a list instead."
        )
    return prompt


def decode_prompt(text: str) -> str | list[dict[str, str]]:
    """Undo ``encode_prompt``."""
    if not text.startswith("[{"):
        return text
    try:
        messages = json.loads(text)
    except json.JSONDecodeError:
        return text
    is_chat = all(isinstance(m, dict) and "role" in m and "content" in m for m in messages)
    return messages if is_chat else text
