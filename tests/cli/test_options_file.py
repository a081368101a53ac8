"""``--config FILE``: options of a command from a flat YAML file."""

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from polypath.cli.main import run
from polypath.cli.options_file import ConfigOption
from polypath.errors import ConfigError, DataError, MissingFileError

GOT: dict[str, Any] = {}


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def command(
        model: str,
        out: Annotated[Path, typer.Option()],
        count: Annotated[int | None, typer.Option("--n")] = None,
        top_p: float = 1.0,
        greedy: Annotated[bool, typer.Option("--greedy")] = False,
        task_option: list[str] | None = None,
        config: ConfigOption = None,
    ) -> None:
        GOT.update(locals())

    return app


def call(app: typer.Typer, folder: Path, content: str, *words: str) -> Any:
    path = folder / "options.yaml"
    path.write_text(content)
    GOT.clear()
    return CliRunner().invoke(app, ["m", "--config", str(path), *words])


def test_options_come_from_the_file_in_either_spelling(app: typer.Typer, tmp_path: Path) -> None:
    for key in ("top_p", "top-p"):
        result = call(
            app, tmp_path, f"out: there\nn: 3\n{key}: 0.5\ngreedy: true\ntask_option: [a=1, b=2]\n"
        )
        assert result.exit_code == 0, result.output
        assert (GOT["out"], GOT["count"], GOT["top_p"]) == (Path("there"), 3, 0.5)
        assert GOT["greedy"] is True
        assert GOT["task_option"] == ["a=1", "b=2"]


def test_options_of_the_command_line_win_wherever_they_stand(
    app: typer.Typer, tmp_path: Path
) -> None:
    assert call(app, tmp_path, "out: there\nn: 3\n", "--n", "5").exit_code == 0
    assert GOT["count"] == 5
    path = tmp_path / "options.yaml"
    words = ["--out", "here", "m", "--n", "6", "--config", str(path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (GOT["out"], GOT["count"]) == (Path("here"), 6)


def test_task_options_may_be_a_mapping_and_null_leaves_an_option_alone(
    app: typer.Typer, tmp_path: Path
) -> None:
    result = call(app, tmp_path, "out: x\nn: null\ntask_option: {data: a.json, deadline: 2}\n")
    assert result.exit_code == 0, result.output
    assert GOT["count"] is None
    assert GOT["task_option"] == ["data=a.json", "deadline=2"]


@pytest.mark.parametrize(
    ("content", "kind", "named"),
    [
        ("top_q: 1\n", ConfigError, ["'top_q'", "'top_p'"]),
        ("config: other.yaml\n", ConfigError, ["'config'"]),
        ("top_p: 1\ntop-p: 1\n", ConfigError, ["top-p"]),
        ("top_p: [1]\n", ConfigError, ["top_p", "[1]"]),
        ("greedy: 3\n", ConfigError, ["greedy", "3", "true"]),
        ("n: true\n", ConfigError, ["n in", "True"]),
        ("task_option: 3\n", ConfigError, ["task_option", "3", "KEY=VALUE"]),
        ("- n\n", DataError, []),
    ],
)
def test_a_bad_file_is_one_line(
    app: typer.Typer, content: str, kind: type[Exception], named: list[str], tmp_path: Path
) -> None:
    result = call(app, tmp_path, content)
    assert isinstance(result.exception, kind)
    message = str(result.exception)
    assert "\n" not in message
    for fact in ["options.yaml", *named]:
        assert fact in message


def test_a_value_of_the_wrong_kind_is_a_usage_error(app: typer.Typer, tmp_path: Path) -> None:
    result = call(app, tmp_path, "out: x\nn: many\n")
    assert result.exit_code == 2
    assert "--n" in result.output


@pytest.mark.parametrize("command", ["sample", "eval", "presample"])
def test_the_commands_take_a_file(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err
    (tmp_path / "o.yaml").write_text("modle: x\n")
    assert run([command, "--config", str(tmp_path / "o.yaml")]) == 2
    assert "'model'" in capsys.readouterr().err


def test_a_missing_file_is_named(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["m", "--config", "none.yaml"])
    assert isinstance(result.exception, MissingFileError)


@pytest.mark.parametrize("words", [["--gpus", "2"], ["--throughput", "5"], ["--json", "x"]])
def test_options_of_a_plan_need_a_plan(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", *words]) == 2
    error = capsys.readouterr().err
    assert words[0] in error
    assert "--plan" in error
