"""Settings written once: a field of a config dataclass, with its help.

A method's settings are fields of a frozen dataclass that checks itself. Recipes, keyword arguments and
help texts are flat (``dra_strength``), so each field also has a flat *key*. Everything that shows or
reads settings is derived from the fields.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from polypath.errors import ConfigError


def setting(default: Any, help: str, *, key: str | None = None) -> Any:
    """Return a dataclass field that is a setting.

    Args:
        default: its default value.
        help: what it does, its range and unit, in a line or a few.
        key: flat key; without one it is the owner's prefix and the name of the field, joined by ``_``.
    """
    return field(default=default, metadata={"help": help, "key": key})


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting as recipes, commands and documents see it.

    Attributes:
        key: flat name, such as ``dra_strength``.
        field: name of the field in its config class; empty for a switch, which is in none.
        type: as annotated; choices (``Literal``) as ``str``, which the config class checks.
        default: value where nothing is set.
        help: what it does.
    """

    key: str
    field: str = ""
    type: Any
    default: Any
    help: str


@cache
def settings_of(config: type, prefix: str) -> tuple[Setting, ...]:
    """Return the settings of a config class; fields made without ``setting`` are none.

    Args:
        config: a dataclass.
        prefix: put before the name of every field that has no key of its own; empty for none.
    """
    hints = get_type_hints(config)
    return tuple(
        Setting(
            key=f.metadata["key"] or "_".join(filter(None, (prefix, f.name))),
            field=f.name,
            type=_flat_type(hints[f.name]),
            default=f.default,
            help=f.metadata["help"],
        )
        for f in fields(config)
        if f.default is not MISSING and "help" in f.metadata
    )


def build(config: type, prefix: str, values: Mapping[str, Any], **given: Any) -> Any:
    """Build a config from flat values; keys that are missing keep their defaults.

    Args:
        config: a dataclass.
        prefix: as in ``settings_of``.
        values: flat key to value; other keys are ignored.
        **given: fields that are no settings, or win over the values.

    Raises:
        ConfigError: a value is out of range or of a wrong type.
    """
    chosen = {s.field: values[s.key] for s in settings_of(config, prefix) if s.key in values}
    try:
        return config(**{**chosen, **given})
    except TypeError as error:  # a comparison that the type does not know: a text for a number
        told = ", ".join(
            f"{s.key}={values[s.key]!r}" for s in settings_of(config, prefix) if s.key in values
        )
        raise ConfigError(f"A setting has a value of the wrong type: {told} ({error}).") from error


def merged(groups: Iterable[tuple[str, Iterable[Setting]]]) -> dict[str, Setting]:
    """Join the settings of several owners by key.

    Args:
        groups: name of each owner and its settings. Owners may share a setting, if it is the same.

    Raises:
        ConfigError: two owners have different settings of one key.
    """
    found: dict[str, tuple[str, Setting]] = {}
    for owner, settings in groups:
        for one in settings:
            before, known = found.setdefault(one.key, (owner, one))
            if known != one:
                raise ConfigError(
                    f"{owner} and {before} both have a setting {one.key}. Give one of them another "
                    "name or key."
                )
    return {key: one for key, (_, one) in found.items()}


def check_choices(owner: str, config: Any) -> None:
    """Check every field of a config whose type is a ``Literal``.

    Raises:
        ConfigError: naming the field, what is allowed and the value.
    """
    for name, allowed in _choices(config.__class__).items():
        if getattr(config, name) not in allowed:
            raise ConfigError(
                f"{owner} {name} must be one of {', '.join(map(str, allowed))}, "
                f"got {getattr(config, name)!r}."
            )


@cache
def _choices(config: type) -> dict[str, tuple[Any, ...]]:
    hints = get_type_hints(config)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def is_number(value: object) -> bool:
    """Return whether the value is an int or a float; True and False are neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _flat_type(hint: Any) -> Any:
    return str if get_origin(hint) is Literal else hint
