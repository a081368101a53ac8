"""From a recipe to a trained model; what cannot be built says so in one line."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from polypath.cli.main import run as command
from polypath.errors import (
    ConfigError,
    DataError,
    MissingExtraError,
    MissingFileError,
    PolypathError,
)
from polypath.train.callbacks import read_log
from polypath.train.config import load_recipe
from polypath.train.run import build_trainer, run
from tests.train.conftest import WriteRecipe


def write_lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


QUESTIONS = [{"prompt": f"solve {i} + {i} =", "gold": str(2 * i)} for i in range(6)]


def test_a_task_recipe_trains_and_leaves_a_model_that_loads(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    told: list[str] = []
    recipe = load_recipe(
        write_recipe(
            dra=True,
            eval_strategy="steps",
            eval_steps=2,
            per_device_eval_batch_size=64,
            max_steps=2,
        )
    )
    assert run(recipe, progress=told.append) == tmp_path / "run"
    assert told == [f"Trained 2 steps; the model is in {tmp_path / 'run'}."]
    AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    log = read_log(tmp_path / "run" / "log.jsonl")
    assert [line["step"] for line in log if "loss" in line] == [1, 2]
    assert any("eval_diversity/accuracy" in line for line in log)
    assert "rewards/countdown_reward/mean" in log[0]


def test_new_adapters_come_from_the_seed_of_the_recipe(write_recipe: WriteRecipe) -> None:
    pytest.importorskip("peft", reason="needs peft")

    def drawn(seed: int) -> torch.Tensor:
        torch.rand(3)  # what was drawn before must not matter
        recipe = load_recipe(
            write_recipe(
                use_peft=True, lora_r=4, lora_target_modules=["q_proj", "v_proj"], seed=seed
            )
        )
        named = build_trainer(recipe).model.named_parameters()
        return next(tensor.detach() for name, tensor in named if "lora_A" in name)

    first = drawn(1)
    assert torch.equal(first, drawn(1))
    assert not torch.equal(first, drawn(2))


def test_a_recipe_of_trl_runs_unchanged(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_lib").mkdir()
    (tmp_path / "my_lib" / "__init__.py").touch()
    (tmp_path / "my_lib" / "rewards.py").write_text(
        "def even(completions, gold, **columns):\n"
        "    return [float(len(c[0]['content']) % 2) for c in completions]\n"
    )
    chat = [{"prompt": [{"role": "user", "content": q["prompt"]}], "gold": "4"} for q in QUESTIONS]
    data = write_lines(tmp_path / "train.jsonl", chat)
    # As in TRL's documentation: a module next to where the command runs is found.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    recipe = tmp_path / "grpo.yaml"
    recipe.write_text(
        f"model_name_or_path: {tiny_model_dir}\ndtype: float32\nattn_implementation: eager\n"
        f"dataset_name: {data}\ndataset_train_split: train\n"
        "reward_funcs:\n  - my_lib.rewards.even\n  - think_format_reward\nreward_weights: [1.0, 0.1]\n"
        "use_peft: true\nlora_r: 4\nlora_alpha: 8\nlora_target_modules: [q_proj, v_proj]\n"
        "output_dir: out\nlearning_rate: 1e-3\nlr_scheduler_type: cosine\nwarmup_steps: 1\n"
        "per_device_train_batch_size: 2\ngradient_accumulation_steps: 2\nnum_generations: 4\n"
        "max_completion_length: 6\nmax_steps: 2\nlogging_steps: 1\nsave_strategy: steps\n"
        "save_steps: 2\nbeta: 0.01\nloss_type: dapo\nreport_to: none\nseed: 7\nbf16: false\n"
        "use_cpu: true\ngradient_checkpointing: true\n"
        "gradient_checkpointing_kwargs:\n  use_reentrant: false\n"
        "env:\n  POLYPATH_TEST_VARIABLE: 1\n"
    )
    monkeypatch.setenv("POLYPATH_TEST_VARIABLE", "0")
    run(load_recipe(recipe), progress=[].append)
    adapter = load_file(tmp_path / "out" / "adapter_model.safetensors")
    moved = [tensor for name, tensor in adapter.items() if "lora_B" in name]
    assert len(moved) == 4
    assert all(bool(tensor.abs().max() > 0) for tensor in moved)
    assert "rewards/even/mean" in read_log(tmp_path / "out" / "log.jsonl")[0]


def test_a_mixture_of_data_sets_is_read(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "train.jsonl", QUESTIONS)
    mixture = [{"path": "json", "data_files": data, "split": "train"}] * 2
    code = tmp_path / "rewards.py"
    code.write_text(
        "def length(completions, **columns):\n    return [float(len(c)) for c in completions]\n"
    )
    path = write_recipe(task=None, datasets=mixture, reward_funcs=[f"{code}:length"])
    assert build_trainer(load_recipe(path)).train_dataset.num_rows == 12


def test_the_base_model_that_ships_is_known_by_name(write_recipe: WriteRecipe) -> None:
    recipe = load_recipe(write_recipe(model_name_or_path="countdown-base"))
    assert build_trainer(recipe).model.num_parameters() > 100_000


BAD: dict[str, tuple[dict[str, Any], type[PolypathError], str]] = {
    "model folder missing": (
        {"model_name_or_path": "/no/such/model"},
        MissingFileError,
        "/no/such/model is neither",
    ),
    "model on no hub": ({"model_name_or_path": "no/such"}, MissingFileError, "no/such is neither"),
    "model not named": ({"model_name_or_path": None}, ConfigError, "model_name_or_path is missing"),
    "unknown task": ({"task": "countdwn"}, ConfigError, "Did you mean 'countdown'"),
    "unknown split": ({"task_split": "trian"}, ConfigError, "'trian'"),
    "negative limit": ({"task_limit": -1}, ConfigError, "task_limit"),
    "unknown similarity": ({"similarity": "ngrams"}, ConfigError, "Did you mean 'ngram'"),
    "similarity function missing": (
        {"similarity": "nowhere:function"},
        ConfigError,
        "nowhere",
    ),
    "unknown reward": ({"reward_funcs": ["acuracy_reward"]}, ConfigError, "'accuracy_reward'"),
    "reward module missing": (
        {"reward_funcs": ["no_such_module.reward"]},
        ConfigError,
        "reward function 'no_such_module.reward'",
    ),
    "reward missing in module": ({"reward_funcs": ["math.reward"]}, ConfigError, "math.reward"),
    "reward file missing": (
        {"reward_funcs": ["no_such_file.py:reward"]},
        MissingFileError,
        "no_such_file.py",
    ),
    "unknown correctness": (
        {"correctness_reward": "countdown"},
        ConfigError,
        "Did you mean 'countdown_reward'",
    ),
    "weights of another number": (
        {"reward_weights": [1.0, 2.0]},
        ConfigError,
        r"[Rr]eward weights",
    ),
    "nothing to train on": ({"task": None}, ConfigError, "what to train on"),
    "fewer prompts than a generation": (
        {"per_device_train_batch_size": 16, "task_limit": 3},
        DataError,
        "3 prompts.* 4 ",
    ),
    "data file missing": (
        {"task": None, "dataset_name": "nothing.jsonl"},
        MissingFileError,
        "nothing.jsonl does not exist",
    ),
    "data set on no hub": (
        {"task": None, "dataset_name": "no/such-data"},
        DataError,
        "Cannot load data set no/such-data",
    ),
    "rehearsal set missing": (
        {"rehearsal_set": "no-set"},
        MissingFileError,
        "no-set does not exist",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_built_is_one_line(case: str, write_recipe: WriteRecipe) -> None:
    settings, kind, message = BAD[case]
    with pytest.raises(kind, match=message) as error:
        run(load_recipe(write_recipe(**settings)), progress=[].append)
    assert "\n" not in str(error.value)


DATA: dict[str, tuple[str, dict[str, Any], str]] = {
    "no JSON": ("{broken\n", {}, "Cannot load data set"),
    "no prompts": ('{"question": "2 + 2"}\n', {}, "no column 'prompt', but question"),
    "another split": (
        '{"prompt": "2 + 2"}\n',
        {"eval_strategy": "steps", "eval_steps": 1},
        "dataset_test_split 'test'",
    ),
}


@pytest.mark.parametrize("case", DATA)
def test_data_of_another_form_is_one_line(
    case: str, write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    content, settings, message = DATA[case]
    data = tmp_path / "data.jsonl"
    data.write_text(content)
    path = write_recipe(
        task=None, dataset_name=str(data), reward_funcs=["think_format_reward"], **settings
    )
    with pytest.raises(PolypathError, match=message) as error:
        run(load_recipe(path), progress=[].append)
    assert "\n" not in str(error.value)


def test_a_bug_in_a_reward_function_is_one_line_of_the_command(
    write_recipe: WriteRecipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = tmp_path / "rewards.py"
    code.write_text(
        "def even(completions, **columns):\n    return [columns['golds'] for _ in completions]\n"
    )
    data = write_lines(tmp_path / "train.jsonl", QUESTIONS)
    recipe = write_recipe(task=None, dataset_name=data, reward_funcs=[f"{code}:even"])
    assert command(["train", "--config", str(recipe)]) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("polypath:")]
    assert len(told) == 1
    for fact in ("even", "KeyError", "golds", f"{code}, line 2"):
        assert fact in told[0]


def test_a_logger_that_is_not_installed_is_named_before_anything_is_made(
    write_recipe: WriteRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "transformers.integrations.integration_utils.is_trackio_available", lambda: False
    )
    with pytest.raises(MissingExtraError, match="trackio"):
        run(load_recipe(write_recipe(report_to="trackio")))
    assert not (tmp_path / "run").exists()


def test_a_logger_gets_every_curve(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    run(load_recipe(write_recipe(report_to="tensorboard", dra=True, positive_entropy_coef=0.1)))
    (folder,) = (tmp_path / "run" / "runs").iterdir()
    events = reader.EventAccumulator(str(folder)).Reload()
    log = read_log(tmp_path / "run" / "log.jsonl")
    known = {name for line in log for name, value in line.items() if value is not None} - {"step"}
    assert {f"train/{name}" for name in known} <= set(events.Tags()["scalars"])
    drawn = events.Scalars("train/diversity/accuracy")
    lines = [line for line in log if "loss" in line]
    assert [event.step for event in drawn] == [line["step"] for line in lines]
    accuracies = [line["diversity/accuracy"] for line in lines]
    assert [event.value for event in drawn] == pytest.approx(accuracies)


def test_data_without_a_reward_is_refused(write_recipe: WriteRecipe, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "data.jsonl", QUESTIONS)
    with pytest.raises(ConfigError, match="what to reward"):
        run(load_recipe(write_recipe(task=None, dataset_name=data)))


def test_an_output_folder_that_is_a_file_is_refused(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match="is a file"):
        run(load_recipe(write_recipe()))


def test_a_model_folder_without_a_model_is_refused(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    with pytest.raises(MissingFileError, match=r"no config\.json"):
        run(load_recipe(write_recipe(model_name_or_path=str(tmp_path))))


def test_the_same_recipe_gives_the_same_parameters(
    write_recipe: WriteRecipe, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        path = write_recipe(output_dir=str(tmp_path / name), max_steps=2, positive_entropy_coef=0.1)
        run(load_recipe(path), progress=[].append)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_logged_completions_are_shown_as_text(
    write_recipe: WriteRecipe, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.jsonl"
    rows = [{"prompt": f"solve \x1b[2J{n} \u202e [bold]", "gold": "1"} for n in range(4)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code = tmp_path / "rewards.py"
    code.write_text("def none(completions, **_):\n    return [0.0] * len(completions)\n")
    told = {"dataset_name": str(data), "reward_funcs": [f"{code}:none"], "max_steps": 1}
    run(load_recipe(write_recipe(task=None, log_completions=True, **told)), progress=str)
    shown = capfd.readouterr().out
    assert "[U+001B][2J" in shown
    assert "\x1b[2J" not in shown
