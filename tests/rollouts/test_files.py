from pathlib import Path

import pytest

from polypath.errors import DataError, MissingFileError
from polypath.rollouts.files import atomic_write, read_json, remove_leftovers, write_json


def test_a_failed_write_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write_json(target, {"a": 1})
    with pytest.raises(TypeError), atomic_write(target) as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert read_json(target, "a test file") == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".writing-1-x").write_bytes(b"")
    (tmp_path / "writing").write_bytes(b"")
    remove_leftovers(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["writing"]


def test_what_is_not_an_object_of_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(MissingFileError, match="a test file"):
        read_json(path, "a test file")
    for content in (b"[1]", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000):
        path.write_bytes(content)
        with pytest.raises(DataError, match="a test file"):
            read_json(path, "a test file")
