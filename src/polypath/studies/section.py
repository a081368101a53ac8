"""A mapping of a study file, read key by key; every error says where in the file it is."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from polypath.errors import ConfigError, unknown_name

Scalar = str | int | float | bool


class Section:
    """One mapping of a study file.

    Raises:
        ConfigError: it is no mapping, or has a key that is not ``known``; the nearest is named.
    """

    def __init__(self, content: Any, where: str, known: Iterable[str] | None) -> None:
        self.where = where
        if not isinstance(content, dict):
            self.refuse("", "must hold 'key: value' lines", content)
        for key in content:
            if not isinstance(key, str):
                self.refuse("", "must have names as keys (quote a number)", key)
            if known is not None and key not in set(known):
                raise unknown_name(f"key in {where}:", key, known)
        self.content: dict[str, Any] = content

    def refuse(self, key: str, must: str, got: object) -> NoReturn:
        """Raise the error of a value that cannot be."""
        name = f"{key} in {self.where}" if key else self.where
        raise ConfigError(f"{name} {must}, got {' '.join(repr(got).split()):.80}.")

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty; without a default it must be there."""
        value = self.content.get(key, default)
        if not isinstance(value, str) or (not value.strip() and value != default):
            self.refuse(key, "must be a text", value)
        return " ".join(value.split())

    def choice(self, key: str, known: Sequence[str]) -> str:
        """Return one of these texts; the first if the key is left out."""
        value = self.text(key, known[0])
        if value not in known:
            raise unknown_name(f"{key} in {self.where}:", value, known)
        return value

    def integer(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        """Return a whole number of at least ``least``."""
        value = self.content.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.refuse(key, f"must be a whole number of at least {least}", value)
        return int(value)

    def number(
        self, key: str, default: float, *, low: float = 0.0, high: float = math.inf
    ) -> float:
        """Return a number in ``[low, high]``."""
        value = _as_number(self.content.get(key, default))
        if value is None or not low <= value <= high or math.isinf(value):
            limits = f"at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
            self.refuse(key, f"must be a number {limits}", value)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.content.get(key, default)
        if not isinstance(value, bool):
            self.refuse(key, "must be true or false", value)
        return value

    def integers(self, key: str, default: Iterable[int], *, least: int = 0) -> tuple[int, ...]:
        """Return a list of different whole numbers, none below ``least``."""
        value = self.content.get(key, list(default))
        if not isinstance(value, list) or any(
            isinstance(v, bool) or not isinstance(v, int) or v < least for v in value
        ):
            self.refuse(key, f"must be a list of whole numbers of at least {least}", value)
        if len(set(value)) < len(value):
            self.refuse(key, "must not name a number twice", value)
        return tuple(value)

    def numbers(self, key: str, *, low: float, default: Iterable[float] = ()) -> tuple[float, ...]:
        """Return a list of different numbers above ``low``."""
        value = self.content.get(key, list(default))
        found = [_as_number(v) for v in value] if isinstance(value, list) else [None]
        if any(v is None or not low < v < math.inf for v in found):
            self.refuse(key, f"must be a list of numbers above {low:g}", value)
        if len(set(found)) < len(found):
            self.refuse(key, "must not name a number twice", value)
        return tuple(float(v) for v in found if v is not None)

    def scalars(self, key: str) -> dict[str, Scalar | list[Scalar]]:
        """Return a mapping of names to texts, numbers, flags, or lists of these."""
        section = Section(self.content.get(key) or {}, f"{key} of {self.where}", None)
        for name, value in section.content.items():
            items = value if isinstance(value, list) else [value]
            if not all(isinstance(item, str | int | float | bool) for item in items):
                section.refuse(name, "must be a text, a number, true, false or a list", value)
        return dict(section.content)

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return a mapping that is not empty."""
        value = self.content.get(key)
        section = Section(value, f"{key} of {self.where}", None)
        if not section.content:
            self.refuse(key, "must not be empty", value)
        return section.content

    def folder_name(self, what: str, name: str) -> str:
        """Return a name that can be part of a folder's."""
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            self.refuse(what, "must be letters, digits, '_', '-' and '.' alone", name)
        return name


def _as_number(value: Any) -> float | None:
    """Return a number; YAML reads 1e-4 (without a dot) as a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
