"""The decoding loop draws what ``generate`` draws; models that it cannot serve go through ``generate``."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from polypath.sampling import transformers as sampler
from polypath.sampling.decode import can_decode, decode
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings
from polypath.tasks.base import Problem

SMALL = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = {
    **SMALL,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
MODELS: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaForCausalLM, LlamaConfig(**LLAMA)),
    "sliding window": (MistralForCausalLM, MistralConfig(**LLAMA, sliding_window=4)),
    "gpt2": (GPT2LMHeadModel, GPT2Config(**SMALL, n_embd=32, n_layer=2, n_head=4, n_positions=64)),
    "bloom": (BloomForCausalLM, BloomConfig(**SMALL, hidden_size=32, n_layer=2, n_head=4)),
    "mamba": (MambaForCausalLM, MambaConfig(**SMALL, hidden_size=32, num_hidden_layers=2)),
}
DECODED = {"llama", "sliding window", "gpt2"}


def random_model(name: str) -> Any:
    kind, config = MODELS[name]
    torch.manual_seed(0)
    model = kind(config)
    with torch.no_grad():  # so that the first tokens do not decide everything
        for parameter in model.parameters():
            parameter.mul_(3.0)
    model.generation_config.eos_token_id = [2, *range(20, 30)]  # rows end at different places
    return model.eval()


def both_ways(
    model: Any, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> tuple[list[Any], list[Any]]:
    """Return the completions of the loop and of ``generate``: of five prompts of three lengths."""

    class Tokenizer:
        pad_token_id, bos_token_id, eos_token_id, name_or_path = 0, 1, 2, "ids"

        def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
            del skip_special_tokens
            return " ".join(map(str, ids))

    problems = [Problem(problem_id=str(n), prompt="", gold="") for n in range(5)]
    prompts = [[5, 6, 7], [8, 9, 10, 11], [5, 6, 7], [12], [13, 14, 15, 16]]
    batch = [
        sampler.PlannedSample(problem, ids, number)
        for problem, ids in zip(problems, prompts, strict=True)
        for number in range(8)
    ]
    chosen = SamplingSettings(max_new_tokens=12, **settings)
    drawn = sampler.draw_batch(model, Tokenizer(), batch, chosen)
    with monkeypatch.context() as patch:
        patch.setattr(sampler, "can_decode", lambda _: False)
        return drawn, sampler.draw_batch(model, Tokenizer(), batch, chosen)


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.0}, {"temperature": 0.7, "top_p": 0.9}, {"top_k": 5, "seed": 3}],
    ids=str,
)
@pytest.mark.parametrize("name", MODELS)
def test_the_loop_draws_what_generate_draws(
    name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(name)
    assert can_decode(model) is (name in DECODED)
    mine, theirs = both_ways(model, monkeypatch, **settings)
    assert mine == theirs
    assert len({one.n_tokens for one in mine}) > 1 or name not in DECODED


def test_with_an_adapter_too(monkeypatch: pytest.MonkeyPatch) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(1)
    model = peft.get_peft_model(
        random_model("llama"),
        peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False),
    ).eval()
    assert can_decode(model)
    mine, theirs = both_ways(model, monkeypatch)
    assert mine == theirs


def test_a_prompt_is_read_once_and_ended_rows_leave() -> None:
    model, rows = random_model("llama"), []
    model.register_forward_pre_hook(
        lambda _model, _args, kwargs: rows.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )

    def choose(logits: torch.Tensor, which: torch.Tensor, place: int) -> torch.Tensor:
        """End row n after n tokens."""
        assert len(logits) == len(which)
        return torch.where(which == place, 2, 7)

    prompts = [[5, 6, 7]] * 4 + [[8]] * 4
    made = decode(model, prompts, max_new_tokens=5, end_ids=[2], pad_token_id=0, choose=choose)
    assert rows == [(2, 3), (7, 1), (6, 1), (5, 1), (4, 1)]  # prompts, then rows
    assert made.tolist()[:3] == [[2, 0, 0, 0, 0], [7, 2, 0, 0, 0], [7, 7, 2, 0, 0]]
    assert made.tolist()[6] == [7, 7, 7, 7, 7]


def test_what_is_drawn_does_not_depend_on_the_batch_size(tiny_model_dir: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    problems = [Problem(problem_id=str(n), prompt=f"solve {n} + 2 =", gold="") for n in range(6)]

    def drawn(batch_size: int) -> dict[Any, Any]:
        settings = SamplingSettings(max_new_tokens=8, batch_size=batch_size)
        request = DrawRequest(problems=problems, num_samples=6, settings=settings)
        batches = sampler.sample(model, tokenizer, request)
        return {
            (c.problem.problem_id, c.sample_id): c.token_ids for batch in batches for c in batch
        }

    assert drawn(3) == drawn(7) == drawn(64)
