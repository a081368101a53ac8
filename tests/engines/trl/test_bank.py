"""The bank of solutions on TRL: its loss worked out again, its checkpoints, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM

from polypath.core.rewards import TaskReward
from polypath.engines.trl.bank import BANK_FILE, fill
from polypath.errors import ConfigError, MissingFileError
from tests.engines.trl.helpers import (
    SGD,
    FixedCompletions,
    addition_rows,
    coin,
    largest_difference,
    logged,
    make,
    parameters,
    step_rounding,
    train,
)
from tests.rehearsal.adder import Addition
from tests.rounding import F32, rounding

BANK: dict[str, Any] = {"bank": True, "bank_coef": 0.5, "bank_share": 0.5, "bank_capacity": 3}


def options(**more: Any) -> dict[str, Any]:
    """Return settings of a run on additions, half of whose completions are paid, with a bank."""
    data = Dataset.from_list(addition_rows()[:4])
    fixed = {"data": data, "rewards": coin, "max_completion_length": 4, "max_steps": 3}
    return {**fixed, **SGD, **BANK, "trainer_class": FixedCompletions, **more}


def nothing(completions: list[str], **_: Any) -> list[float | None]:
    """Score nothing, so that nothing is correct and the policy loss has no gradient."""
    return [0.0 for _ in completions]


def every_second(completions: list[str], **_: Any) -> list[float | None]:
    """Reward every second completion, so that every step has a policy gradient."""
    return [float(n % 2) for n in range(len(completions))]


class Recorded(FixedCompletions):
    """Keep, by optimizer step, the parameters that a step starts from and what it replays."""

    def _rehearsal_loss(self, model: Any, source: Any, batch: Any, sizes: Any) -> torch.Tensor:
        self.starts = getattr(self, "starts", {})
        self.replayed = getattr(self, "replayed", {})
        step = self.state.global_step
        self.starts.setdefault(step, parameters(self))
        self.replayed[step] = list(source._drawn)
        self.parts = getattr(self, "parts", {})
        loss: torch.Tensor = super()._rehearsal_loss(model, source, batch, sizes)
        self.parts.setdefault(step, []).append(float(loss.detach()))
        return loss


def exact_logps(model_dir: Path, weights: dict[str, torch.Tensor], entry: Any) -> torch.Tensor:
    """Return log-probs of an entry's tokens in float64, with a graph."""
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float64)
    model.load_state_dict({n: w.double() for n, w in weights.items()}, strict=False)
    model.tie_weights()
    ids = torch.tensor([[*entry.seen.prompt, *entry.completion.ids.tolist()]])
    size = len(entry.completion.ids)
    logps = model(input_ids=ids).logits[0].log_softmax(dim=-1)[-size - 1 : -1]
    return logps.gather(1, ids[0, -size:, None]).squeeze(1)


@pytest.mark.parametrize("micro_steps", [1, 2])
@pytest.mark.parametrize("divergence", ["forward_kl_uncentred", "forward_kl"])
def test_a_step_adds_the_token_mean_of_the_divergence_of_what_it_replays(
    divergence: str, micro_steps: int, adder_dir: Path, tmp_path: Path
) -> None:
    trainer = train(
        adder_dir,
        tmp_path,
        **options(
            trainer_class=Recorded,
            rewards=every_second,
            bank_divergence=divergence,
            gradient_accumulation_steps=micro_steps,
            num_iterations=2,
            max_steps=5,
        ),
    )
    assert len(trainer.replayed) == 5
    told = []
    assert {len(entries) for entries in trainer.replayed.values()} == {2 * micro_steps}
    for step, entries in trainer.replayed.items():
        total = wrong = 0.0
        for entry in entries:
            # What is stored is what the policy of that step gave, up to float32.
            at_first = exact_logps(adder_dir, trainer.starts[entry.step], entry).detach().numpy()
            assert np.abs(at_first - entry.completion.logps).max() < rounding(50, size=9, eps=F32)
            now = exact_logps(adder_dir, trainer.starts[step], entry).detach().numpy()
            d = now - entry.completion.logps.astype(np.float64)
            total += float((np.expm1(d) - d if divergence == "forward_kl" else -d).sum())
            wrong += float(np.exp(np.abs(d)).sum()) * rounding(50, size=9, eps=F32)
        tokens = sum(len(entry.completion.ids) for entry in entries)
        assert len(trainer.parts[step]) == micro_steps
        found = sum(trainer.parts[step]) / BANK["bank_coef"]
        assert found == pytest.approx(total / tokens, rel=0, abs=wrong / tokens)
        told.append(abs(total) / wrong)
    assert max(told) > 10
    assert logged(trainer, "bank/replayed_rows") == [2 * micro_steps] * 5


def test_the_gradient_is_that_of_the_likelihood_of_the_replayed_solutions(
    adder_dir: Path, tmp_path: Path
) -> None:
    """A bank of one completion and a policy loss of 0: the step is the completion's gradient alone."""
    trainer = make(adder_dir, tmp_path, **options(trainer_class=Recorded, max_steps=2))
    trainer.train()
    entries = list(trainer._bank.solutions)
    stepped = make(
        adder_dir, tmp_path, **options(trainer_class=Recorded, rewards=nothing, max_steps=1)
    )
    before = parameters(stepped)
    stepped._bank.restart = lambda: stepped._bank.solutions.restore(entries)
    stepped.train()
    drawn = stepped.replayed[0]
    model = AutoModelForCausalLM.from_pretrained(adder_dir, dtype=torch.float64)
    tokens = sum(len(entry.completion.ids) for entry in drawn)
    for entry in drawn:
        ids = torch.tensor([[*entry.seen.prompt, *entry.completion.ids.tolist()]])
        size = len(entry.completion.ids)
        logps = model(input_ids=ids).logits[0].log_softmax(dim=-1)[-size - 1 : -1]
        chosen = logps.gather(1, ids[0, -size:, None])
        (-BANK["bank_coef"] * chosen.sum() / tokens).backward()
    expected = {
        name: before[name].double() - SGD["learning_rate"] * weight.grad
        for name, weight in model.named_parameters()
    }
    after = {name: weight.double() for name, weight in parameters(stepped).items()}
    assert largest_difference(after, expected) < step_rounding(before, 1)
    assert largest_difference(after, {n: w.double() for n, w in before.items()}) > 1e-3


def test_every_correct_solution_is_kept_and_nothing_else(adder_dir: Path, tmp_path: Path) -> None:
    trainer = make(adder_dir, tmp_path, **options(bank_capacity=99, max_completion_length=6))
    seen: list[tuple[list[int], float]] = []
    score = trainer._calculate_rewards

    def watched(inputs: Any, prompts: Any, completions: Any, ids: Any) -> Any:
        rewards = score(inputs, prompts, completions, ids)
        seen.extend(zip(ids, rewards[:, 0].tolist(), strict=True))
        return rewards

    trainer._calculate_rewards = watched
    trainer.train()
    correct = {tuple(ids) for ids, reward in seen if reward > 0.5}
    assert 1 < len(correct) < len({tuple(ids) for ids, _ in seen})
    kept = {tuple(entry.completion.ids.tolist()) for entry in trainer._bank.solutions}
    assert kept == correct


def test_completions_that_were_cut_off_are_left_out(adder_dir: Path, tmp_path: Path) -> None:
    class CutOff(FixedCompletions):
        def _generate_single_turn(self, prompt_ids: Any, *rest: Any, **named: Any) -> Any:
            made, _ = super()._generate_single_turn(prompt_ids, *rest, **named)
            longest = self.max_completion_length
            return [[*ids[:-1], *[7] * longest][:longest] for ids in made], None

    right = {"rewards": lambda completions, **_: [1.0 for _ in completions]}
    trainer = train(adder_dir, tmp_path, **options(trainer_class=CutOff, **right))
    assert len(trainer._bank.solutions) == 0
    assert logged(trainer, "bank/solutions") == [0.0] * 3
    # Nothing to replay: the run is one without a bank, which has one backward.
    plain = train(adder_dir, tmp_path, **options(trainer_class=CutOff, **right, bank=False))
    assert largest_difference(parameters(trainer), parameters(plain)) == 0


def test_filling_the_bank_changes_nothing(adder_dir: Path, tmp_path: Path) -> None:
    # The bank's gradient, 1e-30 of a usual one, vanishes in every sum.
    filled = train(adder_dir, tmp_path, **options(bank_coef=1e-30))
    plain = train(adder_dir, tmp_path, **options(bank=False))
    assert len(filled._bank.solutions) > 0
    assert largest_difference(parameters(filled), parameters(plain)) == 0


def test_the_set_and_the_bank_add_up(adder_dir: Path, rehearsal_dir: Path, tmp_path: Path) -> None:
    both = {"rehearsal_set": str(rehearsal_dir), "rehearsal_coef": 0.3}
    both.update(rehearsal_explore_only=False, rehearsal_share=0.5)
    trainer = train(adder_dir, tmp_path, **options(**both, max_steps=5, loss_type="grpo"))
    names = ("loss", "rehearsal/divergence", "bank/divergence")
    steps = list(zip(*(logged(trainer, name) for name in names), strict=True))
    assert len(steps) == 5
    assert max(min(abs(rehearsal), abs(bank)) for _, rehearsal, bank in steps) > 1e-3
    for loss, rehearsal, bank in steps:
        # On-policy the policy's loss is 0: a mean of advantages. Means of some tens of tokens, of size 2.
        expected = 0.3 * rehearsal + BANK["bank_coef"] * bank
        assert loss == pytest.approx(expected, abs=rounding(50, size=2, eps=F32))


def content(trainer: Any) -> list[Any]:
    """Return what a bank holds, as values that compare."""
    return [(e.seen, e.step, e.count, e.completion.logps.tolist()) for e in trainer._bank.solutions]


@pytest.mark.parametrize("sampled", [False, True])
def test_a_resumed_run_is_the_uninterrupted_one(
    sampled: bool, adder_dir: Path, tmp_path: Path
) -> None:
    from polypath import DiversityGRPOTrainer

    settings = options(max_steps=6, save_strategy="steps", save_steps=2, bank_max_age=3)
    settings.update(num_iterations=2, optim="adamw_torch", learning_rate=1e-2)
    if sampled:
        settings.update(trainer_class=DiversityGRPOTrainer, rewards=TaskReward(Addition()))
    straight = train(adder_dir, tmp_path, **settings)
    assert content(straight)
    for step in (4, 2):
        resumed = make(adder_dir, tmp_path, **settings)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert content(resumed) == content(straight)
        assert largest_difference(parameters(straight), parameters(resumed)) == 0


def test_a_checkpoint_without_a_bank_is_refused(adder_dir: Path, tmp_path: Path) -> None:
    settings = options(max_steps=2, save_strategy="steps", save_steps=1)
    train(adder_dir, tmp_path, **settings)
    (tmp_path / "checkpoint-1" / BANK_FILE).unlink()
    with pytest.raises(MissingFileError, match="bank: false"):
        make(adder_dir, tmp_path, **settings).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-1")
        )


def test_evaluation_fills_nothing(adder_dir: Path, tmp_path: Path) -> None:
    trainer = make(adder_dir, tmp_path, **options())
    trainer.eval_dataset = trainer.train_dataset
    trainer.evaluate()
    assert len(trainer._bank.solutions) == 0


@pytest.mark.parametrize("field", ["tool_mask", "pixel_values"])
def test_more_than_plain_text_is_refused(field: str, adder_dir: Path, tmp_path: Path) -> None:
    trainer = make(adder_dir, tmp_path, **options())
    with pytest.raises(ConfigError, match=r"bank: true.*false"):
        fill(trainer, trainer._bank, {field: torch.ones(1)}, [], [], [])


def test_solutions_must_be_told_apart(adder_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bank: true.*solution_fn"):
        make(adder_dir, tmp_path, **options(solution_fn=None))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("bank", 1),
        ("bank_coef", -0.1),
        ("bank_capacity", 0),
        ("bank_share", 0.0),
        ("bank_share", 4.1),
        ("bank_max_age", 0),
        ("bank_divergence", "kl"),
        ("bank_replay", "often"),
    ],
)
def test_a_wrong_value_is_named(setting: str, value: Any, adder_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{setting}.*{value}"):
        make(adder_dir, tmp_path, **options(**{setting: value}))


def test_settings_of_a_bank_that_is_off_are_idle(adder_dir: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="bank_capacity"):
        make(adder_dir, tmp_path, **options(bank=False))
