"""A plan says what TRL will do, from the settings alone."""

import json
import math
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from trl import DatasetMixtureConfig, ModelConfig

from polypath.engines.trl import DiversityGRPOConfig
from polypath.errors import ConfigError, DataError, MissingFileError, PolypathError
from polypath.plan.make_plan import Price, make_plan
from polypath.plan.print_plan import print_plan
from polypath.plan.settings import read_settings
from polypath.train.config import TaskArguments, _Parser, load_recipe
from polypath.train.run import build_trainer
from tests.refusals import refused
from tests.train.conftest import WriteRecipe
from tests.train.published import ROOT, save_model

RECIPE = {
    "model_name_or_path": "not/here",
    "output_dir": "run",
    "task": "gsm8k",
    "per_device_train_batch_size": 8,
    "num_generations": 8,
    "max_completion_length": 100,
}
SMALL_BATCHES: dict[str, dict[str, Any]] = {
    "one generation a step": {},
    "a generation for two steps": {"steps_per_generation": 2},
    "two generations a step": {"gradient_accumulation_steps": 4, "steps_per_generation": 2},
    "each generation twice": {"num_iterations": 2},
    "a generation of given size": {"generation_batch_size": 8, "num_iterations": 3},
    "groups over micro-steps": {"gradient_accumulation_steps": 2, "num_generations": 8},
    "a part of an epoch": {"num_train_epochs": 0.5},
}


def write(folder: Path, text: str = "", **settings: Any) -> Path:
    path = folder / "recipe.yaml"
    merged = {k: v for k, v in (RECIPE | settings).items() if v is not None}
    path.write_text(text + yaml.safe_dump(merged))
    return path


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dra": True, "gapo": True}, ["dra", "gapo"]),
        ({"advantage": "pkpo", "pkpo_k": 9}, ["pkpo", "num_generations=8"]),
        ({"dra": True, "multi_objective_aggregation": "normalize_then_sum"}, ["dra"]),
        ({"kl_cov_coef": 1.0}, ["kl_cov"]),
        ({"kl_cov_coef": 1.0, "gradient_accumulation_steps": 2, "steps_per_generation": 1}, ["kl"]),
    ],
    ids=str,
)
def test_methods_that_a_run_would_refuse_are_refused(
    settings: dict[str, Any], named: list[str], tmp_path: Path
) -> None:
    with refused(ConfigError, *named):
        make_plan(write(tmp_path, **settings))


def test_several_updates_of_a_generation_are_enough_for_kl_cov(tmp_path: Path) -> None:
    for settings in ({"num_iterations": 2}, {"steps_per_generation": 2}):
        plan = make_plan(write(tmp_path, kl_cov_coef=1.0, advantage="ucpo", **settings))
        assert any(line.startswith("kl_cov: 1 x") for line in plan.methods)
        assert "advantages by ucpo" in plan.methods[0]  # and not by TRL's own rule


@pytest.mark.parametrize("case", SMALL_BATCHES)
def test_steps_are_those_of_the_trainer(case: str, write_recipe: WriteRecipe) -> None:
    settings = {"task_limit": 7, "max_steps": None, "num_train_epochs": 3} | SMALL_BATCHES[case]
    path = write_recipe(**settings)
    trainer = build_trainer(load_recipe(path))
    *_, steps = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    batches = make_plan(path).batches
    assert batches.steps == steps
    assert batches.completions_per_generation == trainer.args.generation_batch_size
    accumulation = trainer.args.gradient_accumulation_steps
    assert batches.completions_per_step == 4 * accumulation
    assert batches.steps_per_generation == (
        trainer.args.steps_per_generation * trainer.args.num_iterations / accumulation
    )


def test_keys_and_defaults_are_those_of_the_classes_that_hold_them() -> None:
    classes = (TaskArguments, DiversityGRPOConfig, ModelConfig, DatasetMixtureConfig)
    keys = {action.dest for action in _Parser(classes)._actions} - {"help"}
    defaults = {field.name: field.default for kind in classes for field in fields(kind)}
    known = read_settings(None).defaults
    assert set(known) == keys | {"env"}
    for name, default in known.items():
        if default is not None:
            assert default == defaults[name], name
    told = {name for name, default in known.items() if default is not None}
    assert {"num_generations", "max_completion_length", "loss_type", "dtype", "beta"} <= told


def test_a_plan_without_its_model_imports_none_of_what_takes_seconds() -> None:
    code = (
        "import sys; from polypath.plan.make_plan import make_plan; from pathlib import Path;"
        "make_plan(Path('recipes/dra_grpo/dra_grpo.yaml'));"
        "print([m for m in ('torch', 'trl', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# What is wrong, and what the line about it names: the setting, and what it holds.
BAD: dict[str, tuple[dict[str, Any], type[PolypathError], list[str]]] = {
    "unknown key": ({"num_generation": 4}, ConfigError, ["num_generation", "num_generations"]),
    "no number": ({"num_generations": "many"}, ConfigError, ["num_generations", "many"]),
    "half a number": ({"num_generations": 2.5}, ConfigError, ["num_generations", "2.5"]),
    "no truth value": ({"dra": "perhaps"}, ConfigError, ["dra", "perhaps"]),
    "groups cut": ({"num_generations": 6}, ConfigError, ["per_device_train_batch_size", "6"]),
    "generation cut": ({"generation_batch_size": 12}, ConfigError, ["generation_batch_size", "12"]),
    "both sizes": (
        {"generation_batch_size": 8, "steps_per_generation": 1},
        ConfigError,
        ["generation_batch_size", "steps_per_generation"],
    ),
    "unknown dtype": ({"dtype": "float64"}, ConfigError, ["dtype", "float64"]),
    "DeepSpeed missing": ({"deepspeed": "nowhere.json"}, MissingFileError, ["nowhere.json"]),
    "stage no number": (
        {"deepspeed": {"zero_optimization": {"stage": "x"}}},
        ConfigError,
        ["zero_optimization", "'x'"],
    ),
    "no such stage": ({"deepspeed": {"zero_optimization": {"stage": 4}}}, ConfigError, ["4"]),
    "unknown task": ({"task": "gsm9k"}, ConfigError, ["gsm9k", "gsm8k"]),
    "unknown task option": ({"task_options": {"promt": "dra"}}, ConfigError, ["promt", "prompt"]),
    "fewer prompts than a generation": (
        {"task_limit": 1, "generation_batch_size": 64},
        DataError,
        ["1 prompts", "64"],
    ),
    "model folder empty": ({"model_name_or_path": "."}, MissingFileError, ["config.json"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_recipe_is_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings, kind, named = BAD[case]
    with pytest.raises(kind) as error:
        make_plan(write(tmp_path, **settings))
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in named), error.value


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        ("# plan: processes=many\n", ConfigError, "processes=many"),
        ("# plan: gpus=8\n", ConfigError, "gpus=8"),
        ("beta: 1\nbeta: 2\n", DataError, "beta"),
        ("a: [1\n", DataError, "recipe.yaml"),
    ],
)
def test_a_bad_file_is_one_line(
    text: str, kind: type[PolypathError], named: str, tmp_path: Path
) -> None:
    with pytest.raises(kind) as error:
        make_plan(write(tmp_path, text))
    assert "\n" not in str(error.value)
    assert named in str(error.value)


@pytest.mark.parametrize("content", ["", "- a\n", "words", "3"])
def test_a_file_without_keys_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(DataError):
        make_plan(path)


def test_overrides_win_in_every_spelling(tmp_path: Path) -> None:
    path = write(tmp_path)
    for words in (["--beta", "1e-2", "--dra"], ["--beta=1e-2", "--dra", "true"]):
        plan = make_plan(path, [*words, "--max-steps", "3"])
        assert plan.batches.steps == 3
        assert any("beta 0.01" in line for line in plan.methods)
        assert any(line.startswith("dra") for line in plan.methods)
    for words in (["--betta", "1"], ["stray"]):
        with pytest.raises(ConfigError, match=words[0].lstrip("-")):
            make_plan(path, words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scale_rewards": "none", "loss_type": "dr_grpo"}, ["Dr. GRPO"]),
        ({"scale_rewards": False, "loss_type": "dr_grpo"}, ["Dr. GRPO"]),
        ({"epsilon_high": 0.28}, ["GRPO", "dapo", "0.2", "0.28"]),
        ({"beta": 0.04}, ["0.04", "reverse"]),
        ({"beta": 0.04, "use_bias_correction_kl": False}, ["0.04", "forward"]),
        ({"beta": 0.04, "kl_gradient": "forward"}, ["0.04", "forward"]),
        ({"positive_entropy_coef": 0.01}, ["positive_entropy", "0.01"]),
        (
            {
                "rehearsal_set": "x",
                "rehearsal_divergence": "alpha",
                "rehearsal_alpha": 0.2,
                "rehearsal_coef": 0.1,
            },
            ["rehearsal", "0.1", "alpha 0.2"],
        ),
        (
            {"bank": True, "bank_coef": 0.2, "bank_capacity": 5, "bank_max_age": 40},
            ["bank", "0.2", "forward_kl_uncentred", "5", "40"],
        ),
        ({"preset": "diverse", "dra_strength": 0.7}, ["dra", "answer", "protected", "0.7", "50%"]),
    ],
)
def test_every_method_and_changed_setting_is_listed(
    settings: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    listed = "\n".join(make_plan(write(tmp_path, **settings)).methods)
    assert all(word in listed for word in words), listed


def test_hours_and_cost_come_from_tokens(tmp_path: Path) -> None:
    path = write(tmp_path, max_steps=10)
    plan = make_plan(path, price=Price(throughput=50, price=3.0))
    assert plan.batches.tokens_generated == 10 * 8 * 100
    assert plan.gpu_hours == pytest.approx(8000 / 50 / 3600)
    assert plan.cost == pytest.approx(3 * 8000 / 50 / 3600)
    for kwargs in ({"price": 3.0}, {"throughput": 0.0}, {"throughput": 1.0, "price": -1.0}):
        with pytest.raises(PolypathError):
            Price(**kwargs)


def test_other_numbers_of_gpus_are_told_how_to_keep_the_step(tmp_path: Path) -> None:
    path = write(tmp_path, "# plan: processes=4 gpu_gb=80\n", gradient_accumulation_steps=2)
    assert make_plan(path).notes == []
    halved = make_plan(path, gpus=2)
    assert halved.batches.completions_per_step == 32
    (note,) = halved.notes
    assert "gradient_accumulation_steps by 2" in note


# --- what is printed ------------------------------------------------------------------------------------


def test_what_is_needed_says_whether_it_is_here(tmp_path: Path) -> None:
    save_model(tmp_path / "model", "a Llama")
    path = write(
        tmp_path,
        model_name_or_path=str(tmp_path / "model"),
        task_options=[f"data={tmp_path}"],
        dra=True,
        similarity="embedding",
        embedding_model="who/knows",
        rehearsal_set="nowhere",
        rehearsal_coef=0.1,
    )
    needs = {need.what: need for need in make_plan(path).needs}
    assert {what: need.present for what, need in needs.items()} == {
        "model": True,
        "data": True,
        "embedder": False,
        "rehearsal set": False,
    }
    assert needs["rehearsal set"].hint.startswith("polypath presample --model")
    assert f"--task-option data={tmp_path}" in needs["rehearsal set"].hint


def test_the_printed_plan_and_the_json_agree() -> None:
    console = Console(record=True, width=160)
    plan = make_plan(
        ROOT / "recipes/r1_zero_div/7b_r1_zero_div.yaml", price=Price(throughput=100, price=1.5)
    )
    print_plan(console, plan)
    text = console.export_text()
    for words in (
        "64 prompts x 6 = 384 completions",
        "DeepSpeed ZeRO-2",
        "1.0 x gsm8k verifier, 1.0 x boxed_format_reward",
        "openai/gsm8k",
        "paper (eq. 12)",
        f"{plan.cost:,.2f}",
    ):
        assert words in text
    read = json.loads(json.dumps(plan.as_dict()))
    assert read["batches"]["steps"] == plan.batches.steps == 232
    assert math.isclose(read["gpu_hours"], 232 * 384 * 756 / 100 / 3600)


def test_a_plan_shows_no_keys(tmp_path: Path) -> None:
    key, console = "SeCr3tV4lue99", Console(record=True, width=300)
    secrets = {"hub_token": key, "env": {"WANDB_API_KEY": key}, "model_init_kwargs": {"token": key}}
    server = ["--vllm_server_base_url", f"http://me:{key}@host:8000"]
    plan = make_plan(write(tmp_path, **secrets), server)
    print_plan(console, plan)
    text = console.export_text()
    assert "hub_token" in text
    assert key not in text + json.dumps(plan.as_dict())


def test_a_missing_model_has_no_size_and_no_estimate(tmp_path: Path) -> None:
    plan = make_plan(write(tmp_path, model_name_or_path="who/knows"))
    assert plan.memory is None
    assert plan.parameters is None
    assert plan.needs[0].present is False
