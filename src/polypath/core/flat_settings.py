"""The settings of a run as flat values, on an engine whose configuration is not a class of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from polypath.core.bank_settings import BankConfig
from polypath.core.objectives import (
    BUILT_IN,
    Objectives,
    Registry,
    load_entries,
    read_bank,
    read_objectives,
    read_rehearsal,
    read_similarity,
    warn_of_idle_settings,
)
from polypath.core.rehearsal_settings import RehearsalConfig
from polypath.core.run_settings import RunSettings
from polypath.errors import ConfigError, unknown_name
from polypath.presets import preset
from polypath.rollouts.files import as_read
from polypath.settings import build

PRESET, ENTRIES = "preset", "objectives"


@dataclass(frozen=True)
class FlatSettings:
    """What a run switches on; small enough to be sent to other processes, which read it anew.

    Attributes:
        values: every flat setting by key, a user's methods included.
        entries: where these methods are, such as ``my_file.py:MY_TERM``.
    """

    values: Mapping[str, Any]
    entries: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Mapping[str, Any], owner: str) -> Self:
        """Read and check settings as a user gives them, ``preset`` and ``objectives`` among them.

        Args:
            given: by key; what is missing keeps its default.
            owner: what they are settings of, for errors.

        Raises:
            ConfigError: a key is unknown or a value out of range.
            MissingFileError: a file of a user's methods does not exist.
        """
        chosen = dict(given)
        named, specs = chosen.pop(PRESET, None), chosen.pop(ENTRIES, None) or ()
        entries = (specs,) if isinstance(specs, str) else tuple(map(str, specs))
        chosen = {**(preset(str(named)) if named else {}), **chosen}
        known = BUILT_IN.plus(load_entries(entries)).settings
        for key in chosen:
            if key not in known:
                raise unknown_name(f"{owner} setting", key, [*known, PRESET, ENTRIES])
        settings = cls({key: chosen.get(key, s.default) for key, s in known.items()}, entries)
        _ = settings.run, read_similarity(settings.values), settings.objectives, settings.rehearsal
        _ = settings.bank
        warn_of_idle_settings(settings.values, settings.registry)
        return settings

    def __reduce__(self) -> Any:
        """Send the values only: what is worked out from them may hold functions that do not pickle."""
        return type(self), (dict(self.values), self.entries)

    @cached_property
    def registry(self) -> Registry:
        """The methods there are."""
        return BUILT_IN.plus(load_entries(self.entries))

    @cached_property
    def objectives(self) -> Objectives:
        """Which methods are on."""
        return read_objectives(self.values, self.registry)

    @cached_property
    def rehearsal(self) -> RehearsalConfig:
        """Settings of rehearsal."""
        return read_rehearsal(self.values)

    @cached_property
    def bank(self) -> BankConfig:
        """Settings of the bank of solutions."""
        return read_bank(self.values)

    @cached_property
    def run(self) -> RunSettings:
        """Settings that belong to no method."""
        found: RunSettings = build(RunSettings, "", self.values)
        return found

    @property
    def in_loss(self) -> bool:
        """Whether anything is added to the loss."""
        return bool(self.objectives.terms) or self.rehearsal.on or self.bank.on

    @property
    def by_answer(self) -> bool:
        """Whether a method compares completions by their solutions."""
        return self.objectives.compare and self.values["similarity"] == "answer"

    def wants(self, name: str) -> bool:
        """Return whether a method that is on wants an input, such as ``entropy_B_T``."""
        return any(name in m.wants for m in (*self.objectives.of_groups, *self.objectives.terms))

    def record(self) -> dict[str, Any]:
        """Return the settings as a record of the run will say them."""
        return as_read({**self.values, ENTRIES: self.entries})


def require_same(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> None:
    """Check that a run goes on with the settings it was begun with.

    Args:
        before: its record, ``FlatSettings.record`` and what else may not change.
        now: that of the run that goes on.
        where: the run, for the error.

    Raises:
        ConfigError: naming the first setting that differs, and both values.
    """
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise ConfigError(
                f"{where} was trained with {key}={before.get(key)!r}, but this run has {now.get(key)!r}. "
                "Use the same settings to continue it, or another folder."
            )
