"""Flat settings for engines without a config class of ours."""

import pickle
import warnings

import pytest

from polypath.core.flat_settings import FlatSettings, require_same
from polypath.core.objectives import BUILT_IN
from polypath.errors import ConfigError
from polypath.presets import PRESETS
from polypath.rollouts.files import read_json, write_json

ENTRY = """
from dataclasses import dataclass
from polypath.objectives import PolicyTerm, TokenTerm
from polypath.settings import setting

@dataclass(frozen=True, kw_only=True)
class Config:
    power: float = setting(1.0, "A power.")

def term(config, logp_B_T, behaviour_logp_B_T, mask_B_T):
    return TokenTerm(loss_B_T=logp_B_T**config.power)

MINE = PolicyTerm(name="mine", config=Config, function=term, line="Mine.", paper="None.")
"""


def test_what_is_not_given_keeps_its_default():
    settings = FlatSettings.read({}, "polypath")
    assert dict(settings.values) == {k: s.default for k, s in BUILT_IN.settings.items()}
    assert not settings.in_loss
    assert settings.objectives.of_groups == ()


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_is_its_settings_and_given_ones_win(name):
    settings = FlatSettings.read({"preset": name, "rehearsal_coef": 0.5}, "polypath")
    assert settings.values["rehearsal_coef"] == 0.5
    assert settings.values["average_weights_from"] == PRESETS[name]["average_weights_from"]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"drra": True}, "dra"),
        ({"dra": "yes"}, "dra"),
        ({"positive_entropy_coef": -1.0}, "positive_entropy_coef"),
        ({"dra_strength": -1.0}, "dra_strength"),
        ({"similarity": "nothing"}, "similarity"),
        ({"correctness_threshold": "high"}, "correctness_threshold"),
        ({"preset": "balancd"}, "balanced"),
    ],
)
def test_mistakes_name_the_setting(given, named):
    with pytest.raises(ConfigError, match=named):
        FlatSettings.read(given, "polypath")


def test_idle_settings_are_said():
    with pytest.warns(UserWarning, match="dra_strength"):
        FlatSettings.read({"dra_strength": 2.0}, "polypath")


def test_a_users_method_goes_to_another_process(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(ENTRY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = {"objectives": f"{file}:MINE", "mine_coef": 0.3, "mine_power": 2.0}
        settings = FlatSettings.read(given, "polypath")
    assert settings.in_loss
    (term,) = pickle.loads(pickle.dumps(settings)).objectives.terms
    assert (term.coef, term.config.power) == (0.3, 2.0)


def test_a_record_can_be_written_and_is_the_same_when_read(tmp_path):
    given = {"positive_entropy_max_ratio": float("inf"), "positive_entropy_coef": 0.1}
    settings = FlatSettings.read({**given, "correctness_reward": ["acc"]}, "polypath")
    write_json(tmp_path / "record.json", settings.record())
    require_same(read_json(tmp_path / "record.json", "settings"), settings.record(), "checkpoint")


def test_a_run_goes_on_with_its_settings_only():
    before = FlatSettings.read({"dra": True}, "polypath")
    require_same(before.record(), before.record(), "checkpoint")
    with pytest.raises(ConfigError, match=r"dra=True.*False"):
        require_same(before.record(), FlatSettings.read({}, "polypath").record(), "checkpoint")
