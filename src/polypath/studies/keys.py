"""Keys of a study file: fields of dataclasses, whose types and bounds define valid values."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import MISSING, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, get_args, get_origin, get_type_hints

from polypath.credentials import one_line
from polypath.errors import ConfigError, unknown_name


class Bounds(NamedTuple):
    """Bounds of a number, or of each number in a list.

    Attributes:
        least: smallest value allowed.
        most: largest value allowed.
        above: value that must be exceeded.
    """

    least: float = 0
    most: float = math.inf
    above: float = -math.inf


def key(default: Any = MISSING, bounds: Bounds = Bounds()) -> Any:  # noqa: B008  # a tuple
    """Return a dataclass field that is a key of the study file. It is required unless it has a default.

    Args:
        default: value if the file omits the key.
        bounds: bounds of a number, or of each number in a list.
    """
    return field(default=default, metadata={"bounds": bounds})


def nested(default: Any = MISSING) -> Any:
    """Return a dataclass field that is a key whose content ``read`` returns unchecked."""
    return field(default=default, metadata={"bounds": None})


def read(
    content: Any, where: str, config: type, *, also: Collection[str] = (), **defaults: Any
) -> dict[str, Any]:
    """Return the value of every key of a mapping.

    By its type, a value is a text (``str``, ``Path``), a whole number, a number, a flag, a choice
    (``Literal``), or a list of different values of one of these (``tuple``).

    Args:
        content: content of the file.
        where: place of the mapping, for messages.
        config: a dataclass whose fields are the keys.
        also: keys that are read elsewhere.
        **defaults: defaults of keys, in place of their own.

    Raises:
        ConfigError: it is not a mapping, has an unknown key (the nearest one is named), lacks a key
            without a default, or a value does not fit.
    """
    keys = {f.name: f for f in fields(config) if "bounds" in f.metadata}
    hints = get_type_hints(config)
    for name in names_of(content, where):
        if name not in keys and name not in also:
            raise unknown_name(f"key in {where}:", name, [*keys, *also])
    found = {}
    for name, one in keys.items():
        default, value = defaults.get(name, one.default), content.get(name)
        bounds = one.metadata["bounds"]
        if name not in content and default is not MISSING:
            value = default
        elif bounds is not None and not default == value == "":
            value = _fitting(value, f"{name} in {where}", hints[name], bounds)
        found[name] = value
    return found


def names_of(content: Any, where: str) -> Mapping[str, Any]:
    """Return a mapping after checking that its keys are names.

    Args:
        content: the file's content at this place.
        where: name of this place, for messages.

    Raises:
        ConfigError: it is not a mapping, or a key is not a text.
    """
    if not isinstance(content, dict):
        refuse(where, "must hold 'key: value' lines", content)
    for name in content:
        if not isinstance(name, str):
            refuse(where, "must have names as keys (quote a number)", name)
    found: Mapping[str, Any] = content
    return found


def _fitting(value: Any, where: str, hint: Any, bounds: Bounds) -> Any:
    """Return a value converted to its type."""
    many = get_origin(hint) is tuple
    kind, items = (get_args(hint)[0], value) if many else (hint, [value])
    if not isinstance(items, list) or not all(_fits(item, kind, bounds) for item in items):
        refuse(where, f"must be {'a list, each ' if many else ''}{_what(kind, bounds)}", value)
    if kind is float:
        items = [float(item) for item in items]
    elif kind in (str, Path):
        items = [" ".join(item.split()) for item in items]
    if len(set(items)) < len(items):
        refuse(where, "must not name anything twice", value)
    return tuple(items) if many else items[0]


def _fits(value: Any, kind: Any, bounds: Bounds) -> bool:
    if kind in (str, Path):
        return isinstance(value, str) and bool(value.strip())
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    try:  # YAML reads 1e-4 (without a dot) as a text
        number = float(value) if kind is float and isinstance(value, str) else value
    except ValueError:
        return False
    least, most, above = bounds
    of_kind = isinstance(number, int if kind is int else int | float)
    return of_kind and least <= number <= most and above < number < math.inf


def _what(kind: Any, bounds: Bounds) -> str:
    """Say what fits."""
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    if kind in (str, Path):
        return "a text"
    least, most, above = bounds
    told = f"of at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
    told = f"above {above:g}" if above > -math.inf else told
    return f"a {'whole ' if kind is int else ''}number {told}"


def folder_name(name: str, what: str) -> str:
    """Return a name after checking that it can be part of a folder's name.

    Args:
        name: consists of letters, digits, ``_``, ``-`` and ``.``, and starts with a letter or digit.
        what: what has this name, for messages.

    Raises:
        ConfigError: it has other characters.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        refuse(what, "must consist of letters, digits, '_', '-' and '.'", name)
    return name


def refuse(where: str, must: str, got: object) -> NoReturn:
    """Raise the error for an invalid value in a study file.

    Args:
        where: name of the value's place in the file.
        must: the requirement, such as ``must be a list``.
        got: the value.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(f"{where} {must}, got {one_line(repr(got), 80)}.")
