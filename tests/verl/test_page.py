"""The overrides of docs/verl.md are settings that there are, and its commands parse."""

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("verl", reason="verl has an environment of its own: make test-verl")

from typer.testing import CliRunner

from polypath.cli.main import app
from polypath.engines.verl.settings import read_settings
from tests.verl.runs import RECIPE
from tests.verl.test_settings import config

PAGE = Path(__file__).parents[2] / "docs" / "verl.md"
TEXT = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
LINES = [
    line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.S) for line in block.splitlines()
]


def words(start: str) -> list[list[str]]:
    found = [shlex.split(line, comments=True) for line in LINES if line.startswith(start)]
    assert found
    return found


@pytest.mark.parametrize("line", words("python -m verl.trainer.main_ppo"), ids=" ".join)
def test_the_overrides_are_read(line: list[str]) -> None:
    overrides = [word for word in line[3:] if word != "..."]
    assert overrides
    read_settings(config(*overrides))


def test_the_recipe_and_the_commands_are_there() -> None:
    for _, *command in words("polypath "):
        name = command[:2] if command[0] == "tasks" else command[:1]
        help_text = CliRunner().invoke(app, [*name, "--help"])
        assert help_text.exit_code == 0
        assert all(word in help_text.output for word in command if word.startswith("--"))
    assert all(line[0].endswith("verl/countdown.sh") for line in words("recipes/verl/"))
    assert RECIPE.is_file()


def test_inline_settings_are_known() -> None:
    keys = set(re.findall(r"`\+polypath\.([a-z_]+)=", TEXT))
    assert keys
    assert keys <= set(read_settings(config()).values)
