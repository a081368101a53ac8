from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from polypath.engines.trl import completion_logps
from polypath.rehearsal.dataset import RehearsalSet
from polypath.rehearsal.settings import PresampleSettings
from polypath.sampling.loading import load_model
from tests.presampling import presample
from tests.rehearsal.adder import Addition
from tests.rounding import F32, within

PROMPTS = [[6, 7, 8], [9], [10, 11, 12, 13, 14, 15, 16]]
COMPLETIONS = [[20, 2], [21, 22, 23, 24, 25], [2]]
MIXED = "bf16-mixed"
SETTINGS = PresampleSettings(batch_size=8, answers_per_problem=2)
# Log-probabilities of at most 10, from two layers of sums over tens of float32 products.
FORWARDS = within(20, size=10, eps=F32)


@pytest.fixture(scope="module")
def model(tiny_model_dir: Path) -> Any:
    return load_model(tiny_model_dir, dtype=torch.float32, device=torch.device("cpu"))[0]


def plain(model: Any, prompt: list[int], completion: list[int], temperature: float) -> torch.Tensor:
    """Score one unpadded row by log_softmax in float64."""
    ids = torch.tensor([prompt + completion])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0].double() / temperature
    logps = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return logps.gather(1, torch.tensor(completion)[:, None])[:, 0]


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
def test_log_probs_are_those_at_the_temperature(model: Any, temperature: float) -> None:
    scored = completion_logps(model, PROMPTS, COMPLETIONS, temperature=temperature, pad_token_id=0)
    for prompt, completion, logps in zip(PROMPTS, COMPLETIONS, scored, strict=True):
        assert logps.dtype == torch.float32
        expected = plain(model, prompt, completion, temperature)
        torch.testing.assert_close(logps.double(), expected, **FORWARDS)
    at_one = plain(model, PROMPTS[1], COMPLETIONS[1], 1.0)
    if temperature != 1.0:
        assert (scored[1].double() - at_one).abs().max() > 0.1


def test_padding_batch_and_order_do_not_matter(model: Any) -> None:
    options: dict[str, Any] = {"temperature": 0.8}
    whole = completion_logps(model, PROMPTS, COMPLETIONS, pad_token_id=0, **options)
    other_pad = completion_logps(model, PROMPTS, COMPLETIONS, pad_token_id=2, **options)
    single = completion_logps(model, PROMPTS, COMPLETIONS, pad_token_id=0, batch_size=1, **options)
    turned = completion_logps(model, PROMPTS[::-1], COMPLETIONS[::-1], pad_token_id=0, **options)
    for a, b, c, d in zip(whole, other_pad, single, turned[::-1], strict=True):
        torch.testing.assert_close(a, b, **FORWARDS)
        torch.testing.assert_close(a, c, **FORWARDS)
        torch.testing.assert_close(a, d, **FORWARDS)


def test_the_model_is_left_as_it_was(model: Any) -> None:
    model.train()
    try:
        completion_logps(model, PROMPTS, COMPLETIONS, temperature=1.0, pad_token_id=0)
        assert model.training
        assert "forward" not in model.__dict__
        patched = model.forward
        model.forward = patched
        completion_logps(model, PROMPTS, COMPLETIONS, temperature=1.0, pad_token_id=0)
        assert model.__dict__.pop("forward") is patched
    finally:
        model.eval()


def trainer_log_ratio(model: Path, stored: RehearsalSet, out: Path, *, bf16: bool) -> torch.Tensor:
    """Return the log-ratio of TRL's own forward to the stored log-probs, in other batches."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    trainer = GRPOTrainer(
        model=str(model),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=GRPOConfig(
            str(out),
            use_cpu=True,
            bf16=bf16,
            report_to=[],
            num_generations=2,
            per_device_train_batch_size=2,
            temperature=stored.manifest.temperature,
        ),
        train_dataset=Dataset.from_dict({"prompt": ["solve 1 + 1 ="]}),
    )
    batch = stored.batch(list(range(len(stored)))[::-1], trainer._tokenizer.pad_token_id)
    logps = trainer._get_per_token_logps_and_entropies(
        trainer.model,
        torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
        torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
        batch["completion_ids"].shape[1],
    )[0]
    return (logps - batch["ref_logps"])[batch["completion_mask"].bool()].detach()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_trainer_s_own_forward_starts_at_log_ratio_zero(
    adder_dir: Path, tmp_path: Path, temperature: float
) -> None:
    settings = PresampleSettings(temperature=temperature, batch_size=5, answers_per_problem=2)
    presample(adder_dir, Addition(), out=tmp_path / "set", settings=settings)
    stored = RehearsalSet.load(tmp_path / "set")
    assert trainer_log_ratio(adder_dir, stored, tmp_path, bf16=False).abs().max() < FORWARDS["atol"]
    assert stored.ref_logps.abs().max() > 1e-2


def test_mixed_precision_is_scored_as_the_trainer_scores_it(
    adder_dir: Path, tmp_path: Path
) -> None:
    presample(
        adder_dir, Addition(), out=tmp_path / "mixed", settings=replace(SETTINGS, precision=MIXED)
    )
    stored = RehearsalSet.load(tmp_path / "mixed")
    assert stored.manifest.precision == MIXED
    mixed = trainer_log_ratio(adder_dir, stored, tmp_path, bf16=True).abs().mean()
    full = trainer_log_ratio(adder_dir, stored, tmp_path, bf16=False).abs().mean()
    # bfloat16 rounds depending on the shapes of a batch, so only nearly 0; yet nearer than float32.
    assert mixed < 0.01
    assert mixed < full
