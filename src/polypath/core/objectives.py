"""Which methods are on: from flat settings, or from Python objects, to one value.

The flat settings are the same for every engine: those of the registries' entries, those of rehearsal and
similarity, and a few of the run. An engine adds them to its own config class (``setting_fields``) and
reads them back (``read_objectives``).
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from functools import cached_property
from typing import Any

from polypath.core.bank_settings import BankConfig
from polypath.core.rehearsal_settings import RehearsalConfig
from polypath.core.run_settings import RunSettings
from polypath.errors import ConfigError, unknown_name
from polypath.objectives import (
    ADVANTAGES,
    DIVERGENCES,
    POLICY_TERMS,
    REWARD_ADJUSTMENTS,
    Active,
    Advantage,
    Divergence,
    DivergenceConfig,
    Entry,
    PolicyTerm,
    RewardAdjustment,
)
from polypath.settings import Setting, build, merged, settings_of
from polypath.similarity import SimilarityConfig
from polypath.similarity.registry import check_similarity
from polypath.user_code import load_object

CHOSEN_ADVANTAGE = "advantage"
CHOSEN_DIVERGENCE = "rehearsal_divergence"
BANK_DIVERGENCE = "bank_divergence"
REUSE = "num_iterations of 2 or more, or a larger steps_per_generation"


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The methods that settings can switch on: the package's own, and the user's.

    Attributes:
        adjustments, advantages, terms, divergences: entries by name.
    """

    adjustments: Mapping[str, RewardAdjustment] = field(default_factory=lambda: REWARD_ADJUSTMENTS)
    advantages: Mapping[str, Advantage] = field(default_factory=lambda: ADVANTAGES)
    terms: Mapping[str, PolicyTerm] = field(default_factory=lambda: POLICY_TERMS)
    divergences: Mapping[str, Divergence] = field(default_factory=lambda: DIVERGENCES)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return all entries, kind after kind."""
        kinds = (self.adjustments, self.advantages, self.terms, self.divergences)
        return tuple(entry for kind in kinds for entry in kind.values())

    def plus(self, entries: Iterable[Entry]) -> "Registry":
        """Return the registry with more entries.

        Raises:
            ConfigError: an object is not an entry, or its name or one of its settings is taken.
        """
        kinds: dict[type[Entry], dict[str, Any]] = {
            RewardAdjustment: dict(self.adjustments),
            Advantage: dict(self.advantages),
            PolicyTerm: dict(self.terms),
            Divergence: dict(self.divergences),
        }
        for entry in entries:
            kind = next((members for of, members in kinds.items() if isinstance(entry, of)), None)
            if kind is None:
                raise ConfigError(
                    "An objective must be a RewardAdjustment, Advantage, PolicyTerm or Divergence of "
                    f"polypath.objectives, got {type(entry).__name__}."
                )
            if any(entry.name in members for members in kinds.values()):
                raise ConfigError(
                    f"There is an objective named {entry.name!r} already. Rename yours."
                )
            kind[entry.name] = entry
        larger = Registry(
            adjustments=kinds[RewardAdjustment],
            advantages=kinds[Advantage],
            terms=kinds[PolicyTerm],
            divergences=kinds[Divergence],
        )
        _ = larger.settings  # refuses two settings of one key
        return larger

    @cached_property  # a trainer reads it at every step
    def settings(self) -> dict[str, Setting]:
        """Return every flat setting by key, in the order in which people should read them."""
        return merged(self.groups)

    @property
    def groups(self) -> list[tuple[str, tuple[Setting, ...]]]:
        """Return the settings of each owner, such as a method; owners may share one."""
        listed = ", ".join
        groups: list[tuple[str, tuple[Setting, ...]]] = []
        for adjustment in self.adjustments.values():
            groups.append((adjustment.name, (adjustment.switch, *adjustment.settings)))
        chosen = Setting(
            key=CHOSEN_ADVANTAGE,
            type=str | None,
            default=None,
            help=f"Rule that turns rewards into advantages: {listed(self.advantages)}. Unset: "
            f"the trainer's own.",
        )
        groups.append((CHOSEN_ADVANTAGE, (chosen,)))
        groups += [(entry.name, entry.settings) for entry in self.advantages.values()]
        groups.append(("similarity", (_SIMILARITY, *settings_of(SimilarityConfig, ""))))
        groups += [(term.name, (term.switch, *term.settings)) for term in self.terms.values()]
        groups.append(("rehearsal", settings_of(RehearsalConfig, "rehearsal")))
        chosen = Setting(
            key=CHOSEN_DIVERGENCE,
            type=str,
            default="forward_kl",
            help=f"Divergence of the rehearsal term: {listed(self.divergences)}.",
        )
        groups.append((CHOSEN_DIVERGENCE, (chosen, *settings_of(DivergenceConfig, ""))))
        groups += [(member.name, member.settings) for member in self.divergences.values()]
        groups.append(("bank", settings_of(BankConfig, "bank")))
        groups.append(("the run", settings_of(RunSettings, "")))
        return groups


_SIMILARITY = Setting(
    key="similarity",
    type=str,
    default="ngram",
    help="Similarity of two completions: ngram, answer, embedding (needs polypath[embedding]), policy, or "
    "module:function.",
)
BUILT_IN = Registry()


def setting_fields(name: str, settings: Mapping[str, Setting]) -> type:
    """Return a dataclass whose fields are flat settings, for an engine's config class to inherit.

    Args:
        name: name of the class.
        settings: by key.
    """
    return make_dataclass(
        name,
        [
            (s.key, s.type, field(default=s.default, metadata={"help": s.help}))
            for s in settings.values()
        ],
    )


def load_entries(specs: Sequence[str] | str | None) -> list[Entry]:
    """Load the user's entries.

    Args:
        specs: their places, such as ``my_file.py:my_entry``; one text or several.

    Raises:
        MissingFileError, ConfigError: nothing exists at a place.
    """
    texts = [specs] if isinstance(specs, str) else specs or ()
    return [load_object(str(text), "Objective") for text in texts]


@dataclass(frozen=True, kw_only=True)
class Objectives:
    """The methods that are on.

    Attributes:
        adjustments: adjustments of the rewards, applied one after the other.
        advantage: rule for advantages; ``None`` is the engine's own.
        terms: terms of the policy's loss with a weight above 0.
        divergence: divergence of the rehearsal term.
        bank_divergence: divergence of the bank.
    """

    adjustments: tuple[Active[RewardAdjustment], ...] = ()
    advantage: Active[Advantage] | None = None
    terms: tuple[Active[PolicyTerm], ...] = ()
    divergence: Active[Divergence]
    bank_divergence: Active[Divergence]

    @property
    def of_groups(self) -> tuple[Active[Any], ...]:
        """Return the methods that work on whole groups."""
        return (*self.adjustments, *([self.advantage] if self.advantage else []))

    @property
    def compare(self) -> bool:
        """Whether a method needs the similarity of a group's completions."""
        return any("similarity_P_G_G" in active.wants for active in self.of_groups)

    @property
    def counts(self) -> bool:
        """Whether a method needs how often training has seen each answer."""
        return any("seen_P_G" in active.wants for active in self.of_groups)

    def check_groups(self, num_generations: int | None, aggregation: str) -> None:
        """Refuse settings that cannot work with methods that use whole groups.

        Args:
            num_generations: completions of a prompt.
            aggregation: how several rewards become advantages, as TRL's ``multi_objective_aggregation``.

        Raises:
            ConfigError: groups that are too small, rewards that are never summed, or methods that do not
                go together.
        """
        names = [active.entry.name for active in self.of_groups]
        self._check_together()
        if names and (num_generations or 0) < 2:
            raise ConfigError(
                f"{names[0]} needs groups of at least 2 completions, got num_generations="
                f"{num_generations}: with one there is nothing to compare. Use 4 or more."
            )
        if names and aggregation == "normalize_then_sum":
            raise ConfigError(
                f"{names[0]} works on the summed reward, and "
                "multi_objective_aggregation='normalize_then_sum' never forms one. Use "
                "'sum_then_normalize'."
            )
        for active in self.of_groups:
            least = active.entry.least_group(active.config)
            if least > (num_generations or 0):
                raise ConfigError(
                    f"{active.entry.name} needs groups of at least {least} completions with these settings, "
                    f"got num_generations={num_generations}. Raise it, or change the settings."
                )

    def _check_together(self) -> None:
        """Refuse two methods of one family, and adjustments that an advantage would not see."""
        families: dict[str, str] = {}
        for entry in (active.entry for active in self.of_groups):
            if entry.family and families.setdefault(entry.family, entry.name) != entry.name:
                raise ConfigError(
                    f"{families[entry.family]} and {entry.name} are on, and both {entry.family}. Leave one "
                    "out: together they would do it twice."
                )
        rule = self.advantage
        if rule is not None and self.adjustments and rule.entry.ignores_correct(rule.config):
            raise ConfigError(
                f"advantage {rule.entry.name} ignores the rewards of correct completions with these "
                f"settings, so {self.adjustments[0].entry.name} would have no effect. Leave one out."
            )

    def check_updates(self, on_policy: bool, remedy: str = REUSE) -> None:
        """Refuse terms that would do nothing.

        Args:
            on_policy: whether every update uses completions of the current policy.
            remedy: the engine's settings by which completions are used for several updates.

        Raises:
            ConfigError: a term is 0 on such completions.
        """
        for name in (term.entry.name for term in self.terms if term.entry.off_policy_only):
            if on_policy:
                raise ConfigError(
                    f"{name} is 0 if every update uses completions of the current policy. Use completions "
                    f"for several updates ({remedy}), or switch it off."
                )

    def plus(self, active: Iterable[Active[Any]]) -> "Objectives":
        """Return these and more, which were switched on in Python.

        Raises:
            ConfigError: an object is not switched on (``entry.on(...)``), is already on, or is a second
                advantage.
        """
        adjustments, terms = list(self.adjustments), list(self.terms)
        names = {one.entry.name for one in self.of_groups} | {one.entry.name for one in terms}
        advantage, divergence = self.advantage, self.divergence
        for one in active:
            if not isinstance(one, Active):
                raise ConfigError(
                    f"objectives must hold methods switched on with entry.on(...), got {one!r}."
                )
            if one.entry.name in names:
                raise ConfigError(f"{one.entry.name} is switched on twice. Leave one out.")
            names.add(one.entry.name)
            if isinstance(one.entry, RewardAdjustment):
                adjustments.append(one)
            elif isinstance(one.entry, PolicyTerm):
                terms.append(one)
            elif isinstance(one.entry, Divergence):
                divergence = one
            elif advantage is not None:
                raise ConfigError(
                    f"advantage is {advantage.entry.name} already, got {one.entry.name} besides. "
                    "Leave one out: one rule makes the advantages."
                )
            else:
                advantage = one
        return Objectives(
            adjustments=tuple(adjustments),
            advantage=advantage,
            terms=tuple(term for term in terms if term.coef > 0),
            divergence=divergence,
            bank_divergence=self.bank_divergence,
        )


def read_objectives(values: Mapping[str, Any], registry: Registry = BUILT_IN) -> Objectives:
    """Read which methods flat settings switch on, and check the settings of all methods.

    Settings of a method that is off are checked as well, because an invalid value is always a
    mistake.

    Args:
        values: every flat setting by key.
        registry: where names are looked up.

    Raises:
        ConfigError: a value is out of range, or a name is unknown.
    """
    configs = {entry.name: entry.build(values) for entry in registry.entries}
    chosen = values.get(CHOSEN_ADVANTAGE)
    if chosen is not None and chosen not in list(registry.advantages):  # it may have no hash
        raise unknown_name(CHOSEN_ADVANTAGE, chosen, registry.advantages)
    divergences = {}
    for key in (CHOSEN_DIVERGENCE, BANK_DIVERGENCE):
        name = values[key]
        if name not in list(registry.divergences):
            raise unknown_name(key, name, registry.divergences)
        divergences[key] = Active(entry=registry.divergences[name], config=configs[name])
    check_similarity(values["similarity"])
    read_similarity(values)
    weights = {
        name: term.check_coef(values[term.switch.key]) for name, term in registry.terms.items()
    }
    return Objectives(
        adjustments=tuple(
            Active(entry=entry, config=configs[name])
            for name, entry in registry.adjustments.items()
            if _switched(entry.switch.key, values)
        ),
        advantage=None
        if chosen is None
        else Active(entry=registry.advantages[chosen], config=configs[chosen]),
        terms=tuple(
            Active(entry=term, config=configs[name], coef=weights[name])
            for name, term in registry.terms.items()
            if weights[name] > 0
        ),
        divergence=divergences[CHOSEN_DIVERGENCE],
        bank_divergence=divergences[BANK_DIVERGENCE],
    )


def warn_of_idle_settings(values: Mapping[str, Any], registry: Registry = BUILT_IN) -> None:
    """Warn about settings that were changed but have no effect, because their method is off.

    Args:
        values: every flat setting by key, as for ``read_objectives``.
        registry: where names are looked up.
    """
    rehearsed, banked = read_rehearsal(values).on, read_bank(values).on
    terms = ((CHOSEN_DIVERGENCE, rehearsed), (BANK_DIVERGENCE, banked))
    pulling = [values[key] for key, on in terms if on]
    switched: tuple[Any, ...] = (*registry.adjustments.values(), *registry.terms.values())
    groups = [(entry.settings, bool(values[entry.switch.key])) for entry in switched]
    groups += [(e.settings, values[CHOSEN_ADVANTAGE] == n) for n, e in registry.advantages.items()]
    groups += [(e.settings, n in pulling) for n, e in registry.divergences.items()]
    own = tuple(s for s in settings_of(RehearsalConfig, "rehearsal") if s.field != "folder")
    groups.append((own, rehearsed or values["rehearsal_coef"] == 0))
    own = tuple(s for s in settings_of(BankConfig, "bank") if s.field != "enabled")
    groups.append((own, banked or values["bank_coef"] == 0))
    used = {setting.key for settings, on in groups if on for setting in settings}
    unused = [setting for settings, on in groups if not on for setting in settings]
    idle = [s.key for s in unused if s.key not in used and values[s.key] != s.default]
    if idle:
        warnings.warn(
            f"{', '.join(dict.fromkeys(idle))}: set, but without effect, because the method is off. "
            "Switch the method on, or leave the setting out.",
            stacklevel=4,
        )


def _switched(key: str, values: Mapping[str, Any]) -> bool:
    """Return a switch. Raise ConfigError for a value other than true or false: a text would be true."""
    value = values[key]
    if not isinstance(value, bool):
        raise ConfigError(f"{key} must be true or false, got {value!r}.")
    return value


def read_similarity(values: Mapping[str, Any], **given: Any) -> SimilarityConfig:
    """Return the settings of the similarity. ``given`` are those that only the engine knows."""
    found: SimilarityConfig = build(SimilarityConfig, "", values, **given)
    return found


def read_rehearsal(values: Mapping[str, Any]) -> RehearsalConfig:
    """Return the settings of rehearsal. Raise ConfigError if one is out of range."""
    found: RehearsalConfig = build(RehearsalConfig, "rehearsal", values)
    return found


def read_bank(values: Mapping[str, Any]) -> BankConfig:
    """Return the settings of the bank of solutions. Raise ConfigError if one is out of range."""
    found: BankConfig = build(BankConfig, "bank", values)
    return found
