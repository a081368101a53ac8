"""The benchmarks start, and the tables of docs/performance.md are those of the committed results."""

import importlib.util
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.forks import python

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(
    path for path in FOLDER.glob("*.py") if "parse_args()" in path.read_text(encoding="utf-8")
)
TINY = {
    "gpu": ["--device", "cpu", "--sizes", "tiny", "--rounds", "1", "--no-generation"],
    "measuring": ["--scale", "0.001", "--repeats", "1"],
    "measuring_rows": ["--problems", "4"],
    "report": ["--problems", "4", "--samples", "4", "--repeats", "1", "--times", "1"],
    "reward_adjustment": ["--shrink", "64", "--repeats", "1"],
    "verify_sql": ["--answers", "20", "--repeats", "1"],
}


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import from benchmarks/ as its scripts do, and leave nothing of it behind."""
    environment, modules = dict(os.environ), set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == FOLDER:
            del sys.modules[name]
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def tables(beside: None) -> Any:
    del beside
    import tables

    return tables


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_says_what_it_does(
    path: Path,
    beside: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    del beside
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(path), run_name="__main__")
    assert stopped.value.code == 0
    first = path.read_text(encoding="utf-8").splitlines()[0].strip('"')
    assert " ".join(first.split()) in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("name", TINY)
def test_a_short_run_writes_results_that_tables_can_be_made_of(
    name: str, tmp_path: Path, tables: Any
):
    if name == "verify_sql" and importlib.util.find_spec("sqlglot") is None:
        pytest.skip("sqlglot is not installed")
    if name == "gpu":
        pytest.importorskip("trl")
    out = tmp_path / f"{name}.json"
    command = [*python(), str(FOLDER / f"{name}.py"), *TINY[name], "--out", str(out)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]

    result = json.loads(out.read_text(encoding="utf-8"))
    told = {"benchmark", "command", "environment", "settings", "rows", "bars"}
    assert set(result) == told
    assert result["benchmark"] == name
    assert result["command"].startswith(f"python benchmarks/{name}.py {TINY[name][0]}")
    assert result["rows"]
    page = f"<!-- begin {name} -->\nold\n<!-- end {name} -->\n"
    new = tables.written(page, {name: result})
    assert "old" not in new
    assert result["environment"]["date"] in new
    assert new.count("\n|") > len(result["rows"]) / 2
    assert tables.written(new, {name: result}) == new


def test_the_page_is_what_the_committed_results_make_it(tables: Any):
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.written(page, tables.read()) == page


def test_every_committed_result_stands_on_the_page(tables: Any):
    page = tables.PAGE.read_text(encoding="utf-8")
    parts = {found["name"] for found in tables.PART.finditer(page)}
    assert "bars" in parts
    assert set(tables.read()) <= parts
    assert set(tables.TABLES) <= parts


def test_a_part_without_results_says_so(tables: Any):
    page = "<!-- begin store -->\n<!-- end store -->"
    assert tables.NOTHING in tables.written(page, {})


def test_a_bar_that_is_missed_is_said_to_be(tables: Any, beside: None):
    del beside
    from results_file import at_least, at_most

    bars = [at_most("a", 1.2, 1.1), at_least("b", 1.2, 1.1)]
    _, rows = tables.bars_table([{"bars": bars}])
    assert [row[1:] for row in rows] == [
        ["at most 1.1", "1.2", "**missed**"],
        ["at least 1.1", "1.2", "kept"],
    ]
