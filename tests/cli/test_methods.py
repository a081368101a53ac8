"""The listing of methods and settings comes from the registries, and so does the page in the docs."""

from pathlib import Path

import pytest

from polypath.cli.main import run
from polypath.core.objectives import BUILT_IN

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_of_settings_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["methods", "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed == PAGE.read_text(encoding="utf-8"), (
        "run: polypath methods --markdown > docs/settings.md"
    )


def test_every_method_and_setting_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods", "--settings"]) == 0
    printed = "".join(capsys.readouterr().out.split())
    for entry in BUILT_IN.entries:
        assert entry.name in printed
    for key in BUILT_IN.settings:
        assert key in printed


OWN = """
from dataclasses import dataclass
from polypath.objectives import RewardAdjustment

@dataclass(frozen=True, kw_only=True)
class Config:
    pass

MINE = RewardAdjustment(
    name="mine", config=Config, function=lambda config, rewards_P_G: rewards_P_G,
    line="Needs polypath[math], [bold]not[/bold] markup, in [0, 1).", paper="[none]",
)
"""


def test_brackets_of_a_user_s_own_method_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / "own.py").write_text(OWN)
    assert run(["methods", "--settings", "--objectives", f"{tmp_path / 'own.py'}:MINE"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("Needs polypath[math], [bold]not[/bold] markup, in [0, 1).") == 2
    assert "[none]" in printed
