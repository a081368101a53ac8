"""Problems from a file, for data that is not one of the built-in tasks."""

import json
from pathlib import Path
from typing import Any

from polypath.credentials import one_line
from polypath.errors import DataError, MissingFileError
from polypath.tasks.base import Problem

_COLUMNS = ("problem_id", "prompt", "gold")


def read_problems(path: str | Path, limit: int | None = None) -> list[Problem]:
    """Read problems from JSON lines with ``problem_id``, ``prompt`` and ``gold``.

    ``prompt`` is text or a list of chat messages; further columns go to ``extra``.

    Raises:
        MissingFileError: there is no such file.
        DataError: a line is not such an object (the line is named), or an id occurs twice.
    """
    source = Path(path)
    if not source.is_file():
        raise MissingFileError(f"The problem file {source} does not exist.")
    problems: list[Problem] = []
    seen: set[str] = set()
    with source.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if limit is not None and len(problems) >= limit:
                break
            if not line.strip():
                continue
            problem = _parse(line, f"{source}, line {number}")
            if problem.problem_id in seen:
                raise DataError(f"{source}, line {number}: {problem.problem_id!r} occurs twice.")
            seen.add(problem.problem_id)
            problems.append(problem)
    return problems


def _parse(line: str, where: str) -> Problem:
    try:
        row: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON ({error}).") from None
    if not isinstance(row, dict) or any(name not in row for name in _COLUMNS):
        raise DataError(f"{where}: expected an object with {', '.join(_COLUMNS)}.")
    prompt = row["prompt"]
    is_chat = isinstance(prompt, list) and all(
        isinstance(m, dict) and "role" in m and "content" in m for m in prompt
    )
    if not prompt or not (isinstance(prompt, str) or is_chat):
        raise DataError(
            f"{where}: prompt must be text or chat messages, got {one_line(repr(prompt), 60)}."
        )
    extra = {name: value for name, value in row.items() if name not in _COLUMNS}
    return Problem(
        problem_id=str(row["problem_id"]), prompt=prompt, gold=str(row["gold"]), extra=extra
    )
