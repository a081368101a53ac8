"""Sample files that the tests of reading start from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polypath.rollouts import RolloutStore
from tests.rollouts.rows import manifest, row


def lines(path: Path, rows: Sequence[Mapping[str, Any] | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


GOOD = [
    {"problem_id": "a", "sample_id": 0, "completion": "a0", "correct": True, "answer": "5"},
    {"problem_id": "a", "sample_id": 1, "completion": "a1", "correct": False},
    {"problem_id": "b", "sample_id": 0, "completion": "b0", "correct": True, "answer": "7"},
]


def write_run(folder: Path) -> None:
    with RolloutStore.create_or_open(folder / "samples", manifest()) as store:
        store.append([row("b", 1, correct=False, status="timeout"), row("a", 0)])
        store.append([row("b", 0, answer=None, correct=False, status="no_answer")])
        store.append([row("a", 1, reward=float("nan"))])
