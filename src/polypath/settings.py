"""Settings defined once: a field of a config dataclass, with its help.

A method's settings are fields of a frozen dataclass that checks itself. Recipes, keyword arguments and
help texts are flat (``dra_strength``), so each field also has a flat *key*. Everything that shows or
reads settings is derived from the fields.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from polypath.errors import ConfigError, unknown_name


def setting(default: Any, help: str, *, key: str | None = None, within: str | None = None) -> Any:
    """Return a dataclass field that is a setting.

    Args:
        default: its default value.
        help: what it does, its range and unit, in a line or a few.
        key: flat key; by default the owner's prefix and the name of the field, joined by ``_``.
        within: the interval of a number, such as ``"(0, 1]"``; ``inf)`` is any finite number. Checked by
            ``check_settings``.
    """
    return field(default=default, metadata={"help": help, "key": key, "within": within})


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting as it appears in recipes, commands and documents.

    Attributes:
        key: flat name, such as ``dra_strength``.
        field: name of the field in its config class; empty for a switch, which is no field.
        type: the annotation; choices (``Literal``) are ``str``, and the config class checks them.
        default: value if nothing is set.
        help: what it does.
    """

    key: str
    field: str = ""
    type: Any
    default: Any
    help: str


@cache
def settings_of(config: type, prefix: str) -> tuple[Setting, ...]:
    """Return the settings of a config class. Fields made without ``setting`` are not settings.

    Args:
        config: a dataclass.
        prefix: put before the name of every field that has no key of its own; empty for no prefix.
    """
    hints = get_type_hints(config)
    return tuple(
        Setting(
            key=f.metadata.get("key") or "_".join(filter(None, (prefix, f.name))),
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
        **given: fields that are not settings, or that override the values.

    Raises:
        ConfigError: a value is out of range or of a wrong type.
    """
    chosen = {s.field: values[s.key] for s in settings_of(config, prefix) if s.key in values}
    try:
        return config(**{**chosen, **given})
    except TypeError as error:  # a comparison that the type lacks, such as a text with a number
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


def read_overrides(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of ``--key value ...`` texts by key, with ``_`` for ``-``; a bare key has none.

    >>> read_overrides(["--max-steps=3", "--objectives", "a.py:A", "b.py:B", "--dra"])
    {'max_steps': ['3'], 'objectives': ['a.py:A', 'b.py:B'], 'dra': []}

    Raises:
        ConfigError: a text has no key before it.
    """
    found: dict[str, list[str]] = {}
    key = None
    for text in texts:
        if text.startswith("--"):
            key, equals, value = text[2:].partition("=")
            key = key.replace("-", "_")
            found[key] = [value] if equals else []
        elif key is None:
            raise ConfigError(f"{text!r} belongs to no option. Write --key value.")
        else:
            found[key].append(text)
    return found


def check_settings(config: Any, owner: str = "") -> None:
    """Check type, choices and interval of every setting of a config. Call it in ``__post_init__``.

    Args:
        config: a dataclass; fields made without ``setting`` are not checked.
        owner: put before a name that has no key of its own, as in ``settings_of``.

    Raises:
        ConfigError: names the setting, what is allowed, the value and the meaning of the setting.
    """
    for name, rule in _rules(config.__class__, owner).items():
        value = getattr(config, name)
        if rule.allows(value):
            continue
        if rule.choices:
            raise unknown_name(rule.key, str(value), map(str, rule.choices))
        meaning = rule.help.split(". ")[0].removesuffix(".")
        raise ConfigError(f"{rule.key} must be {rule.expected}, got {value!r}. It is: {meaning}.")


@dataclass(frozen=True, kw_only=True)
class _Rule:
    """What values a setting may have."""

    key: str
    help: str
    kind: type
    optional: bool
    choices: tuple[Any, ...]
    within: str | None

    @property
    def expected(self) -> str:
        named = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        text = named[self.kind] + (f" in {self.within}" if self.within else "")
        return f"{text}, or unset" if self.optional else text

    def allows(self, value: Any) -> bool:
        if value is None:
            return self.optional
        if self.choices:
            return value in self.choices
        if self.kind in (bool, str):
            return isinstance(value, self.kind)
        if not is_number(value) or (self.kind is int and not isinstance(value, Integral)):
            return False
        return self.within is None or _inside(value, self.within)


@cache
def _rules(config: type, owner: str) -> dict[str, _Rule]:
    """Return by field what is checked. A type other than the plain ones is not checked."""
    within = {f.name: f.metadata.get("within") for f in fields(config)}
    rules = {}
    for one in settings_of(config, owner):
        hint = get_type_hints(config)[one.field]
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        optional = NoneType in get_args(hint)
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        kind = str if choices else kinds[0] if optional and len(kinds) == 1 else hint
        if kind in (bool, int, float, str):
            rules[one.field] = _Rule(
                key=one.key,
                help=one.help,
                kind=kind,
                optional=optional,
                choices=choices,
                within=within[one.field],
            )
    return rules


def _inside(value: float, interval: str) -> bool:
    """Return whether a number is in an interval such as ``"(0, 1]"``; NaN is in none."""
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = low <= value if interval[0] == "[" else low < value
    return above and (value <= high if interval[-1] == "]" else value < high)


def is_number(value: object) -> bool:
    """Return whether the value is a real number. True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _flat_type(hint: Any) -> Any:
    return str if get_origin(hint) is Literal else hint
