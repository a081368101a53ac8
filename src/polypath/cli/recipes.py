"""``polypath recipes``: lists, prints and copies the recipes and studies that ship with polypath."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from polypath.cli.runs import console_beside
from polypath.errors import ConfigError, unknown_name

FOLDER = Path(__file__).parent.parent / "assets"
KINDS = ("recipes", "studies")


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="File or folder of the list. A file is printed, unless --to is given.",
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Folder to copy the file or folder into.")] = None,
) -> None:
    """List, print or copy the recipes and studies of polypath.

    There are recipes of the papers' experiments, launch configurations for accelerate and DeepSpeed, and
    studies. Without NAME they are listed.
    """
    console = console_beside()
    if name is None:
        if to is not None:
            raise ConfigError("--to needs a name: which recipe or study should be copied?")
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("name")
        table.add_column("what")
        for path in _files():
            table.add_row(Text(_name(path)), Text(_first_comment(path)))
        console.print(table)
        return
    source = _find(name)
    if to is None:
        if source.is_dir():
            raise ConfigError(
                f"{name} is a folder. Say where to copy it with --to, or name a file."
            )
        console.print(source.read_text(encoding="utf-8"), end="", soft_wrap=True)
        return
    from polypath.rollouts.files import copy_whole

    target = to / source.name
    if target.exists():
        raise ConfigError(f"{target} exists already. Name another folder, or move this one away.")
    copy_whole(source, target)
    console.out(f"Copied to {target}")


def _files() -> Iterator[Path]:
    for kind in KINDS:
        for path in sorted((FOLDER / kind).rglob("*")):
            if (
                path.is_file() and path.parent.name != "__pycache__"
            ):  # pip compiles what it installs
                yield path


def _name(path: Path) -> str:
    """Return the listed name of a file: recipes by their folder, studies as studies/NAME."""
    return str(path.relative_to(FOLDER)).removeprefix("recipes/")


def _find(name: str) -> Path:
    inside = [(FOLDER / kind).resolve() for kind in KINDS]
    for folder in (FOLDER / "recipes", FOLDER):
        for path in (folder / name, folder / f"{name}.yaml"):
            if path.exists() and any(path.resolve().is_relative_to(place) for place in inside):
                return path
    raise unknown_name("recipe", name, (_name(path) for path in _files()))


def _first_comment(path: Path) -> str:
    """Return a file's description: its first line that is a comment or begins a docstring, if any."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next((line for line in lines if not line.startswith("#!")), "")
    return first.lstrip('#"').strip() if first.startswith(("#", '"""')) else ""
