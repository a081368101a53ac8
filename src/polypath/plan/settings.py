"""Every setting that a recipe leaves at its default, without importing TRL (6 seconds).

The classes with the settings are read as source text, so names and defaults are those of the
installed versions.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from polypath.core.objectives import (
    BUILT_IN,
    Objectives,
    Registry,
    load_entries,
    read_objectives,
)
from polypath.credentials import remember_all
from polypath.errors import ConfigError, MissingExtraError
from polypath.old_keys import check_keys
from polypath.plan.flat_yaml import COMMAND_LINE, FlatFile, GivenValue, read_flat
from polypath.presets import preset
from polypath.settings import read_overrides

# Where the keys of a recipe come from, base classes first, so that later defaults override earlier ones.
CLASSES = (
    ("transformers", "training_args.py", "TrainingArguments"),
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("trl", "trainer/grpo_config.py", "GRPOConfig"),
    ("trl", "trainer/model_config.py", "ModelConfig"),
    ("trl", "scripts/utils.py", "ScriptArguments"),
    ("trl", "scripts/utils.py", "DatasetMixtureConfig"),
    ("trl", "scripts/grpo.py", "GRPOScriptArguments"),
    ("polypath", "train/task_settings.py", "TaskSettings"),
)
ENVIRONMENT = "env"  # variables to set; not a field of any class
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "none", "null", "")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A recipe's settings, with defaults for those that it omits.

    Attributes:
        given: settings of the file and the command line.
        defaults: default of every key; ``None`` also if the default is not a plain value.
        file: the file as it was read; empty if there is none.
        registry: the methods, including the user's own.
    """

    given: Mapping[str, GivenValue]
    defaults: Mapping[str, Any]
    file: FlatFile
    registry: Registry = BUILT_IN

    @property
    def facts(self) -> Mapping[str, float]:
        """Numbers of the file's ``# plan:`` line."""
        return self.file.facts

    def get(self, name: str) -> Any:
        """Return the value of a key."""
        return self.given[name].value if name in self.given else self.defaults.get(name)

    def number(self, name: str) -> float:
        """Return a number, even if YAML reads it as text (``1e-6``).

        Raises:
            ConfigError: it is not a number.
        """
        value = self.get(name)
        try:
            if isinstance(value, bool):
                raise ValueError
            return float(value)
        except (TypeError, ValueError):
            raise ConfigError(f"{name} must be a number, got {value!r}.") from None

    def count(self, name: str, least: int = 1) -> int:
        """Return a whole number of at least ``least``.

        Raises:
            ConfigError: it is not such a number.
        """
        value = self.number(name)
        if value != int(value) or value < least:
            raise ConfigError(
                f"{name} must be a whole number of at least {least}, got {self.get(name)!r}."
            )
        return int(value)

    def flag(self, name: str) -> bool:
        """Return whether a key is on.

        Raises:
            ConfigError: it is neither true nor false.
        """
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        if str(value).lower() in _TRUE or str(value).lower() in _FALSE:
            return str(value).lower() in _TRUE
        raise ConfigError(f"{name} must be true or false, got {value!r}.")

    def text(self, name: str) -> str:
        """Return a text; empty if nothing is set."""
        value = self.get(name)
        return "" if value is None else str(value)

    @property
    def objectives(self) -> Objectives:
        """Return which methods are on.

        Raises:
            ConfigError: one of their values is out of range.
        """
        values: dict[str, Any] = {}
        for key, setting in self.registry.settings.items():
            if setting.type is bool:
                values[key] = self.flag(key)
            elif setting.type is float:
                values[key] = self.number(key)
            else:
                values[key] = self.get(key)
        return read_objectives(values, self.registry)


def read_settings(config: str | Path | None, overrides: Sequence[str] = ()) -> Settings:
    """Read a recipe without checking its values, only its keys.

    Args:
        config: YAML file; ``None`` for overrides only.
        overrides: ``["--key", "value", ...]``; they override the file.

    Raises:
        MissingFileError, DataError: the file cannot be read.
        ConfigError: unknown keys, each with its replacement or the nearest known one.
        MissingExtraError: TRL, which defines most settings, is not installed.
    """
    file = FlatFile(settings={}, facts={}) if config is None else read_flat(Path(config))
    changed = read_overrides(overrides)
    registry = BUILT_IN.plus(load_entries(changed.get("objectives", file.values.get("objectives"))))
    defaults = known_settings() | {key: s.default for key, s in registry.settings.items()}
    check_keys(file.settings, defaults, config)
    check_keys(changed, defaults)
    given = dict(file.settings)
    for name, texts in changed.items():
        given[name] = GivenValue(key=name, value=_value(" ".join(texts)), source=COMMAND_LINE)
    remember_all({key: one.value for key, one in given.items()})
    if "preset" in given and given["preset"].value:
        chosen = given["preset"]
        of_preset = preset(str(chosen.value)).items()
        given = {k: GivenValue(key=k, value=v, source=chosen.source) for k, v in of_preset} | given
    return Settings(given=given, defaults=defaults, file=file, registry=registry)


@cache
def known_settings() -> dict[str, Any]:
    """Return every key of a recipe but the methods', with its default (``None`` if it is no plain value).

    Raises:
        MissingExtraError: TRL or transformers is not installed.
    """
    found: dict[str, Any] = {ENVIRONMENT: None}
    for package, file, name in CLASSES:
        tree = _parse(_folder(package) / file)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                found |= _fields(node)
    return found


def _folder(package: str) -> Path:
    if package == "polypath":
        return Path(__file__).parent.parent
    spec = find_spec(package)  # of a top-level package: nothing is imported
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            f"A recipe's settings are {package}'s, which is not installed. "
            "Run: pip install 'polypath[trl]'"
        )
    return Path(spec.origin).parent


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _fields(node: ast.ClassDef) -> dict[str, Any]:
    """Return the dataclass fields of a class and their literal defaults."""
    return {
        line.target.id: _default(line.value)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


def _default(value: ast.expr | None) -> Any:
    if isinstance(value, ast.Call):
        value = next((k.value for k in value.keywords if k.arg == "default"), None)
    try:
        return None if value is None else ast.literal_eval(value)
    except ValueError:
        return None


def _value(text: str) -> Any:
    """Return the value that YAML would read. A bare ``--key`` is true."""
    if not text:
        return True
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
