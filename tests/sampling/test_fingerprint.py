import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from polypath.errors import ConfigError
from polypath.sampling.fingerprint import (
    model_fingerprint,
    template_fingerprint,
    tokenizer_fingerprint,
)


def load(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


def test_one_checkpoint_has_one_fingerprint_in_any_precision(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    model = load(tiny_model_dir)
    print_ = model_fingerprint(model)
    assert len(print_) == 64
    assert model_fingerprint(load(tiny_model_dir)) == print_
    assert model_fingerprint(load(tiny_model_dir, torch.bfloat16)) == print_
    model.save_pretrained(tmp_path)
    assert model_fingerprint(load(tmp_path)) == print_


def test_an_adapter_does_not_change_the_fingerprint(tiny_model_dir: Path) -> None:
    peft = pytest.importorskip("peft")
    expected = model_fingerprint(load(tiny_model_dir))
    config = peft.LoraConfig(target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(load(tiny_model_dir), config)
    assert model_fingerprint(adapted) == expected
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            parameter.data += 1
    assert model_fingerprint(adapted) == expected
    config = peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["norm"])
    assert model_fingerprint(peft.get_peft_model(load(tiny_model_dir), config)) == expected


def test_wrappers_do_not_change_the_fingerprint(tiny_model_dir: Path) -> None:
    model = load(tiny_model_dir)
    wrapper = torch.nn.Module()
    wrapper.module = model  # as DistributedDataParallel and DataParallel hold it
    assert model_fingerprint(wrapper) == model_fingerprint(model)


def test_a_training_step_changes_the_fingerprint(tiny_model_dir: Path) -> None:
    model = load(tiny_model_dir)
    before = model_fingerprint(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.tensor([[6, 7, 8, 9]])
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    assert model_fingerprint(model) != before


def test_names_and_shapes_count() -> None:
    def module(name: str, *shape: int) -> torch.nn.Module:
        holder = torch.nn.Module()
        holder.register_parameter(name, torch.nn.Parameter(torch.zeros(shape)))
        return holder

    modules = [module("a", 2, 3), module("a", 3, 2), module("a", 6), module("b", 6)]
    assert len({model_fingerprint(m) for m in modules}) == 4


def test_large_tensors_are_sampled_from_end_to_end() -> None:
    layer = torch.nn.Linear(300, 300, bias=False)
    before = model_fingerprint(layer)
    with torch.no_grad():
        layer.weight[150:] += 1  # the second half only
    assert model_fingerprint(layer) != before


def test_tied_weights_count_once(tiny_model_dir: Path) -> None:
    model = load(tiny_model_dir)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    before = model_fingerprint(model)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    assert model_fingerprint(model) != before  # untied, it is a parameter of its own


def test_a_model_without_values_is_refused() -> None:
    with pytest.raises(ConfigError, match="weight"):
        model_fingerprint(torch.nn.Linear(2, 2, bias=False, device="meta"))


def test_padding_and_truncation_leave_the_tokenizer_the_same(tiny_model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    before = tokenizer_fingerprint(tokenizer)
    tokenizer.padding_side = "right"
    tokenizer(["1 2 3", "1"], padding=True, truncation=True, max_length=2)
    tokenizer.pad_token = tokenizer.eos_token
    assert tokenizer_fingerprint(tokenizer) == before


def test_what_changes_ids_changes_the_tokenizer_fingerprint(tiny_model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    before = tokenizer_fingerprint(tokenizer)
    other_end = copy.deepcopy(tokenizer)
    other_end.eos_token = "<bos>"
    larger = copy.deepcopy(tokenizer)
    larger.add_tokens(["zebra"])
    lower = copy.deepcopy(tokenizer)
    from tokenizers import normalizers

    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    prints = {before, *(tokenizer_fingerprint(t) for t in (other_end, larger, lower))}
    assert len(prints) == 4


def test_the_template_has_a_fingerprint_of_its_own(tiny_model_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    before, same = template_fingerprint(tokenizer), tokenizer_fingerprint(tokenizer)
    tokenizer.chat_template += " "
    changed = template_fingerprint(tokenizer)
    tokenizer.chat_template = None
    assert len({before, changed, template_fingerprint(tokenizer)}) == 3
    assert tokenizer_fingerprint(tokenizer) == same
