"""Flat YAML files as written: keys, values, and the comments that name the sources.

Quick to import: nothing here imports torch, TRL or transformers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from polypath.errors import ConfigError
from polypath.yaml_file import read_yaml

# Start of the comment beside a key -> the source that it names.
SOURCES = {"paper": "paper", "authors' code": "authors' code", "ours": "ours"}
UNSAID = "not said"
COMMAND_LINE = "command line"

_FACTS = re.compile(r"^#\s*plan:\s*(?P<facts>.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class GivenValue:
    """One key of a file.

    Attributes:
        key: as written.
        value: as YAML reads it.
        source: a value of ``SOURCES``, ``"not said"`` or ``"command line"``.
        note: the whole comment beside the key; empty if there is none.
    """

    key: str
    value: Any
    source: str = UNSAID
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class FlatFile:
    """The content of a flat YAML file.

    Attributes:
        settings: settings by key, in the file's order.
        facts: numbers of the line ``# plan: name=number ...`` in the comments. A recipe knows them and no
            setting says them, such as the number of processes that it was written for.
    """

    settings: Mapping[str, GivenValue]
    facts: Mapping[str, float]

    @property
    def values(self) -> dict[str, Any]:
        """The values by key."""
        return {key: setting.value for key, setting in self.settings.items()}


def read_flat(path: Path) -> FlatFile:
    """Read a flat YAML file with the comments beside its keys.

    Args:
        path: the file.

    Raises:
        MissingFileError: the file does not exist.
        DataError: it is not YAML, not a mapping, or has a key twice.
        ConfigError: its ``# plan:`` line has something other than ``name=number``.
    """
    values = read_yaml(path, "Recipe")
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)  # read_yaml has seen it
    notes = {key.value: _comment(lines, key, value) for key, value in node.value}
    settings: dict[str, GivenValue] = {}
    for key, value in values.items():
        note = notes.get(str(key), "")
        settings[str(key)] = GivenValue(
            key=str(key), value=value, source=source_of(note), note=note
        )
    return FlatFile(settings=settings, facts=_facts(text, path))


def source_of(note: str) -> str:
    """Return the source of a setting, from the start of the comment beside it."""
    for start, source in SOURCES.items():
        if re.match(rf"{re.escape(start)}\b", note):
            return source
    return UNSAID


def _comment(lines: list[str], key: yaml.Node, value: yaml.Node) -> str:
    """Return the comment on a setting's line: after its value, or after the colon of a block."""
    row = key.end_mark.line
    column = key.end_mark.column
    if value.start_mark.line == row and value.end_mark.line == row:
        column = value.end_mark.column
    match = re.search(r"(?:^|\s)#\s*(.*)$", lines[row][column:])
    return match.group(1).strip() if match else ""


def _facts(text: str, path: Path) -> dict[str, float]:
    match = _FACTS.search(text)
    facts: dict[str, float] = {}
    for pair in match.group("facts").split() if match else []:
        name, _, number = pair.partition("=")
        try:
            facts[name] = float(number)
        except ValueError as error:
            raise ConfigError(
                f"The '# plan:' line of {path} must hold name=number pairs, got {pair!r}."
            ) from error
    return facts
