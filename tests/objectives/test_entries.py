"""The registries: what an entry tells, and that a default setting of each works."""

from dataclasses import dataclass, fields
from typing import Any, Literal

import pytest
import torch

from polypath.core.objectives import BUILT_IN
from polypath.errors import ConfigError
from polypath.objectives import (
    ADVANTAGES,
    DIVERGENCES,
    ON_POLICY_KL,
    POLICY_TERMS,
    REWARD_ADJUSTMENTS,
    AdvantageConfig,
    PolicyTerm,
    RewardAdjustment,
    TokenTerm,
    group_advantages,
)
from polypath.settings import check_settings, setting
from tests.objectives.generators import f
from tests.refusals import refused

REWARDS = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]])
GROUP = {
    "similarity_P_G_G": torch.eye(5)[None],
    "empty_P_G": torch.zeros(1, 5).bool(),
    "correct_P_G": REWARDS > 0,
    "solutions_P_G": [["a", "b", "c", "d", "e"]],
    "sequence_logp_P_G": torch.tensor([[-1.0, -2.0, -3.0, -4.0, -5.0]]),
    "lengths_P_G": torch.tensor([[1, 2, 3, 4, 5]]),
    "seen_P_G": torch.tensor([[4, 3, 2, 1, 0]]),
    "raw_rewards_P_G": REWARDS,
}
BASE = {"base_advantages_P_G": group_advantages(AdvantageConfig(), REWARDS)}
TOKENS = {
    "correct_B": torch.tensor([True]),
    "advantages_B": torch.tensor([1.0]),
    "entropy_B_T": torch.tensor([[0.5, 0.5]]),
    "policy_gradient_B_T": torch.tensor([[0.5, 0.5]]),
}
ENTRIES = BUILT_IN.entries


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_an_entry_says_what_it_is(entry):
    assert entry.line.endswith(".")
    assert "arXiv:" in entry.paper
    assert entry.config() == entry.config()
    # Every field is a setting, so that none is out of reach of a recipe.
    assert {s.field for s in entry.settings} == {f.name for f in fields(entry.config)}
    assert all(s.help for s in entry.settings)
    assert entry.build({s.key: s.default for s in entry.settings}) == entry.config()


def test_names_are_unique_and_keys_of_the_registries():
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    for registry in (REWARD_ADJUSTMENTS, ADVANTAGES, POLICY_TERMS, DIVERGENCES):
        assert all(entry.name == name for name, entry in registry.items())


@pytest.mark.parametrize(
    "entry", [*REWARD_ADJUSTMENTS.values(), *ADVANTAGES.values()], ids=lambda e: e.name
)
def test_methods_of_groups_take_what_their_kind_has(entry):
    config, known = entry.config(), GROUP | (BASE if entry.KIND == "advantage" else {})
    assert entry.wants(config) <= known.keys()
    got = entry.function(config, REWARDS, **entry.takes(known))
    assert got.shape == (1, 5)
    assert (got[0, 0] > got[0, 1:]).all()


@pytest.mark.parametrize("entry", POLICY_TERMS.values(), ids=lambda e: e.name)
def test_policy_terms_take_what_their_kind_has(entry):
    config = entry.config()
    assert entry.wants(config) <= TOKENS.keys()
    logp, mask = torch.tensor([[-2.0, -3.0]]), torch.tensor([[1, 0]])
    got = entry.function(config, logp, logp, mask, **entry.takes(TOKENS))
    assert got.loss_B_T.shape == (1, 2)
    assert got.loss_B_T[0, 1] == 0
    assert got.normalization in ("sequence_mean", "token_mean", "sum")


def test_divergences_are_0_at_the_reference_and_so_are_penalties():
    for name in DIVERGENCES:
        assert f(name, torch.zeros(1, 2)).tolist() == [[0.0, 0.0]]
    for penalty in ON_POLICY_KL.values():
        assert penalty(torch.zeros(1, 2), torch.zeros(1, 2)).tolist() == [[0.0, 0.0]]


@dataclass(frozen=True, kw_only=True)
class ScaleConfig:
    by: float = setting(2.0, "Factor.")


def scale(config, rewards_P_G, correct_P_G, empty_P_G=None):
    del empty_P_G
    return torch.where(correct_P_G, config.by * rewards_P_G, rewards_P_G)


def test_the_function_of_an_entry_says_which_inputs_it_wants():
    entry = RewardAdjustment(
        name="scale", config=ScaleConfig, function=scale, line="Scales.", paper="mine"
    )
    assert entry.wants(ScaleConfig()) == {"correct_P_G"}
    assert entry.takes(GROUP).keys() == {"correct_P_G", "empty_P_G"}
    assert [s.key for s in entry.settings] == ["scale_by"]
    assert entry.on(by=3.0).config == ScaleConfig(by=3.0)


def test_an_input_that_there_is_not_is_refused_with_the_nearest():
    def wrong(config, rewards_P_G, similarity_P_G):
        del config, similarity_P_G
        return rewards_P_G

    with refused(ConfigError, "similarity_P_G_G"):
        RewardAdjustment(name="x", config=ScaleConfig, function=wrong, line="", paper="")


def test_a_policy_term_is_switched_on_with_a_weight_only():
    def nothing(config, logp_B_T, behaviour_logp_B_T, mask_B_T):
        del config, behaviour_logp_B_T, mask_B_T
        return TokenTerm(loss_B_T=logp_B_T * 0)

    entry = PolicyTerm(name="x", config=ScaleConfig, function=nothing, line="", paper="")
    assert entry.on(coef=0.5, by=1.0).coef == 0.5
    for bad in ({}, {"coef": -1.0}, {"coef": float("nan")}, {"coef": "0.1"}):
        with refused(ConfigError, "x_coef"):
            entry.on(**bad)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Settings of every kind that is checked."""

    on: bool = setting(False, "A switch.")
    count: int = setting(1, "A count. Never none.", within="[1, inf)")
    share: float = setting(0.5, "A share.", within="(0, 1]")
    bound: float = setting(10.0, "A bound.", within="[1, inf]")
    part: float | None = setting(None, "A part.", within="[0, 1)")
    way: Literal["this", "that"] = setting("this", "A way.")

    def __post_init__(self) -> None:
        check_settings(self, "mine")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("on", [True, False], ["false", 1, None]),
        ("count", [1, 7], [0, -1, 1.0, True, "2", None, float("nan")]),
        ("share", [1, 1e-9, 0.5], [0, 1.1, float("nan"), float("inf"), "0.5", True, None, [0.5]]),
        ("bound", [1, float("inf")], [0.9, float("nan"), -float("inf")]),
        ("part", [None, 0, 0.99], [1, -0.1, "0.5", False]),
        ("way", ["this", "that"], ["thus", None, 0]),
    ],
)
def test_a_setting_takes_what_its_type_and_interval_say(
    name: str, good: list[Any], bad: list[Any]
) -> None:
    for value in good:
        assert getattr(Checked(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(ConfigError) as error:
            Checked(**{name: value})
        assert f"mine_{name}" in str(error.value)
        assert "\n" not in str(error.value)
