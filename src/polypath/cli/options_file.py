"""``--config FILE`` of a command: its options from a flat YAML file. The command line overrides it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from polypath.errors import ConfigError, unknown_name
from polypath.tasks.options import option_texts
from polypath.yaml_file import read_yaml

NOT_IN_A_FILE = frozenset({"config", "help"})


def _fill(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the command's defaults, before any other option is read."""
    if path is None or context.resilient_parsing:
        return path
    known = _options(context)
    defaults: dict[str, Any] = {}
    for key, value in read_yaml(path, "Options file").items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise unknown_name(f"option in {path}:", str(key), known)
        option = known[name]
        if option.name in defaults:
            raise ConfigError(f"{path} gives {key} twice, with - and with _. Leave one out.")
        if value is not None:
            defaults[str(option.name)] = _value(key, value, option, path)
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


def _options(context: typer.Context) -> dict[str, Any]:
    """Return the command's options by the names that a file may use: the long ones, with _ for -."""
    return {
        spelling.lstrip("-").replace("-", "_"): parameter
        for parameter in context.command.params
        for spelling in parameter.opts
        if spelling.startswith("--") and parameter.name not in NOT_IN_A_FILE
    }


def _value(key: str, value: Any, option: Any, path: Path) -> Any:
    """Return a value in the form that the option has on the command line."""
    where = f"{key} in {path}"
    if option.multiple:
        return option_texts(value, setting=where)
    if isinstance(value, Mapping | list):
        raise ConfigError(f"{where} must be one value, got {value!r}.")
    if option.is_flag != isinstance(value, bool):
        wanted = "true or false" if option.is_flag else "a value"
        raise ConfigError(f"{where} must be {wanted}, got {value!r}.")
    return value if option.is_flag else str(value)


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=_fill,
        is_eager=True,
        help="YAML file with these options, one 'option: value' per line. The command line overrides it.",
    ),
]
