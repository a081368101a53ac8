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
