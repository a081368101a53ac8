"""What a registry knows about a method.

An entry supplies its settings in recipes and in ``DiversityGRPOConfig``, their help and checks, its line
in ``polypath methods``, in plans and in the documentation, and the arrays that an engine must pass. So a
new method is one file with one entry, here or in a file of the user's.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Self, TypeVar

from polypath.errors import ConfigError, unknown_name
from polypath.settings import Setting, build, is_number, settings_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TokenTerm:
    """A term of the loss, token by token, and the statistics to log.

    Attributes:
        loss_B_T: loss to minimise, 0 outside the mask; with gradient.
        statistics: name to ``(B, T)`` values, logged as their mean over the mask's tokens.
        normalization: how the tokens become a number, a rule of ``polypath.core.step.normalize``:
            ``sequence_mean``, ``token_mean``, or ``sum`` for a term made of the policy's own gradient,
            which has its share of the step already.
    """

    loss_B_T: Tensor
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    normalization: str = "token_mean"


E = TypeVar("E", bound="Entry")


def no_extra_needs(config: Any) -> frozenset[str]:
    """Say that no optional input is needed."""
    del config
    return frozenset()


def pairs(config: Any) -> int:
    """Say that a group needs two completions: with one there is nothing to compare."""
    del config
    return 2


def never(config: Any) -> bool:
    """Say no, whatever the settings are."""
    del config
    return False


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A method. The names of the function's parameters are the inputs that it works on.

    Attributes:
        name: registry key, and prefix of the flat settings.
        config: frozen dataclass with the method's settings (``polypath.settings.setting``), whose
            ``__post_init__`` checks them.
        function: the formula. After the arguments of its kind it may have any of the kind's inputs as
            parameters; one with a default is passed if the engine has it.
        line: what it does, in one line.
        paper: author, year, title, arXiv id.
        needs: optional inputs that a config makes necessary; called with the config.
        least_group: smallest number of completions of a prompt that it works on; called with the config.
        family: methods of one family do the same thing, so only one of them may be on; empty for none.

    Raises:
        ConfigError: the function asks for an input that its kind does not have.
    """

    LEAD: ClassVar[tuple[str, ...]] = ()  # the arguments every function of the kind takes
    INPUTS: ClassVar[Mapping[str, str]] = {}  # the others, with what they are
    KIND: ClassVar[str] = ""

    name: str
    config: type
    function: Callable[..., Any]
    line: str
    paper: str
    needs: Callable[[Any], frozenset[str]] = no_extra_needs
    least_group: Callable[[Any], int] = pairs
    family: str = ""

    def __post_init__(self) -> None:
        for name in list(self._parameters())[len(self.LEAD) :]:
            if name not in self.INPUTS:
                raise unknown_name(f"input of {self.KIND} {self.name!r}:", name, self.INPUTS)

    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings of its config, with their flat keys."""
        return settings_of(self.config, self.name)

    def build(self, values: Mapping[str, Any]) -> Any:
        """Return its config from flat values. Raises ConfigError where one is out of range."""
        return build(self.config, self.name, values)

    def wants(self, config: Any) -> frozenset[str]:
        """Return the inputs that must be present for this config."""
        parameters = list(self._parameters().values())[len(self.LEAD) :]
        always = {p.name for p in parameters if p.default is inspect.Parameter.empty}
        return frozenset(always) | self.needs(config)

    def takes(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the inputs that its function takes."""
        return {name: inputs[name] for name in self._parameters() if name in inputs}

    def on(self, **settings: Any) -> Active[Self]:
        """Return the method switched on, for the ``objectives`` of a trainer in Python.

        Args:
            **settings: fields of its config; for a policy term also ``coef``.
        """
        return Active(entry=self, config=self.config(**settings))


@dataclass(frozen=True, kw_only=True)
class Active(Generic[E]):
    """A method that is switched on, with its settings.

    Attributes:
        entry: the method.
        config: its settings.
        coef: weight of a policy term in the loss; 1 for the other kinds.
    """

    entry: E
    config: Any
    coef: float = 1.0

    @property
    def wants(self) -> frozenset[str]:
        """Inputs that must be there."""
        return self.entry.wants(self.config)


_GROUP_INPUTS = {
    "similarity_P_G_G": "how alike the completions of a group are, in [-1, 1]",
    "empty_P_G": "which completions have no tokens, booleans",
    "correct_P_G": "which completions are correct, from the raw rewards, booleans",
    "correct_rewards_P_G": "part of the reward that says that a completion is correct; 0 where it is not",
    "solutions_P_G": "canonical solutions as P lists of G texts; None where there is none",
    "sequence_logp_P_G": "log-probability of each completion under the policy that sampled it",
    "lengths_P_G": "number of tokens of each completion",
    "seen_P_G": "how often training saw the answer to this problem before this generation",
    "raw_rewards_P_G": "rewards before any adjustment",
}


@dataclass(frozen=True, kw_only=True)
class RewardAdjustment(Entry):
    """Rewards of whole groups to other rewards: ``(config, rewards_P_G, ...) -> rewards_P_G``.

    Switched on by ``<name>: true``. NaN marks a completion that no reward function scored.
    """

    LEAD: ClassVar = ("config", "rewards_P_G")
    INPUTS: ClassVar = _GROUP_INPUTS
    KIND: ClassVar = "reward adjustment"

    @property
    def switch(self) -> Setting:
        """The flat setting that switches it on."""
        return Setting(key=self.name, type=bool, default=False, help=self.line)


@dataclass(frozen=True, kw_only=True)
class Advantage(Entry):
    """Rewards of whole groups to advantages: ``(config, rewards_P_G, ...) -> advantages_P_G``.

    Chosen by ``advantage: <name>``. Only one is used, in place of the engine's own rule. It sees rewards
    after any adjustment.

    Attributes:
        ignores_correct: whether the reward of a correct completion changes nothing, so that adjusting it
            would have no effect; called with the config.
    """

    ignores_correct: Callable[[Any], bool] = never

    LEAD: ClassVar = ("config", "rewards_P_G")
    INPUTS: ClassVar = {
        **_GROUP_INPUTS,
        "base_advantages_P_G": "advantages by the engine's own rule; 0 if nothing scored the completion",
    }
    KIND: ClassVar = "advantage"


Acts = Literal["all", "correct", "advantage"]


def _on_all(config: Any) -> Acts:
    """Say that a term acts on all completions."""
    del config
    return "all"


@dataclass(frozen=True, kw_only=True)
class PolicyTerm(Entry):
    """A term of the policy's loss: ``(config, logp_B_T, behaviour_logp_B_T, mask_B_T, ...) -> TokenTerm``.

    Switched on by ``<name>_coef`` above 0, its weight in the loss.

    Attributes:
        acts_on: on which completions it has a gradient, called with the config: ``all``, the ``correct``
            ones, or those with an ``advantage`` other than 0.
        usual_coef: weight to start with, the paper's if it has one; shown where methods are listed.
        highest_coef: largest weight that makes sense.
        off_policy_only: whether it is 0, with zero gradient, on completions of the current policy.
    """

    LEAD: ClassVar = ("config", "logp_B_T", "behaviour_logp_B_T", "mask_B_T")
    INPUTS: ClassVar = {
        "correct_B": "which completions are correct, booleans",
        "advantages_B": "advantages of the completions, without gradient",
        "entropy_B_T": "entropy of the next-token distribution in nats, with gradient",
        "policy_gradient_B_T": "gradient of the policy's own loss with respect to the log-probabilities",
    }
    KIND: ClassVar = "policy term"

    acts_on: Callable[[Any], Acts] = _on_all
    usual_coef: float = 0.01
    highest_coef: float = math.inf
    off_policy_only: bool = False

    @property
    def switch(self) -> Setting:
        """The flat setting that switches it on: its coefficient."""
        return Setting(
            key=f"{self.name}_coef",
            type=float,
            default=0.0,
            help=f"Weight of the term, {self._range}; 0 is off. {self.line}",
        )

    @property
    def _range(self) -> str:
        return "at least 0" if math.isinf(self.highest_coef) else f"from 0 to {self.highest_coef:g}"

    def check_coef(self, value: object) -> float:
        """Return a weight of the term. Raises ConfigError where it is out of range."""
        coef = check_coefficient(self.switch.key, value)
        if coef > self.highest_coef:
            raise ConfigError(f"{self.switch.key} must be {self._range}, got {coef:g}. {self.line}")
        return coef

    def on(self, **settings: Any) -> Active[Self]:
        """Return the term switched on: ``on(coef=0.1, ...)``. Raises ConfigError without a weight."""
        coef = self.check_coef(settings.pop("coef", None))
        return Active(entry=self, config=self.config(**settings), coef=coef)


def check_coefficient(key: str, value: object) -> float:
    """Return a weight of a term.

    Raises:
        ConfigError: it is no finite number of at least 0.
    """
    if not (is_number(value) and 0 <= float(value) < float("inf")):  # type: ignore[arg-type]
        raise ConfigError(
            f"{key} must be a number of at least 0, got {value!r}. Use 0 to switch it off."
        )
    return float(value)  # type: ignore[arg-type]  # a number, by the line above
