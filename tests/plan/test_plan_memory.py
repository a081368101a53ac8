"""The plan's memory: bytes a parameter, what is split, and activations against a real model's."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaModel

from polypath.plan.models import ARCHITECTURES, architecture
from polypath.plan.plan import make_plan
from tests.plan.test_plan import RECIPE, write
from tests.train.published import save_model

# As counted on the hub's model pages, from general knowledge; biases and norms are left out of ours.
PUBLISHED = {
    "Qwen/Qwen2.5-Math-1.5B": 1_543_714_304,
    "Qwen/Qwen2.5-Math-7B": 7_615_616_512,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": 1_777_088_000,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "seeklhy/OmniSQL-32B": 32_763_876_352,
}


def test_sizes_of_the_table_give_the_published_parameters() -> None:
    assert set(PUBLISHED) == set(ARCHITECTURES)
    for name, count in PUBLISHED.items():
        assert ARCHITECTURES[name].parameters == pytest.approx(count, rel=1e-3)


@pytest.mark.parametrize("name", ["a Llama", "Qwen 1.5B"])
def test_parameters_are_counted_from_a_models_config(name: str, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(save_model(tmp_path, name))
    matrices = sum(p.numel() for p in model.parameters() if p.dim() == 2)
    sizes = architecture(str(tmp_path))
    assert sizes is not None
    assert not sizes.assumed
    assert sizes.parameters == matrices


def test_memory_without_sharding_is_bytes_a_parameter(tmp_path: Path) -> None:
    count = ARCHITECTURES["meta-llama/Llama-3.1-8B"].parameters / 1e9
    full = make_plan(write(tmp_path, dtype="float32", bf16=False, beta=0.1)).memory
    half = make_plan(write(tmp_path, dtype="bfloat16")).memory
    mixed = make_plan(write(tmp_path, dtype="float32")).memory
    assert full is not None
    assert half is not None
    assert mixed is not None
    held = ("weights", "gradients", "optimizer", "reference")
    assert [full.parts[n] for n in held] == pytest.approx(
        [4 * count, 4 * count, 8 * count, 4 * count]
    )
    assert [half.parts[n] for n in held] == pytest.approx([2 * count, 2 * count, 4 * count, 0])
    assert mixed.parts["weights"] == pytest.approx(6 * count)  # and the copies autocast makes
    averaged = make_plan(write(tmp_path, dtype="bfloat16", average_weights_from=0.5)).memory
    assert averaged is not None
    assert averaged.parts["average"] == pytest.approx(4 * count)  # float32


@given(stage=st.integers(0, 3), gpus=st.sampled_from([1, 2, 8]), offload=st.booleans())
def test_zero_splits_what_its_stage_says(stage: int, gpus: int, offload: bool) -> None:
    zero: dict[str, Any] = {"stage": stage}
    if offload:
        zero["offload_optimizer"] = {"device": "cpu"}
    words = [f"--{key}={value}" for key, value in RECIPE.items()]
    words += [f"--deepspeed={json.dumps({'zero_optimization': zero})}", "--beta=0.1"]
    memory = make_plan(None, words, gpus=gpus).memory
    assert memory is not None
    count = ARCHITECTURES["meta-llama/Llama-3.1-8B"].parameters / 1e9
    assert memory.parts["weights"] == pytest.approx(2 * count / (gpus if stage >= 3 else 1))
    assert memory.parts["reference"] == memory.parts["weights"]
    assert memory.parts["gradients"] == pytest.approx(2 * count / (gpus if stage >= 2 else 1))
    states = 0.0 if offload else 12 * count / (gpus if stage >= 1 else 1)
    assert memory.parts["optimizer"] == pytest.approx(states)
    assert memory.host == pytest.approx(12 * count if offload else 0.0)


def test_vllm_takes_its_share_or_a_server_of_its_own(tmp_path: Path) -> None:
    facts = "# plan: processes=2 gpu_gb=80\n"
    beside = {"use_vllm": True, "vllm_gpu_memory_utilization": 0.5}
    awake = make_plan(write(tmp_path, facts, **beside)).memory
    asleep = make_plan(write(tmp_path, facts, **beside, vllm_enable_sleep_mode=True)).memory
    server = make_plan(write(tmp_path, facts, use_vllm=True, vllm_mode="server")).memory
    assert awake is not None
    assert asleep is not None
    assert server is not None
    assert awake.parts["generation"] == asleep.parts["generation"] == 40
    assert awake.peak - asleep.peak == pytest.approx(min(40, awake.parts["activations"]))
    assert server.parts["generation"] == 0
    assert server.server == pytest.approx(2 * 8.03, rel=1e-3)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_activations_are_those_a_model_keeps_for_its_backward(
    checkpointed: bool, tmp_path: Path
) -> None:
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=128,
        intermediate_size=448,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=1,
        attn_implementation="sdpa",
    )
    model = LlamaModel(config)
    config.save_pretrained(tmp_path)
    if checkpointed:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    own = {p.data_ptr() for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids = torch.zeros((2, 612), dtype=torch.long)  # 512 of the prompt, 100 of the completion
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    measured = sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / 1e9
    memory = make_plan(
        write(
            tmp_path,
            model_name_or_path=str(tmp_path),
            bf16=False,
            gradient_checkpointing=checkpointed,
            per_device_train_batch_size=2,
            num_generations=2,
        )
    ).memory
    assert memory is not None
    layer = 2 * 612 * 4 * (8 * 128 + 4 * 448) / 1e9  # of a checkpointed model, while it is redone
    assert memory.parts["activations"] - layer * checkpointed == pytest.approx(measured, rel=0.25)


def test_a_model_nobody_knows_has_no_estimate(tmp_path: Path) -> None:
    plan = make_plan(write(tmp_path, model_name_or_path="who/knows"))
    assert plan.memory is None
    assert plan.parameters is None
    assert not plan.needs[0].present
