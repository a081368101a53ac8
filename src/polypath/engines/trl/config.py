"""``trl.GRPOConfig`` with the settings of all methods, flat as TRL's own."""

from collections.abc import Iterable
from dataclasses import dataclass, make_dataclass
from typing import Any, ClassVar

from transformers.integrations import integration_utils as loggers
from trl import GRPOConfig

from polypath.core.bank_settings import BankConfig
from polypath.core.given import check_loggers
from polypath.core.objectives import (
    BUILT_IN,
    Objectives,
    Registry,
    read_bank,
    read_objectives,
    read_rehearsal,
    setting_fields,
    warn_of_idle_settings,
)
from polypath.core.pickled import PickledWithoutKeys
from polypath.core.rehearsal_settings import RehearsalConfig
from polypath.core.run_settings import RunSettings
from polypath.errors import ConfigError
from polypath.objectives import AdvantageConfig, Entry
from polypath.settings import build

MethodSettings: Any = setting_fields("MethodSettings", BUILT_IN.settings)


@dataclass
class DiversityGRPOConfig(PickledWithoutKeys, MethodSettings, GRPOConfig):  # type: ignore[misc]  # trl ships no types
    r"""Every setting of ``trl.GRPOConfig``, plus those of polypath's methods. All are off by default.

    The settings come from the registries of ``polypath.objectives``; ``polypath methods`` lists them.
    With everything off, training is bit for bit that of ``trl.GRPOTrainer``; the diversity metrics
    are still logged.

    Raises:
        ConfigError: a value is out of range, or two settings cannot work together.
    """

    REGISTRY: ClassVar[Registry] = BUILT_IN

    def __post_init__(self) -> None:
        """Check the new settings first, so that their errors are not hidden behind TRL's."""
        # Built once here so that a bad value fails at construction, not at the first step.
        _ = (
            self.objectives,
            self.rehearsal,
            self.bank_config,
            build(RunSettings, "", self.method_values),
        )
        self.objectives.check_groups(self.num_generations, self.multi_objective_aggregation)
        super().__post_init__()
        # TRL and transformers resolve aliases and JSON texts first.
        self._check_checkpointing()
        self.objectives.check_updates(self.on_policy)
        if self.process_index == 0:
            warn_of_idle_settings(self.method_values, self.REGISTRY)
        known = loggers.INTEGRATION_TO_CALLBACK
        check_loggers(self.report_to, known, known)  # the trainer checks what is installed

    @classmethod
    def with_entries(cls, entries: Iterable[Entry]) -> "type[DiversityGRPOConfig]":
        """Return a config class with the settings of a user's methods added.

        Raises:
            ConfigError: a name or a setting is already taken.
        """
        registry = cls.REGISTRY.plus(entries)
        new = {key: s for key, s in registry.settings.items() if key not in cls.REGISTRY.settings}
        fields = setting_fields("UserSettings", new)
        # transformers pickles configs, but no module holds this class: unpickling gives its base class.
        namespace = {
            "REGISTRY": registry,
            "__reduce__": lambda self: (_restored, (cls, self.__getstate__())),
        }
        return make_dataclass(cls.__name__, [], bases=(fields, cls), namespace=namespace)

    def _check_checkpointing(self) -> None:
        options = self.gradient_checkpointing_kwargs
        reentrant = isinstance(options, dict) and options.get("use_reentrant")
        replays = "rehearsal" if self.rehearsal.on else "bank" if self.bank_config.on else None
        if replays and self.gradient_checkpointing and reentrant:
            raise ConfigError(
                f"{replays} runs a second forward before the backward, which reentrant gradient "
                "checkpointing cannot do. Set gradient_checkpointing_kwargs to {'use_reentrant': false}."
            )

    @property
    def method_values(self) -> dict[str, Any]:
        """Return the flat settings of all methods by key."""
        return {key: getattr(self, key) for key in self.REGISTRY.settings}

    @property
    def objectives(self) -> Objectives:
        """Return which methods are switched on, with their settings."""
        return read_objectives(self.method_values, self.REGISTRY)

    @property
    def on_policy(self) -> bool:
        """Return whether all completions of a generation are used before the policy changes."""
        uses = self.steps_per_generation * self.num_iterations
        return bool(self.gradient_accumulation_steps % uses == 0)

    @property
    def rehearsal(self) -> RehearsalConfig:
        """Return the settings of rehearsal."""
        return read_rehearsal(self.method_values)

    @property
    def bank_config(self) -> BankConfig:
        """Return the settings of the bank of solutions."""
        return read_bank(self.method_values)

    @property
    def advantage_config(self) -> AdvantageConfig:
        """Return how adjusted rewards become advantages; TRL's own rule where nothing is adjusted."""
        return AdvantageConfig(scale=self.scale_rewards)


def _restored(cls: type[DiversityGRPOConfig], values: dict[str, Any]) -> DiversityGRPOConfig:
    return cls.restored(values)
