"""What cannot be written is one line and exit code 2, and what was there before stays."""

import ast
import contextlib
import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import polypath
from polypath.cli.main import run
from polypath.rollouts.files import atomic_write, copy_whole, write_file
from tests.cli.test_main import one_line
from tests.rollouts.sample_files import GOOD, lines

ROOT = Path(polypath.__file__).parent
IN_PLACE = ("write_text", "write_bytes", "copytree", "copyfile", "copy2", "move")
WRITING = re.compile("[wx][bt+]{0,2}")
WRITERS = {"--json": "x.json", "--csv": "x.csv", "--figure": "x.png"}


@pytest.fixture
def samples(tmp_path: Path) -> str:
    return str(lines(tmp_path / "run.jsonl", GOOD))


def blocked(folder: Path, how: str, name: str) -> Path:
    """Return a path to a file that cannot be written."""
    path = folder / name
    if how == "a folder":
        path.mkdir()
    elif how == "in a file":
        (folder / "file").touch()
        path = folder / "file" / name
    elif how == "long name":
        path = folder / ("x" * 300 + name)
    elif how == "link to nowhere":
        path.symlink_to(folder / "no" / "where" / name)
    elif how == "link to itself":
        path.symlink_to(path)
    elif how == "read-only":
        path.write_text("good")
        path.chmod(0o444)
    return path


@pytest.mark.parametrize(
    ("option", "how"),
    [
        *((option, "a folder") for option in WRITERS),
        ("--json", "in a file"),
        ("--csv", "long name"),
        ("--json", "link to nowhere"),
        ("--csv", "link to itself"),
        ("--json", "read-only"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    option: str, how: str, samples: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if how == "read-only" and os.geteuid() == 0:
        pytest.skip("to root nothing is read-only")
    path = blocked(tmp_path, how, WRITERS[option])
    assert run(["diversity", samples, option, str(path)]) == 2
    assert path.name[:9] in one_line(capsys) or "file" in how
    assert not list(tmp_path.glob(".writing-*"))


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond 100 bytes, which fails like a full disk; pytest's own neither."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "arguments",
    [
        ["diversity", "{run}", "--json", "{out}"],
        ["diversity", "{run}", "--figure", "{out}.png"],
        ["report", "{run}", "same={run}", "--out", "{out}"],
    ],
    ids=lambda arguments: " ".join(arguments[::2]),
)
def test_a_full_disk_leaves_what_was_there(
    samples: str,
    tmp_path: Path,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [argument.format(run=samples, out=tmp_path / "out") for argument in arguments]
    out = Path(filled[-1])
    out.write_text("good")
    with full_disk():
        code = run(filled)
    assert code == 2
    assert str(out) in one_line(capsys)
    assert out.read_text() == "good"
    assert not list(tmp_path.glob(".writing-*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("target", ["stdout", "/dev/full"])
def test_a_device_that_is_full_is_one_line(samples: str, target: str) -> None:
    path = "-" if target == "stdout" else target
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "polypath", "diversity", samples, "--json", path],
            stdout=full if target == "stdout" else subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert os.strerror(errno.ENOSPC) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_devices_links_and_permissions_stay(samples: str, tmp_path: Path) -> None:
    assert run(["diversity", samples, "--json", os.devnull]) == 0
    assert not Path(os.devnull).is_file()
    file, link = tmp_path / "there" / "x.json", tmp_path / "link"
    file.parent.mkdir()
    link.symlink_to(file)
    write_file(link, b"new")  # the link dangles, but its folder is there
    file.chmod(0o640)
    write_file(link, b"newer")
    assert link.is_symlink()
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"newer", 0o640)
    name = "x" * 255
    write_file(tmp_path / name, b"the longest name")
    assert (tmp_path / name).is_file()


def test_a_folder_is_copied_whole_or_not_at_all(tmp_path: Path) -> None:
    source = tmp_path / "source"
    lines(source / "a" / "b.jsonl", GOOD)
    copy_whole(source, tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy" / "a" / "b.jsonl").is_file()
    (source / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="broken"):
        copy_whole(source, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "source"]


def test_an_error_names_the_file_and_not_its_temporary_neighbour(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.mkdir()
    with pytest.raises(IsADirectoryError) as caught, atomic_write(path) as file:
        file.write(b"x")
    assert caught.value.filename == str(path)


def direct_writes(source: str) -> list[int]:
    """Lines that open a file to write it in place; to append to it is allowed."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        opens = "open" in (method, getattr(node.func, "id", ""))
        values = [*node.args, *(keyword.value for keyword in node.keywords)]
        texts = [
            v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)
        ]
        if method in IN_PLACE or (opens and any(WRITING.fullmatch(text) for text in texts)):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    ("line", "is_direct"),
    [
        ("path.write_text(x)", True),
        ("path.open('w')", True),
        ("open(path, mode='wb')", True),
        ("gzip.open(path, 'xt')", True),
        ("shutil.copytree(a, b)", True),
        ("path.open('rb')", False),
        ("path.open('a', encoding='utf-8')", False),
        ("archive.open('two words')", False),
        ("write_file(path, x)", False),
    ],
)
def test_direct_writes_are_found(line: str, is_direct: bool) -> None:
    assert bool(direct_writes(line)) is is_direct


def test_one_module_opens_outputs() -> None:
    places = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if "assets" not in path.parts  # what users copy and run
        and direct_writes(path.read_text(encoding="utf-8"))
    }
    assert places == {"rollouts/files.py"}
