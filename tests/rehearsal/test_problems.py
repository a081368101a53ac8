import json
from pathlib import Path

import pytest

from polypath.errors import DataError, MissingFileError
from polypath.rehearsal.problems import read_problems
from tests.refusals import refused

GOOD = {"problem_id": 1, "prompt": "2 + 2", "gold": 4, "level": "easy"}


def write(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines))
    return path


def test_problems_are_read_with_their_extras(tmp_path: Path) -> None:
    chat = {"problem_id": "b", "prompt": [{"role": "user", "content": "x"}], "gold": "y"}
    first, second = read_problems(write(tmp_path / "p.jsonl", GOOD, "", chat))
    assert (first.problem_id, first.prompt, first.gold) == ("1", "2 + 2", "4")
    assert first.extra == {"level": "easy"}
    assert second.prompt == chat["prompt"]
    assert len(read_problems(tmp_path / "p.jsonl", limit=1)) == 1


@pytest.mark.parametrize(
    ("row", "facts"),
    [
        ("{", ("line 2", "JSON")),
        ([1], ("line 2", "problem_id", "prompt", "gold")),
        ({"problem_id": 2, "prompt": "x"}, ("line 2",)),
        ({**GOOD, "problem_id": 2, "prompt": ""}, ("line 2", "prompt")),
        ({**GOOD, "problem_id": 2, "prompt": [1]}, ("line 2", "prompt")),
        (GOOD, ("line 2", "'1'")),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row: object, facts: tuple[str, ...]) -> None:
    with refused(DataError, *facts):
        read_problems(write(tmp_path / "p.jsonl", GOOD, row))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refused(MissingFileError, "none.jsonl"):
        read_problems(tmp_path / "none.jsonl")
