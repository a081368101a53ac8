"""`polypath report`: a page, the same words in the terminal, and one line for what goes wrong."""

from pathlib import Path

import pytest

from polypath.cli.main import run
from tests.cli.test_diversity import one_line, rows, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    return [
        write(tmp_path / "base.jsonl", [*rows(), {"problem_id": "q1"}]),
        write(tmp_path / "new.jsonl", rows(seed=1, shift=0.4)),
    ]


def test_report_writes_the_page_and_prints_the_summary(
    runs: list[str], tmp_path: Path, capsys: Capture
):
    out = tmp_path / "pages" / "report.html"
    assert run(["report", *runs, "--out", str(out)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("new against base: pass@1 ")
    assert "left out 1 row" in shown
    page = out.read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "new" in page
    assert "pass@4" in page


def test_options_of_measuring_reach_the_page(runs: list[str], tmp_path: Path, capsys: Capture):
    out = tmp_path / "report.html"
    assert run(["report", *runs, "--k", "1,2", "--out", str(out)]) == 0
    assert "pass@4" not in out.read_text(encoding="utf-8")
    assert run(["report", runs[0], "--out", str(out)]) == 2
    assert "RUN" in capsys.readouterr().err


def test_worker_processes_write_the_same_page_and_numbers(
    runs: list[str], tmp_path: Path, capsys: Capture
):
    pages = [tmp_path / f"{workers}.html" for workers in (1, 2)]
    numbers = [tmp_path / f"{workers}.json" for workers in (1, 2)]
    for workers, page, out in zip(("1", "2"), pages, numbers, strict=True):
        assert run(["report", *runs, "--workers", workers, "--out", str(page)]) == 0
        assert run(["compare", *runs, "--workers", workers, "--json", str(out)]) == 0
    assert pages[0].read_text() == pages[1].read_text()
    assert numbers[0].read_text() == numbers[1].read_text()
    capsys.readouterr()
    assert run(["compare", *runs, "--workers", "0"]) == 2
    assert "workers must be at least 1, got 0" in one_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{base}", "nowhere.jsonl"], "nowhere.jsonl"),
        (["{base}", "{base}"], "Two runs are called"),
        (["{base}", "{new}", "--out", "{base}/page.html"], "base.jsonl"),
        (["{base}", "{new}", "--k", "9"], "k = 9"),
    ],
)
def test_what_cannot_be_reported_is_one_line(
    arguments: list[str], words: str, runs: list[str], tmp_path: Path, capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    places = {"base": runs[0], "new": runs[1]}
    assert run(["report", *(argument.format(**places) for argument in arguments)]) == 2
    assert words in one_line(capsys)
