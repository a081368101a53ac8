"""Examples and settings in the help: every example is accepted by the command it names."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from polypath.cli.examples import EXAMPLES
from polypath.cli.main import run
from polypath.core.objectives import BUILT_IN
from polypath.plan.settings import read_settings
from polypath.settings import settings_of
from polypath.tasks import TASKS, is_place
from polypath.train.task_settings import TaskSettings
from tests.cli.test_command import COMMANDS

LINES = [
    (name, line.strip()) for name, text in EXAMPLES.items() for line in text.split("\n") if line
]


def parse(line: str) -> tuple[str, Any]:
    """Return the command that a line names, and the context after its options were read."""
    words = shlex.split(line)
    words = words[words.index("polypath") + 1 :]
    size = 2 if " ".join(words[:2]) in COMMANDS else 1
    name = " ".join(words[:size])
    return name, COMMANDS[name].make_context(name, words[size:])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_examples_of_its_command(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*name.split(), "--help"]) == 0
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    examples = [line for of, line in LINES if of == name]
    assert 2 <= len(examples) <= 4
    assert any(parse(line)[0].startswith(name) for line in examples)
    assert [line for line in examples if line not in printed] == []  # whole: they are to be copied


ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Lines of code blocks, without the comments after them; some stand for others: "...", "[...]".
ON_PAGES = [
    found[1].split("  #")[0].strip()
    for page in PAGES
    for found in re.finditer(
        r"^(?: {4}|\$ )(.*\bpolypath .*)$", page.read_text("utf-8"), re.MULTILINE
    )
]
WHOLE = [line for line in ON_PAGES if re.match(r"polypath|torchrun|accelerate", line)]
WHOLE = [line for line in WHOLE if not re.search(r"\.\.\.|\[|\\$", line)]


def test_commands_on_pages_are_found() -> None:
    assert len(WHOLE) > 40


@pytest.mark.parametrize("line", [*(line for _, line in LINES), *dict.fromkeys(WHOLE)])
def test_every_example_is_accepted(line: str) -> None:
    name, context = parse(line)
    if name == "train":
        overrides = [word for word in context.args if word != "--plan"]
        settings = read_settings(None, overrides)  # refuses what is no setting
        assert settings.objectives is not None
    else:
        assert context.args == []
    task = context.params.get("task") or context.params.get("name") if name != "recipes" else None
    assert task is None or task.isupper() or task in TASKS or is_place(task)


@pytest.mark.parametrize(
    "text", ["recipes countdown --to recipes", "recipes studies/countdown_smoke.yaml"]
)
def test_what_examples_copy_is_there(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(text.split()) == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns_with_whole_summaries(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*name.split(), "--help"]) == 0
    text, _, _ = capsys.readouterr().out.partition("Examples:")
    assert "..." not in text.partition("Commands:")[2]
    assert max(map(len, text.splitlines())) <= 80


def test_the_help_of_train_has_every_setting_with_its_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["train", "--help"]) == 0
    printed = "".join(capsys.readouterr().out.split())  # wrapped anywhere, brackets and all
    settings = [*BUILT_IN.settings.values(), *settings_of(TaskSettings, "")]
    for one in settings:
        words = {"None": "unset", "True": "true", "False": "false"}
        default = words.get(str(one.default), str(one.default))
        told = f"--{one.key} {one.help} [default: {default}]"
        assert printed.count("".join(told.split())) == 1, one.key
    assert {"dra_strength", "preset", "rehearsal_alpha"} <= {one.key for one in settings}
    assert "(0,1]" in printed
