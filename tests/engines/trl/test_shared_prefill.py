"""Generation that reads a prompt once: TRL's distribution, reproducible, refused where it cannot be."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from polypath import DiversityGRPOTrainer
from polypath.engines.trl.shared_prefill import in_place_of_generate
from polypath.errors import ConfigError
from tests.engines.trl.helpers import largest_difference, make, parameters, train

SHARED = {"shared_prefill": True, "trainer_class": DiversityGRPOTrainer}


def toy() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=6,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0)
    return model


def exact(model: Any, prompt: list[int], temperature: float, top_k: int) -> dict[Any, float]:
    """Return the probability of each completion of at most two tokens, by enumeration."""

    def after(ids: list[int]) -> torch.Tensor:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1] / temperature
        if top_k:
            logits[logits < logits.topk(top_k).values[-1]] = -torch.inf
        return logits.softmax(dim=-1)

    found: dict[Any, float] = {}
    for first, p in enumerate(after(prompt).tolist()):
        if first == 1:
            found[(1, 0)] = p
            continue
        for second, q in enumerate(after([*prompt, first]).tolist()):
            found[(first, second)] = p * q
    return {key: value for key, value in found.items() if value > 0}


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 0), (0.7, 3)])
def test_completions_come_from_the_policy_s_distribution(temperature: float, top_k: int) -> None:
    model = toy()
    prompts = {(2, 3, 4): 4000, (5,): 4000}
    ids = torch.tensor([[2, 3, 4]] * 4000 + [[0, 0, 5]] * 4000)
    mask = torch.tensor([[1, 1, 1]] * 4000 + [[0, 0, 1]] * 4000)
    options = GenerationConfig(
        max_new_tokens=2,
        do_sample=True,
        temperature=temperature,
        top_k=top_k,
        top_p=1.0,
        eos_token_id=[1],
        pad_token_id=0,
    )
    torch.manual_seed(3)
    with in_place_of_generate(model):
        made = model.generate(input_ids=ids, attention_mask=mask, generation_config=options)
    assert torch.equal(made[:, :3], ids)
    for place, (prompt, count) in enumerate(prompts.items()):
        rows = made[place * 4000 : (place + 1) * 4000, 3:].tolist()
        seen = Counter(map(tuple, rows))
        expected = exact(model, list(prompt), temperature, top_k)
        assert set(seen) <= set(expected)
        common = [key for key, p in expected.items() if p * count >= 5]
        rest = count - sum(seen[key] for key in common)
        observed = [seen[key] for key in common] + [rest]
        wanted = [expected[key] * count for key in common]
        wanted.append(count - sum(wanted))
        if wanted[-1] < 5:
            observed[-2:], wanted[-2:] = [sum(observed[-2:])], [sum(wanted[-2:])]
        assert chisquare(observed, wanted).pvalue > 1e-3


def test_the_model_generates_by_itself_again_afterwards() -> None:
    model = toy()
    with in_place_of_generate(model):
        assert "generate" in vars(model)
    assert "generate" not in vars(model)


def test_a_run_is_reproducible_and_resumes_bit_for_bit(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    given = {**SHARED, "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    straight = parameters(train(tiny_model_dir, tmp_path / "a", **given))
    again = parameters(train(tiny_model_dir, tmp_path / "b", **given))
    resumed = make(tiny_model_dir, tmp_path / "a", **given)
    resumed.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-2"))
    assert largest_difference(straight, again) == 0.0
    assert largest_difference(straight, parameters(resumed)) == 0.0


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"min_p": 0.1}, "min_p"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"generation_kwargs": {"min_new_tokens": 2}}, "generation_kwargs"),
        ({"cache_implementation": "static"}, "cache_implementation"),
    ],
)
def test_what_the_loop_does_not_know_is_refused(
    more: dict[str, Any], named: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named):
        make(tiny_model_dir, tmp_path, **SHARED, **more)
