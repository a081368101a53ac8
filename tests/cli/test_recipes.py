"""Recipes and studies ship with the package: they are listed, printed and copied."""

from pathlib import Path

import pytest

from polypath.cli.main import run
from polypath.plan.settings import read_settings
from polypath.studies.load import load_study


def test_everything_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes"]) == 0
    shown = capsys.readouterr().out
    for name in ("dra_grpo/dra_grpo.yaml", "accelerate/fsdp2.yaml", "studies/quickstart.yaml"):
        assert name in shown


def test_copies_are_read_where_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["recipes", "dra_grpo", "--to", "mine"]) == 0
    assert read_settings("mine/dra_grpo/dra_grpo.yaml").flag("dra")
    for name in ("recipes", "studies"):
        assert run(["recipes", name, "--to", "all"]) == 0
    assert load_study(Path("all/studies/collapse.yaml")).name == "collapse"
    assert run(["recipes", "countdown/grpo", "--to", "mine"]) == 0
    assert Path("mine/grpo.yaml").is_file()
    capsys.readouterr()
    assert run(["recipes", "countdown/grpo"]) == 0
    assert capsys.readouterr().out == Path("mine/grpo.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["dra_grpo/dra_grp"], ["dra_grpo/dra_grpo.yaml"]),
        (["../countdown_base"], ["countdown_base"]),
        (["dra_grpo"], ["--to"]),
        (["--to", "x"], ["--to"]),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], facts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["recipes", *words]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert all(fact in told for fact in facts)


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grpo.yaml").write_text("mine")
    assert run(["recipes", "countdown/grpo", "--to", str(tmp_path)]) == 2
    assert "grpo.yaml" in capsys.readouterr().err
    assert (tmp_path / "grpo.yaml").read_text() == "mine"


def test_what_python_compiled_is_neither_listed_nor_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from polypath.cli import recipes as module

    compiled = tmp_path / "assets" / "recipes" / "verl" / "__pycache__"
    compiled.mkdir(parents=True)
    (compiled / "curves.cpython-311.pyc").write_bytes(b"\xa7\x0d")
    (compiled.parent / "curves.py").write_text('"""Print curves."""\n')
    (compiled.parent / "run.sh").write_text("#!/usr/bin/env bash\n# Train.\n")
    (tmp_path / "assets" / "studies").mkdir()
    monkeypatch.setattr(module, "FOLDER", tmp_path / "assets")
    assert run(["recipes"]) == 0
    told = capsys.readouterr().out
    assert "pyc" not in told
    assert all(text in told for text in ("Print curves.", "Train."))
    assert run(["recipes", "verl", "--to", str(tmp_path / "copied")]) == 0
    names = {path.name for path in (tmp_path / "copied").rglob("*")}
    assert names == {"verl", "curves.py", "run.sh"}
