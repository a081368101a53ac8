"""One key for a prompt, whether it comes from a task, a dataset or a rehearsal set."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from polypath.tasks.base import Problem


def prompt_key(prompt: str | Sequence[Mapping[str, Any]]) -> str:
    """Hash a prompt: 32 hexadecimal digits.

    Message fields that are ``None`` do not count, because columnar datasets add them. Neither does
    the order of a message's fields.

    >>> prompt_key([{"role": "user", "content": "2"}]) == prompt_key(
    ...     [{"content": "2", "role": "user", "tool_calls": None}]
    ... )
    True
    """
    content: Any = prompt
    if not isinstance(prompt, str):
        content = [{k: v for k, v in m.items() if v is not None} for m in prompt]
    return _digest(content)


def problems_key(problems: Iterable[Problem]) -> str:
    """Hash a list of problems: ids, prompts, golds and their order; 32 hexadecimal digits."""
    return _digest([[p.problem_id, prompt_key(p.prompt), p.gold] for p in problems])


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
