"""The plan's memory estimate against the memory that a training takes here, on the CPU."""

import gc
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE

from polypath.engines.trl import DiversityGRPOTrainer
from polypath.errors import DataError
from polypath.plan.make_plan import make_plan
from polypath.plan.memory import LOGITS_TILE, Memory, ModelSize, Work, estimate
from polypath.plan.settings import read_settings
from polypath.plan.zero import Zero
from polypath.train.config import load_recipe
from polypath.train.run import build_trainer
from tests.tiny import save_tiny_model
from tests.train.conftest import SETTINGS

TOLERANCE = 0.1  # of the peak; docs/recipes.md states it
PROMPT, COMPLETION = 2, 126  # on a CPU, TRL projects the prompt's tokens too: keep them few


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders of models of which no part of the estimate is negligible."""
    folders = {}
    for name, config_class, model_class in (
        ("Llama", LlamaConfig, LlamaForCausalLM),
        ("Qwen2", Qwen2Config, Qwen2ForCausalLM),
    ):
        folder = folders[name] = tmp_path_factory.mktemp(name)
        save_tiny_model(folder)  # for its tokenizer
        config = config_class(
            vocab_size=64,
            hidden_size=96,
            intermediate_size=320,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=2,
            tie_word_embeddings=name == "Qwen2",
        )
        model_class(config).save_pretrained(folder)
    return folders


def write_recipe(folder: Path, model: Path, **settings: Any) -> Path:
    path = folder / "recipe.yaml"
    recipe = {
        **SETTINGS,
        "model_name_or_path": str(model),
        "output_dir": str(folder / "run"),
        "max_completion_length": COMPLETION,
        "gradient_accumulation_steps": 2,  # the second micro-step finds the gradients of the first
        "max_steps": 2,  # the second step finds the optimizer's states
        **settings,
    }
    path.write_text(f"# plan: prompt_tokens={PROMPT}\n{yaml.safe_dump(recipe)}")
    return path


def build(path: Path) -> DiversityGRPOTrainer:
    """Build the trainer of a recipe; its samples are made up, all but one of the greatest length."""
    trainer = build_trainer(load_recipe(path))

    def samples(inputs: list[Any]) -> dict[str, torch.Tensor]:
        rows = len(inputs)
        mask = torch.ones(rows, COMPLETION, dtype=torch.long)
        mask[::4, -1] = 0
        made = {
            "prompt_ids": torch.full((rows, PROMPT), 9),
            "prompt_mask": torch.ones(rows, PROMPT, dtype=torch.long),
            "completion_ids": torch.full((rows, COMPLETION), 9),
            "completion_mask": mask,
            "advantages": torch.linspace(-1, 1, rows),
            "num_items_in_batch": mask.sum(),
        }
        if trainer.beta:
            made["ref_per_token_logps"] = torch.full((rows, COMPLETION), -3.0)
        return made

    trainer._generate_and_score_completions = samples
    return trainer


def train(trainer: DiversityGRPOTrainer) -> float:
    """Train; return the most bytes that were allocated at one moment, beyond those held before."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        trainer.train()
    events = recorded.profiler.kineto_results.events()
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


def size(tensors: Any) -> int:
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, torch.Tensor))


def planned(path: Path) -> Memory:
    memory = make_plan(path).memory
    assert memory is not None
    return memory


CASES: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32, checkpointed": {"gradient_checkpointing": True},
    "float32, reference and average": {"beta": 0.1, "average_weights_from": 0.0},
    "autocast, checkpointed": {"bf16": True, "gradient_checkpointing": True},
    "bfloat16, checkpointed": {
        "bf16": True,
        "dtype": "bfloat16",
        "gradient_checkpointing": True,
    },
}


@pytest.mark.parametrize(
    ("case", "name"),
    [*((case, "Llama") for case in CASES), ("autocast, checkpointed", "Qwen2")],
)
def test_memory_is_what_a_training_takes(
    case: str,
    name: str,
    models: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for tile in (
        "polypath.plan.memory.LOGITS_TILE",
        "trl.trainer.utils._CHUNKED_LOGPROB_CHUNK_SIZE",
    ):
        monkeypatch.setattr(tile, 64)  # so that it does not outweigh the rest of a small model
    path = write_recipe(tmp_path, models[name], **CASES[case])
    memory = planned(path)
    trainer = build(path)
    reference = trainer.ref_model
    held = {
        "weights": size(trainer.model.parameters()),
        "gradients": size(trainer.model.parameters()),
        "reference": 0 if reference is None else size(reference.parameters()),
    }
    peak = train(trainer) + held["weights"] + held["reference"]
    states = trainer.optimizer.optimizer.state.values()
    held["optimizer"] = sum(size(state.values()) for state in states)
    average = trainer.weight_average
    held["average"] = 0 if average is None else size(average.mean.values())
    for part, measured in held.items():
        assert memory.parts[part] == pytest.approx(measured / 1e9, rel=0.01), part
    assert memory.peak == pytest.approx(peak / 1e9, rel=TOLERANCE)


def test_a_whole_tile_of_logits_counts(models: dict[str, Path], tmp_path: Path) -> None:
    assert LOGITS_TILE == _CHUNKED_LOGPROB_CHUNK_SIZE
    path = write_recipe(tmp_path, models["Llama"], gradient_checkpointing=True)
    memory, trainer = planned(path), build(path)
    assert memory.parts["logits"] > 0.5 * memory.peak
    peak = train(trainer) + size(trainer.model.parameters())
    assert memory.peak == pytest.approx(peak / 1e9, rel=TOLERANCE)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_generation_holds_the_keys_and_values_of_a_generation(
    dtype: str, models: dict[str, Path], tmp_path: Path
) -> None:
    path = write_recipe(tmp_path, models["Llama"], dtype=dtype, bf16=dtype == "bfloat16")
    model = AutoModelForCausalLM.from_pretrained(models["Llama"], dtype=dtype)
    made = model.generate(
        torch.full((8, PROMPT), 9),  # 4 a micro-step, and two of these
        min_new_tokens=COMPLETION,
        max_new_tokens=COMPLETION,
        return_dict_in_generate=True,
    )
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in made.past_key_values.layers)
    assert planned(path).parts["generation"] == pytest.approx(held / 1e9, rel=0.01)


# --- DeepSpeed and vLLM, which need what is not here ----------------------------------------------

STATES = ("weights", "gradients", "optimizer")
COUNT, LARGEST = 10**9, 10**7
MODEL = ModelSize(
    parameters=COUNT,
    largest_layer=LARGEST,
    weights=2 * COUNT,
    kept=0,
    hidden_states=0,
    layers=1,
    cache=0,
)
WORK = Work(prompt=0, completion=0, rows=0, generated=0)


def under_zero(stage: int, gpus: int, *, offload: bool) -> Memory:
    zero = Zero(stage=stage, optimizer_on_host=offload, weights_on_host=False)
    settings = read_settings(None)
    return estimate(MODEL, settings, zero, WORK, gpus=gpus, gpu_gb=None)


# (host, GPU) bytes that DeepSpeed 0.19.8's estimate_zero2_model_states_mem_needs(10**9, 8, 1, offload, 1)
# and estimate_zero3_model_states_mem_needs(10**9, 10**7, 8, 1, offload, False, False, 1) returned.
DEEPSPEED = {
    (2, False): (None, 4_250_000_000),
    (2, True): (32_000_000_000, 2_000_000_000),
    (3, False): (None, 2_290_000_000),
    (3, True): (32_000_000_000, 290_000_000),
}


@pytest.mark.parametrize(("stage", "offload"), DEEPSPEED)
def test_states_under_zero_are_those_deepspeed_estimated(stage: int, offload: bool) -> None:
    host, gpu = DEEPSPEED[stage, offload]
    memory = under_zero(stage, 8, offload=offload)
    assert sum(memory.parts[part] for part in STATES) == pytest.approx(gpu / 1e9)
    if host is not None:
        assert memory.host == pytest.approx(host / 1e9)


@settings(max_examples=20)
@given(stage=st.sampled_from([2, 3]), gpus=st.integers(1, 64), offload=st.booleans())
def test_states_under_zero_are_those_deepspeed_estimates(
    stage: int, gpus: int, offload: bool
) -> None:
    pytest.importorskip("deepspeed", reason="its rule of thumb is compared with")
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as zero3
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs as zero2

    if stage == 2:
        host, gpu = zero2(COUNT, gpus, 1, offload, 1)
    else:
        host, gpu, _ = zero3(COUNT, LARGEST, gpus, 1, offload, False, False, 1)
    memory = under_zero(stage, gpus, offload=offload)
    assert sum(memory.parts[part] for part in STATES) == pytest.approx(gpu / 1e9)
    if offload:
        assert memory.host == pytest.approx(host / 1e9)


def test_vllm_takes_its_share_or_gpus_of_its_own(models: dict[str, Path], tmp_path: Path) -> None:
    def plan(**settings: Any) -> Memory:
        path = write_recipe(tmp_path, models["Llama"], use_vllm=True, **settings)
        path.write_text(path.read_text().replace("# plan:", "# plan: gpu_gb=80"))
        return planned(path)

    share = {"vllm_gpu_memory_utilization": 0.5}
    awake, asleep = plan(**share), plan(**share, vllm_enable_sleep_mode=True)
    in_pass = awake.parts["activations"] + awake.parts["logits"]
    assert awake.parts["generation"] == asleep.parts["generation"] == 40
    assert awake.peak - asleep.peak == pytest.approx(in_pass)  # asleep while training
    assert plan(vllm_mode="server").parts["generation"] == 0


# --- what is not estimated --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"fsdp": "full_shard"}, "FSDP"),
        ({"deepspeed": {"zero_optimization": {"stage": 1}}}, "stage 2"),
        (
            {"deepspeed": {"zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}}}},
            "host",
        ),
        ({"use_peft": True}, "use_peft"),
        ({"load_in_4bit": True}, "load_in_4bit"),
        ({"optim": "adafactor"}, "adafactor"),
    ],
)
def test_what_nothing_checks_is_not_estimated(
    settings: dict[str, Any], named: str, models: dict[str, Path], tmp_path: Path
) -> None:
    plan = make_plan(write_recipe(tmp_path, models["Llama"], **settings))
    assert plan.memory is None
    assert plan.parameters is not None
    assert any(named in note for note in plan.notes)


def test_a_config_alone_gives_the_size_but_not_the_model(
    models: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    shutil.copy(models["Qwen2"] / "config.json", folder)
    plan = make_plan(write_recipe(tmp_path, folder))
    model = AutoModelForCausalLM.from_pretrained(models["Qwen2"])
    assert plan.parameters == sum(weight.numel() for weight in model.parameters())
    assert plan.needs[0].present is False


def test_a_model_of_another_kind_has_no_estimate(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "of tomorrow"}')
    assert make_plan(write_recipe(tmp_path, tmp_path)).memory is None
    (tmp_path / "config.json").write_text("{broken")
    with pytest.raises(DataError, match=r"config\.json"):
        make_plan(write_recipe(tmp_path, tmp_path))
