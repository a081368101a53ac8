"""From flat settings to what is switched on, and what cannot be."""

from dataclasses import dataclass

import pytest

from polypath.core.objectives import (
    BUILT_IN,
    load_entries,
    read_objectives,
    read_rehearsal,
    read_similarity,
    setting_fields,
)
from polypath.errors import ConfigError
from polypath.objectives import (
    DIVERGENCES,
    MAXRL,
    Advantage,
    Divergence,
    PolicyTerm,
    RewardAdjustment,
    TokenTerm,
)
from polypath.objectives.dra import DRA
from polypath.settings import setting
from tests.refusals import refused

DEFAULTS = {key: s.default for key, s in BUILT_IN.settings.items()}


def read(**changes):
    assert changes.keys() <= DEFAULTS.keys()
    return read_objectives({**DEFAULTS, **changes})


def test_everything_is_off_by_default():
    found = read()
    assert (found.adjustments, found.advantage, found.terms) == ((), None, ())
    assert found.divergence.entry.name == "forward_kl"
    assert not read_rehearsal(DEFAULTS).on
    setting_fields("Settings", BUILT_IN.settings)()


def test_settings_reach_the_methods_they_are_of():
    found = read(
        dra=True,
        dra_strength=0.5,
        advantage="maxrl",
        maxrl_eps=0.1,
        positive_entropy_coef=0.2,
        positive_entropy_gate="all",
        rehearsal_divergence="alpha",
        rehearsal_alpha=0.8,
        rehearsal_max_log_ratio=5.0,
    )
    assert found.adjustments[0].config.strength == 0.5
    assert found.advantage.config.eps == 0.1
    assert found.terms[0].coef == 0.2
    assert found.terms[0].config.gate == "all"
    assert found.divergence.config.alpha == 0.8
    assert found.divergence.config.max_log_ratio == 5.0
    similarity = read_similarity({**DEFAULTS, "similarity_ngram_max": 5}, embedding_device="cpu")
    assert (similarity.ngram_max, similarity.embedding_device) == (5, "cpu")
    rehearsal = read_rehearsal({**DEFAULTS, "rehearsal_set": "x", "rehearsal_share": 0.5})
    assert rehearsal.on
    assert rehearsal.rows_per_step(rows=6, pieces=4) == 12


@pytest.mark.parametrize(
    "change",
    [
        {"dra_among": "some"},
        {"dra_strength": -1.0},
        {"dra_strength": "much"},
        {"advantage": "max_rl"},
        {"maxrl_eps": -1.0},
        {"positive_entropy_coef": -0.1},
        {"positive_entropy_coef": True},
        {"positive_entropy_coef": "0.1"},
        {"clip_cov_coef": 1.5},
        {"positive_entropy_max_ratio": 0.5},
        {"rehearsal_divergence": "forward-kl"},
        {"rehearsal_alpha": 1.0},
        {"rehearsal_max_log_ratio": 0.0},
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_refused_with_its_name_also_where_the_method_is_off(change):
    ((key, value),) = change.items()
    with pytest.raises(ConfigError) as raised:
        read(**change)
    told = str(raised.value)
    assert key.split("_")[-1] in told
    assert str(value) in told
    assert "\n" not in told


@pytest.mark.parametrize(
    "change",
    [
        {"rehearsal_coef": -1.0},
        {"rehearsal_share": 0.0},
        {"rehearsal_share": 5.0},
        {"rehearsal_tolerance": 0.0},
    ],
    ids=str,
)
def test_settings_of_rehearsal_are_checked(change):
    ((key, value),) = change.items()
    with pytest.raises(ConfigError) as raised:
        read_rehearsal({**DEFAULTS, **change})
    assert key in str(raised.value)
    assert str(value) in str(raised.value)


@dataclass(frozen=True, kw_only=True)
class MineConfig:
    by: float = setting(2.0, "Factor.")


def mine(config, rewards_P_G):
    return rewards_P_G * config.by


def entry(kind=RewardAdjustment, name="mine", **more):
    return kind(name=name, config=MineConfig, function=mine, line="Mine.", paper="mine", **more)


def test_an_entry_of_the_users_is_one_like_the_others():
    registry = BUILT_IN.plus([entry(), entry(Advantage, "other")])
    assert {"mine", "mine_by", "other_by"} <= registry.settings.keys()
    assert "other" in registry.settings["advantage"].help
    values = {key: s.default for key, s in registry.settings.items()}
    found = read_objectives(
        {**values, "mine": True, "mine_by": 3.0, "advantage": "other"}, registry
    )
    assert found.adjustments[0].config == MineConfig(by=3.0)
    assert found.advantage.entry.name == "other"
    assert "mine" not in BUILT_IN.settings


def test_names_and_settings_that_are_taken_are_refused():
    with pytest.raises(ConfigError, match="'dra'"):
        BUILT_IN.plus([entry(name="dra")])
    with pytest.raises(ConfigError, match="'mine'"):
        BUILT_IN.plus([entry(), entry(Advantage)])

    @dataclass(frozen=True, kw_only=True)
    class Taken:
        by: float = setting(2.0, "Factor.", key="dra_strength")

    with pytest.raises(ConfigError, match="dra_strength"):
        BUILT_IN.plus([RewardAdjustment(name="x", config=Taken, function=mine, line="", paper="")])
    with pytest.raises(ConfigError, match="int"):
        BUILT_IN.plus([7])


def test_entries_are_loaded_by_their_place():
    place = "polypath.objectives.dra:DRA"
    assert load_entries([place]) == [DRA]
    assert load_entries(place) == [DRA]
    assert load_entries(None) == []


def test_objects_given_in_python_join_the_settings():
    def nothing(config, logp_B_T, behaviour_logp_B_T, mask_B_T):
        del config, behaviour_logp_B_T, mask_B_T
        return TokenTerm(loss_B_T=0 * logp_B_T)

    term = PolicyTerm(name="t", config=MineConfig, function=nothing, line="", paper="")
    found = read(dra=True).plus(
        [entry().on(), MAXRL.on(eps=0.5), term.on(coef=0.5), DIVERGENCES["alpha"].on(alpha=0.25)]
    )
    assert [one.entry.name for one in found.adjustments] == ["dra", "mine"]
    assert found.advantage.config.eps == 0.5
    assert found.terms[0].coef == 0.5
    assert found.divergence.config.alpha == 0.25
    assert read().plus([term.on(coef=0.0)]).terms == ()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dra": True, "darling": True}, ["dra", "darling"]),
        ({"gapo": True, "advantage": "uniqueness"}, ["gapo", "uniqueness"]),
        ({"dra": True, "advantage": "w_reinforce", "w_reinforce_lambda": 0.0}, ["dra"]),
        ({"advantage": "pkpo", "pkpo_k": 9}, ["pkpo", "9"]),
        ({"advantage": "pkpo", "pkpo_k": 8, "pkpo_baseline": "leave_one_out"}, ["pkpo", "9"]),
        ({"advantage": "passk", "passk_k": 10}, ["passk", "10"]),
    ],
    ids=str,
)
def test_methods_that_do_not_go_together_or_need_larger_groups_are_refused(change, named):
    with refused(ConfigError, *named):
        read(**change).check_groups(8, "sum_then_normalize")


@pytest.mark.parametrize(
    "change",
    [
        {"dra": True, "unlikeliness": True, "advantage": "pkpo", "pkpo_k": 8},
        {"dra": True, "advantage": "passk"},
        {"dra": True, "advantage": "ucpo"},
        {"darling": True, "advantage": "w_reinforce"},
        {"dra": True, "advantage": "w_reinforce", "w_reinforce_lambda": 0.0}
        | {"w_reinforce_of": "advantage"},
    ],
    ids=str,
)
def test_methods_that_go_together_do(change):
    read(**change).check_groups(8, "sum_then_normalize")


def test_a_term_that_would_do_nothing_is_refused():
    read(kl_cov_coef=1.0).check_updates(False)
    read(clip_cov_coef=1.0).check_updates(True)
    read().check_updates(True)
    with refused(ConfigError, "kl_cov", "num_iterations"):
        read(kl_cov_coef=1.0).check_updates(True)


def test_what_cannot_be_switched_on_is_refused():
    with pytest.raises(ConfigError, match="on"):
        read().plus([DRA])
    with pytest.raises(ConfigError, match="dra"):
        read(dra=True).plus([DRA.on()])
    with pytest.raises(ConfigError, match="maxrl"):
        read(advantage="maxrl").plus([entry(Advantage).on()])


def test_the_divergences_share_what_bounds_them_and_own_the_rest():
    wide = Divergence(
        name="wide", function=lambda config, d: config and d, formula="", curvature=1.0
    )
    registry = BUILT_IN.plus([wide])
    assert registry.settings.keys() == BUILT_IN.settings.keys()
    values = {key: s.default for key, s in registry.settings.items()}
    found = read_objectives({**values, "rehearsal_divergence": "wide"}, registry)
    assert found.divergence.entry is wide


@pytest.mark.parametrize("value", ["false", "true", 1, None])
def test_a_switch_is_true_or_false(value):
    with refused(ConfigError, "dra", repr(value)):
        read_objectives({**DEFAULTS, "dra": value})
