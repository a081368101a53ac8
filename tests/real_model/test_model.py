"""The folder of SmolLM2: a plain Llama that answers, with its own tokenizer and chat template."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def loaded(smollm2: Path) -> Any:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(smollm2)
    return model, AutoTokenizer.from_pretrained(smollm2)


def test_the_folder_is_a_plain_llama(loaded: Any, smollm2: Path) -> None:
    model, tokenizer = loaded
    assert model.num_parameters() == 134_515_008
    assert "quantization_config" not in json.loads((smollm2 / "config.json").read_text())
    assert len(tokenizer) == model.config.vocab_size == 49_152
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id


def test_it_answers_in_its_chat_template(loaded: Any) -> None:
    model, tokenizer = loaded
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    encoded = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    made = model.generate(**encoded, max_new_tokens=16, do_sample=False)[0]
    answer = tokenizer.decode(made[encoded["input_ids"].shape[1] :])
    assert "Paris" in answer
    assert answer.endswith(tokenizer.eos_token)  # it also knows when to stop


def test_a_warm_up_lowers_the_loss_and_saves_a_model(
    smollm2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from warm_up_smollm2 import warm_up

    losses = warm_up(smollm2, tmp_path / "warm", steps=4, batch=2, cpu=True)
    capsys.readouterr()
    print(f"\nwarm-up, 4 steps of 2 demonstrations: loss {', '.join(f'{x:.2f}' for x in losses)}")
    assert len(losses) == 4
    assert min(losses[1:]) < losses[0]
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "warm")
    assert saved.dtype == torch.float32
    assert AutoTokenizer.from_pretrained(tmp_path / "warm").chat_template
