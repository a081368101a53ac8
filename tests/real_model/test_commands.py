"""Every command takes the real model, with its tokenizer and chat template: small sizes, all of them real."""

import json
import re
from pathlib import Path

import pytest
import yaml

from polypath.rollouts.samples import load_samples
from tests.real_model.conftest import TASK
from tests.real_model.processes import polypath

SAMPLING = (
    "--temperature",
    "0.5",
    "--max-new-tokens",
    "16",
    "--batch-size",
    "8",
    "--device",
    "cpu",
)
TRAINING = {
    "task": TASK,
    "preset": "balanced",
    "max_steps": 2,
    "per_device_train_batch_size": 4,
    "num_generations": 4,
    "max_completion_length": 32,
    "temperature": 0.5,
    "learning_rate": 1e-5,
    "gradient_checkpointing": False,
    "task_limit": 2,
    "bf16": False,
    "use_cpu": True,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def sample(model: Path, out: Path, seed: int) -> str:
    words = ("--model", model, "--task", TASK, "--limit", 2, "--n", 4, "--seed", seed, *SAMPLING)
    return polypath("sample", *words, "--out", out)


@pytest.fixture(scope="module")
def base(smollm2: Path, folder: Path) -> Path:
    sample(smollm2, folder / "base", 0)
    return folder / "base"


@pytest.fixture(scope="module")
def trained(smollm2: Path, folder: Path) -> Path:
    """Return samples of the model after two steps with a preset, which makes its own rehearsal set."""
    recipe, model = folder / "recipe.yaml", folder / "model"
    settings = {**TRAINING, "model_name_or_path": str(smollm2), "output_dir": str(model)}
    recipe.write_text(yaml.safe_dump(settings))
    polypath("train", "--config", recipe)
    assert (model / "model.safetensors").is_file()
    sample(model, folder / "trained", 0)
    return folder / "trained"


def test_sampling_verifies_and_a_second_call_adds_nothing(smollm2: Path, base: Path) -> None:
    samples = load_samples(base)
    assert samples.num_problems == 2
    found = sorted(path.read_bytes() for path in base.rglob("*.parquet"))
    sample(smollm2, base, 0)
    assert sorted(path.read_bytes() for path in base.rglob("*.parquet")) == found


def test_presampling_stores_reference_log_probs(rehearsal_set: Path) -> None:
    manifest = json.loads((rehearsal_set / "manifest.json").read_text())
    assert manifest["num_rows"] >= 1
    assert manifest["num_tokens"] >= manifest["num_rows"]


def test_measures_comparison_and_page(base: Path, trained: Path, folder: Path) -> None:
    assert re.search("pass@4", polypath("diversity", base, "--workers", 1))
    assert "trained" in polypath("compare", base, trained, "--workers", 1)
    page = folder / "report.html"
    polypath("report", base, trained, "--workers", 1, "--out", page)
    assert "Name one city in France" in page.read_text()
