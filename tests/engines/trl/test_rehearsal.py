"""The rehearsal term: its value, its start at zero, its rows, and what it refuses."""

import hashlib
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers.training_args import OptimizerNames

from polypath.core.rehearsal import exploration_rows
from polypath.engines.trl.setup import two_backwards
from polypath.errors import ConfigError, MissingFileError
from polypath.rehearsal import RehearsalSet, prompt_key
from polypath.rehearsal.dataset import MANIFEST_NAME, TENSORS_NAME
from polypath.rollouts.files import read_json, write_json
from tests.engines.trl.helpers import (
    OPTIONS,
    SGD,
    FixedCompletions,
    addition_rows,
    all_terms,
    coin,
    largest_difference,
    logged,
    make,
    parameters,
    step_rounding,
    train,
)
from tests.rounding import F32, rounding

ONLY = {"dra": False, "positive_entropy_coef": 0.0}


def nothing(completions: list[str], **_: Any) -> list[float]:
    """Reward nothing, so that the policy loss has no gradient."""
    return [0.0 for _ in completions]


class Losses(FixedCompletions):
    """Keep the rehearsal part of every micro-step's loss, and the rows behind it."""

    def _rehearsal_loss(self, *args: Any) -> torch.Tensor:
        part: torch.Tensor = super()._rehearsal_loss(*args) / self.args.rehearsal_coef
        step = self.state.global_step
        self.parts = getattr(self, "parts", {})
        self.parts.setdefault(step, []).append(float(part.detach()))
        return part


def shift(folder: Path, by: float) -> None:
    """Add a number to every stored log-probability, with hashes that agree."""
    tensors = load_file(folder / TENSORS_NAME)
    tensors["ref_logps"] = tensors["ref_logps"] + by
    save_file(tensors, folder / TENSORS_NAME)
    manifest = read_json(folder / MANIFEST_NAME, "manifest")
    digest = hashlib.sha256((folder / TENSORS_NAME).read_bytes()).hexdigest()
    manifest["files"][TENSORS_NAME] = digest
    write_json(folder / MANIFEST_NAME, manifest)


def test_at_step_0_the_divergence_is_0_and_moves_nothing(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = all_terms(rehearsal_dir, rewards=nothing, rehearsal_coef=100.0, max_steps=1, **ONLY)
    options.update(optim="sgd", max_grad_norm=0.0)
    start = parameters(make(adder_dir, tmp_path, **options))
    trainer = train(adder_dir, tmp_path, **options)
    # Stored log-probabilities were computed in larger batches: sums of tens of float32 products.
    apart = rounding(50, size=2, eps=F32)
    assert logged(trainer, "rehearsal/log_ratio_abs")[0] < apart
    assert abs(logged(trainer, "rehearsal/divergence")[0]) < apart**2
    # The gradient of the divergence is (e^d - 1) times that of a log-probability, below 10.
    step = options["rehearsal_coef"] * OPTIONS["learning_rate"] * apart * 10
    assert largest_difference(start, parameters(trainer)) < step


@pytest.mark.parametrize("divergence", ["forward_kl", "jensen_shannon", "reverse_kl"])
@pytest.mark.parametrize("micro_steps", [1, 4])
def test_a_step_adds_eta_times_the_token_mean_of_the_divergence(
    micro_steps: int, divergence: str, adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    trainer = make(
        adder_dir,
        tmp_path,
        **all_terms(rehearsal_dir, rewards=coin, rehearsal_divergence=divergence, **ONLY),
        trainer_class=Losses,
        gradient_accumulation_steps=micro_steps,
    )
    trainer.train()
    stored = RehearsalSet.load(rehearsal_dir)
    rows = trainer._rehearsal._schedule.rows(1)
    # The parameters of step 1 are those after one step; train one step anew to have them.
    options = all_terms(rehearsal_dir, rewards=coin, rehearsal_divergence=divergence, **ONLY)
    options.update(max_steps=1, gradient_accumulation_steps=micro_steps)
    model = train(adder_dir, tmp_path, **options, trainer_class=Losses).model
    total = wrong = 0.0
    for row in rows:
        batch = stored.batch([row], 0)
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        with torch.no_grad():
            logps = model(input_ids=ids).logits[0].log_softmax(dim=-1)
        size = batch["completion_ids"].shape[1]
        at = logps[-size - 1 : -1].gather(1, batch["completion_ids"][0].unsqueeze(1)).squeeze(1)
        for d in (at - batch["ref_logps"][0]).double().tolist():
            u = math.exp(d)
            total += {
                "forward_kl": u - 1 - d,
                "reverse_kl": u * d - u + 1,
                "jensen_shannon": 0.5 * (u * d - (u + 1) * math.log((u + 1) / 2)),
            }[divergence]
            # d is off by some tens of float32 roundings of log-probabilities of size 2; f' is below
            # |d| e^|d|.
            wrong += abs(d) * math.exp(abs(d)) * rounding(50, size=2, eps=F32)
    tokens = sum(stored.completion_lengths[row] for row in rows)
    mean, wrong = total / tokens, wrong / tokens
    assert mean > max(1e-4, 10 * wrong)
    assert len(trainer._rehearsal._schedule.rows(1)) == 2 * micro_steps
    assert len(trainer.parts[1]) == micro_steps
    assert sum(trainer.parts[1]) == pytest.approx(mean, rel=0, abs=wrong)


@pytest.mark.parametrize("micro_steps", [1, 2])
def test_two_backwards_train_the_parameters_of_one(
    micro_steps: int,
    adder_dir: Path,
    rehearsal_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = {}
    for name in ("two", "one"):
        if name == "one":
            monkeypatch.setattr("polypath.engines.trl.trainer.two_backwards", lambda *_: False)
        options = all_terms(rehearsal_dir, rewards=coin, **SGD, rehearsal_explore_only=False)
        options.update(gradient_accumulation_steps=micro_steps, max_steps=2)
        trainer = make(adder_dir, tmp_path, trainer_class=FixedCompletions, **options)
        backward, losses = trainer.accelerator.backward, []

        def counted(
            loss: Any, backward: Any = backward, losses: Any = losses, **kwargs: Any
        ) -> None:
            losses.append(float(loss.detach()))
            backward(loss, **kwargs)

        trainer.accelerator.backward = counted
        trainer.train()
        assert len(losses) == 2 * micro_steps * (2 if name == "two" else 1)
        made[name] = parameters(trainer), logged(trainer, "loss")
    assert largest_difference(made["one"][0], made["two"][0]) < step_rounding(made["one"][0])
    # Losses are below 2, means of some tens of tokens.
    assert made["one"][1] == pytest.approx(made["two"][1], abs=rounding(50, size=2, eps=F32))


def test_optimizers_and_engines_that_step_in_the_backward_get_one(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    trainer = make(adder_dir, tmp_path, **all_terms(rehearsal_dir))
    config = trainer.args
    assert two_backwards(config, trainer.accelerator.distributed_type)
    for kind in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        assert not two_backwards(config, kind)
    config.optim = OptimizerNames.LOMO
    assert not two_backwards(config, trainer.accelerator.distributed_type)


def test_rehearsal_alone_pulls_a_moved_policy_back(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = all_terms(
        rehearsal_dir,
        rewards=nothing,
        rehearsal_tolerance=10.0,
        rehearsal_share=2.0,
        learning_rate=3e-3,
        max_steps=12,
        **ONLY,
    )
    trainer = make(adder_dir, tmp_path, **options)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    trainer.train()
    divergence = logged(trainer, "rehearsal/divergence")
    assert divergence[0] > 0.05
    assert sum(divergence[-3:]) / 3 < divergence[0] / 2


def test_shifted_log_probabilities_are_refused_before_the_first_update(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(rehearsal_dir, tmp_path / "set")
    shift(tmp_path / "set", 0.05)
    with pytest.raises(ConfigError, match=r"must be 0 before.*0\.05"):
        train(adder_dir, tmp_path, **all_terms(tmp_path / "set"))
    train(adder_dir, tmp_path, **all_terms(tmp_path / "set", rehearsal_tolerance=0.06))


def test_dropout_is_refused_as_a_start_off_zero(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = all_terms(rehearsal_dir, model_init_kwargs={"attention_dropout": 0.5})
    with pytest.raises(ConfigError, match="dropout"):
        train(adder_dir, tmp_path, **options)


def test_a_set_is_refused_with_another_temperature(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"temperature 1\.0.*0\.7"):
        make(adder_dir, tmp_path, **all_terms(rehearsal_dir, temperature=0.7))


def test_a_set_is_refused_with_another_model(
    tiny_model_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="model_fingerprint"):
        make(tiny_model_dir, tmp_path, **all_terms(rehearsal_dir))


@pytest.mark.parametrize("field", ["tokenizer_fingerprint", "template_fingerprint"])
def test_a_set_is_refused_with_another_tokenizer_or_template(
    field: str, adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(adder_dir)
    if field == "tokenizer_fingerprint":
        tokenizer.add_tokens(["new"])
    else:
        tokenizer.chat_template += " "
    with pytest.raises(ConfigError, match=field):
        make(
            adder_dir,
            tmp_path,
            **all_terms(rehearsal_dir),
            trainer_options={"processing_class": tokenizer},
        )


def test_a_missing_set_is_named(adder_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="nowhere does not exist"):
        make(adder_dir, tmp_path, **all_terms(tmp_path / "nowhere"))


@pytest.mark.parametrize("chat", [False, True])
def test_near_perfect_problems_leave_the_training_set(chat: bool, rehearsal_dir: Path) -> None:
    stored = RehearsalSet.load(rehearsal_dir)
    excluded = stored.excluded_prompts
    data = Dataset.from_list(addition_rows())
    if chat:
        messages = [[{"role": "user", "content": text}] for text in data["prompt"]]
        data = Dataset.from_list([{"prompt": prompt} for prompt in messages])
        excluded = frozenset(prompt_key(prompt) for prompt in messages[:7])
    kept = exploration_rows(data, excluded)
    assert kept.num_rows == data.num_rows - (7 if chat else len(excluded))
    assert not {prompt_key(prompt) for prompt in kept["prompt"]} & excluded


def test_all_problems_stay_when_asked_to(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = all_terms(rehearsal_dir)
    assert make(adder_dir, tmp_path, **options).train_dataset.num_rows < 40
    options["rehearsal_explore_only"] = False
    assert make(adder_dir, tmp_path, **options).train_dataset.num_rows == 40


def test_nothing_left_to_explore_is_an_error() -> None:
    data = Dataset.from_list(addition_rows())
    with pytest.raises(ConfigError, match="all 40 training problems"):
        exploration_rows(data, frozenset(prompt_key(prompt) for prompt in data["prompt"]))
