"""A user's own method of each kind: one file outside the package, trained with from YAML."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file

from polypath import DiversityGRPOConfig, DiversityGRPOTrainer
from polypath.cli.main import run as command
from polypath.errors import PolypathError
from polypath.plan.make_plan import make_plan
from polypath.rehearsal.settings import PresampleSettings
from polypath.tasks import get_task
from polypath.tasks.shipped import base_model_dir
from polypath.train.config import load_recipe
from polypath.train.run import build_trainer, run
from polypath.user_code import load_object
from tests.presampling import presample
from tests.train.conftest import WriteRecipe

# What a user would write. Each entry has two settings.
FILE = """
from dataclasses import dataclass

import torch
from polypath.objectives import (
    Advantage, Divergence, DivergenceConfig, PolicyTerm, RewardAdjustment, TokenTerm
)
from polypath.errors import ConfigError
from polypath.settings import setting


@dataclass(frozen=True, kw_only=True)
class ShortConfig:
    limit: int = setting(6, "Tokens.")
    bonus: float = setting(0.5, "Added to correct completions, at least 0.")

    def __post_init__(self):
        if self.bonus < 0:
            raise ConfigError(f"short bonus must be at least 0, got {self.bonus}.")


def short(config, rewards_P_G, solutions_P_G, correct_P_G):
    few = torch.tensor([[len(s or "") <= config.limit for s in group] for group in solutions_P_G])
    return rewards_P_G + config.bonus * (few & correct_P_G) + 0.01 * few


SHORT = RewardAdjustment(
    name="short", config=ShortConfig, function=short, line="Pays for short ones.", paper="Mine 2026"
)


@dataclass(frozen=True, kw_only=True)
class TiltConfig:
    up: float = setting(1.0, "Factor of positive advantages.")
    down: float = setting(1.0, "Factor of negative ones.")


def tilt(config, rewards_P_G, sequence_logp_P_G):
    centred = rewards_P_G - rewards_P_G.mean(dim=1, keepdim=True) - 0.01 * sequence_logp_P_G
    return torch.where(centred > 0, config.up * centred, config.down * centred)


TILT = Advantage(name="tilt", config=TiltConfig, function=tilt, line="Tilts advantages.", paper="Mine 2026")


@dataclass(frozen=True, kw_only=True)
class FloorConfig:
    at: float = setting(-3.0, "Log-probability below which tokens are lifted.")
    power: float = setting(1.0, "Exponent.")


def floor(config, logp_B_T, behaviour_logp_B_T, mask_B_T, advantages_B):
    low = (config.at - logp_B_T).clamp(min=0) * mask_B_T
    return TokenTerm(
        loss_B_T=low.pow(config.power) * (1 + advantages_B[:, None].abs()),
        statistics={"low": (low > 0).float()},
    )


FLOOR = PolicyTerm(
    name="floor", config=FloorConfig, function=floor, line="Lifts rare tokens.", paper="Mine 2026"
)


@dataclass(frozen=True, kw_only=True)
class PowerConfig(DivergenceConfig):
    scale: float = setting(1.0, "Factor.")
    order: int = setting(2, "Even exponent of the log-ratio.")


POWER = Divergence(
    name="power", config=PowerConfig, function=lambda config, d: config.scale * d**config.order,
    curvature=2.0, formula="(log u)^2", line="Power of the log-ratio.", paper="Mine 2026",
)
"""
ENTRIES = ("SHORT", "TILT", "FLOOR", "POWER")
ON: dict[str, dict[str, Any]] = {
    "SHORT": {"short": True, "short_limit": 9, "short_bonus": 0.25},
    "TILT": {"advantage": "tilt", "tilt_up": 2.0, "tilt_down": 0.5},
    "FLOOR": {"floor_coef": 0.3, "floor_at": -2.0, "floor_power": 2.0},
    "POWER": {"rehearsal_divergence": "power", "power_scale": 3.0, "power_order": 4},
}
CHANGED: dict[str, dict[str, Any]] = {
    "SHORT": {"short_limit": 4, "short_bonus": 4.0},
    "TILT": {"tilt_up": 1.0, "tilt_down": 3.0},
    "FLOOR": {"floor_at": -1.0, "floor_power": 1.0},
    "POWER": {"power_scale": 300.0, "power_order": 2},
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "my methods.py"
    path.write_text(FILE)
    return path


def specs(mine: Path) -> list[str]:
    return [f"{mine}:{name}" for name in ENTRIES]


def trained(path: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    trainer = build_trainer(load_recipe(path))
    trainer.train()
    weights = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    return weights, trainer.state.log_history


def differ(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def rehearsal_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own") / "set"
    settings = PresampleSettings(k=8, threshold=1, confirm=0, batch_size=512, precision="float32")
    task = get_task("countdown")
    presample(base_model_dir(), task, out=folder, limit=20, settings=settings, device="cpu")
    return folder


@pytest.mark.parametrize("name", ENTRIES)
def test_a_method_of_each_kind_trains_from_yaml_and_each_setting_counts(
    name: str, mine: Path, write_recipe: WriteRecipe, rehearsal_dir: Path
) -> None:
    common: dict[str, Any] = {
        "objectives": specs(mine),
        "model_name_or_path": "countdown-base",  # solves some, so that rewards differ
        "task_limit": 20,
        "per_device_train_batch_size": 32,
        "num_generations": 8,
        "max_completion_length": 12,
        "optim": "sgd",  # Adam would hide a factor
        "learning_rate": 0.1,
    }
    if name == "POWER":
        common |= {"rehearsal_set": str(rehearsal_dir), "rehearsal_explore_only": False}
    off, _ = trained(write_recipe(**common))
    on, log = trained(write_recipe(**common, **ON[name]))
    assert differ(off, on)
    for key, value in CHANGED[name].items():
        other, _ = trained(write_recipe(**common, **{**ON[name], key: value}))
        assert differ(on, other), key
    if name == "FLOOR":
        assert any("floor/loss" in line and "floor/low" in line for line in log)


def test_settings_of_a_users_method_are_checked_like_ours(
    mine: Path, write_recipe: WriteRecipe
) -> None:
    for wrong in ({"short_bonus": -1}, {"short_bonuss": 1}, {"floor_coef": -1}, {"tilt_up": "x"}):
        with pytest.raises(PolypathError) as raised:
            load_recipe(write_recipe(objectives=specs(mine), **wrong))
        assert next(iter(wrong)).split("_")[-1] in str(raised.value)
    with pytest.raises(PolypathError, match="short"):  # unknown without the file
        load_recipe(write_recipe(short=True))


def test_settings_of_a_users_method_are_options_too(mine: Path, write_recipe: WriteRecipe) -> None:
    options = ["--objectives", *specs(mine)]
    recipe = load_recipe(write_recipe(), [*options, "--short", "true", "--short_limit", "3"])
    (active,) = recipe.trainer.objectives.adjustments
    assert (active.entry.name, active.config.limit) == ("short", 3)


def test_a_run_with_a_users_method_is_saved_and_resumed(
    mine: Path, write_recipe: WriteRecipe
) -> None:
    settings: dict[str, Any] = {"objectives": specs(mine), **ON["FLOOR"], "save_strategy": "steps"}
    folder = run(load_recipe(write_recipe(**settings, save_steps=2)))
    assert torch.load(folder / "training_args.bin", weights_only=False).floor_at == -2.0
    whole = load_file(folder / "model.safetensors")
    for name in ("finished.json", "model.safetensors"):
        (folder / name).unlink()
    shutil.rmtree(folder / "checkpoint-3", ignore_errors=True)
    run(load_recipe(write_recipe(**settings, save_steps=2)))
    again = load_file(folder / "model.safetensors")
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_a_plan_knows_a_users_method(mine: Path, write_recipe: WriteRecipe) -> None:
    plan = make_plan(write_recipe(objectives=specs(mine), **ON["SHORT"], **ON["FLOOR"]))
    told = "\n".join(plan.methods)
    for fact in ("short", "bonus 0.25", "floor", "0.3", "power 2"):
        assert fact in told


def test_the_command_lists_a_users_methods(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [text for spec in specs(mine) for text in ("--objectives", spec)]
    assert command(["methods", "--settings", *options]) == 0
    told = capsys.readouterr().out
    for fact in ("short_bonus", "tilt_up", "floor_coef", "power_order", "dra_strength"):
        assert fact in told
    assert command(["methods", "--objectives", f"{mine}:NONE"]) == 2


def test_a_method_may_be_given_to_the_trainer_in_python(
    mine: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    from tests.engines.trl.helpers import OPTIONS, coin, rows

    active = load_object(f"{mine}:FLOOR", "Objective").on(coef=0.5, at=-1.0)
    trainer = DiversityGRPOTrainer(
        model=str(tiny_model_dir),
        reward_funcs=coin,
        args=DiversityGRPOConfig(output_dir=str(tmp_path / "run"), **OPTIONS),
        train_dataset=Dataset.from_list(rows()),
        objectives=[active],
    )
    trainer.train()
    assert any("floor/loss" in line for line in trainer.state.log_history)
