"""Options made from settings classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from polypath.cli.command import Fields, command
from polypath.cli.main import app as polypath_app
from polypath.errors import ConfigError
from polypath.settings import setting


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Some settings."""

    share: float = setting(0.5, "Of the whole, in (0, 1].")
    count: int | None = setting(None, "How many; all by default.")
    fixed: int = setting(7, "No option.")
    loud: bool = setting(False, "Say more.")

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ConfigError(f"share must be in (0, 1], got {self.share}.")


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where to."""

    url: str
    port: int = setting(80, "Of it.")
    key: str = setting("K", "In words.")


@dataclass(frozen=True, kw_only=True)
class Outer:
    """All options."""

    place: Annotated[str, typer.Argument(metavar="PLACE")]
    out: Path
    n: Annotated[int, typer.Option("--n", "--number", min=1)] = setting(3, "Samples [any number].")
    inner: Annotated[Inner, Fields(without=("fixed",))]
    address: Annotated[dict[str, Any], Fields(only=("port",), of=Address)]


GOT: list[Any] = []


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    @command
    def run(context: typer.Context, options: Outer, extra: bool = True) -> None:
        """Do it."""
        GOT[:] = [context.command.name, options, extra]

    return app


def test_options_fill_the_classes(app: typer.Typer) -> None:
    words = ["here", "--out", "x", "--number", "5", "--share", "0.25", "--port", "8", "--loud"]
    result = CliRunner().invoke(app, [*words, "--no-extra"])
    assert result.exit_code == 0, result.output
    assert [
        "run",
        Outer(
            place="here",
            out=Path("x"),
            n=5,
            inner=Inner(share=0.25, loud=True),
            address={"port": 8},
        ),
        False,
    ] == GOT


def test_defaults_are_the_classes_own(app: typer.Typer) -> None:
    assert CliRunner().invoke(app, ["here", "--out", "x"]).exit_code == 0
    assert GOT[1].inner == Inner()
    assert GOT[1].address == {"port": Address(url="u").port}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["here"], "--out"),
        (["--out", "x"], "PLACE"),
        (["here", "--out", "x", "--n", "0"], "--n"),
        (["here", "--out", "x", "--fixed", "1"], "--fixed"),
        (["here", "--out", "x", "--url", "u"], "--url"),
        (["here", "--out", "x", "--no-loud"], "--no-loud"),
    ],
)
def test_what_is_no_option_or_missing_is_a_usage_error(
    app: typer.Typer, words: list[str], named: str
) -> None:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert named in result.output


def test_the_class_checks_its_values(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["here", "--out", "x", "--share", "2"])
    assert isinstance(result.exception, ConfigError)


def test_help_is_the_field_s_with_its_brackets(app: typer.Typer) -> None:
    shown = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    assert "Of the whole, in (0, 1]. [default: 0.5]" in shown
    assert "Samples [any number]." in shown


def walk(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    found = [(" ".join(path), command)]
    for name, inner in getattr(command, "commands", {}).items():
        found += walk(inner, (*path, name))
    return found


COMMANDS = dict(walk(typer.main.get_command(polypath_app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_has_a_help_text(name: str) -> None:
    assert COMMANDS[name].help
    assert [p.name for p in COMMANDS[name].params if not getattr(p, "help", None)] == []
