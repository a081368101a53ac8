"""The numbers the trainer feeds to the loss are those of the formulas, worked out by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch

from polypath.objectives import PositiveEntropyConfig, positive_entropy
from tests.engines.trl.helpers import FixedCompletions, coin, dice, logged, make, train
from tests.rounding import F32, rounding

Tensors = dict[str, torch.Tensor]


class Watched(FixedCompletions):
    """Keep every batch as generated and every micro-batch as the loss sees it."""

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        self.generated = [*getattr(self, "generated", []), dict(batch)]
        return batch

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        self.used = [*getattr(self, "used", []), dict(inputs)]
        return super()._compute_loss(model, inputs)


def first_batch(trainer: Any) -> dict[str, Any]:
    """Return the first micro-batch, rewards and all, as the trainer's loss gets it."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    rows = next(iter(trainer.get_train_dataloader()))
    batch: dict[str, Any] = trainer._prepare_inputs(rows)
    return batch


def gradients(trainer: Any, batch: dict[str, Any]) -> Tensors:
    """Return the gradient of the trainer's loss on a batch."""
    return derive(trainer._compute_loss(trainer.model, batch), trainer.model)


def derive(loss: torch.Tensor, model: torch.nn.Module) -> Tensors:
    names, tensors = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, tensors, allow_unused=True)
    return {
        n: torch.zeros_like(t) if g is None else g
        for n, t, g in zip(names, tensors, found, strict=True)
    }


def log_softmax(model: Any, batch: dict[str, Any], temperature: float) -> torch.Tensor:
    """Return log-probabilities of the whole vocabulary at completion tokens, without TRL."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    size = batch["completion_ids"].shape[1]
    return (logits[:, -size - 1 : -1] / temperature).log_softmax(dim=-1)


def chosen(logps_B_T_V: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
    return logps_B_T_V.gather(2, batch["completion_ids"].unsqueeze(2)).squeeze(2)


def assert_close(got: Tensors, expected: Tensors) -> None:
    size = max(float(tensor.abs().max()) for tensor in expected.values())
    assert size > 1e-3  # a gradient of zero would agree with anything
    for name in expected:
        # Sums over about a hundred tokens, in float32, in another order.
        wrong = rounding(100, max(size, 1.0), F32)
        assert float((got[name] - expected[name]).abs().max()) < wrong, name


def minus(one: Tensors, other: Tensors) -> Tensors:
    return {name: one[name] - other[name] for name in one}


# --- advantages ------------------------------------------------------------------------------------


def dra_by_hand(rewards: list[float], ids: list[list[int]], scale: str) -> list[float]:
    """Return DRA's advantages of one group: Jaccard of n-grams, graph cut with lambda 1/2."""
    grams = [
        {tuple(row[i : i + n]) for n in (1, 2, 3) for i in range(len(row) - n + 1)} for row in ids
    ]
    adjusted = list(rewards)
    if len(set(rewards)) > 1:
        for i, reward in enumerate(rewards):
            others = [g for j, g in enumerate(grams) if j != i]
            shared = [len(grams[i] & g) / max(len(grams[i] | g), 1) for g in others]
            adjusted[i] = reward / (1 + sum(shared))
    mean = sum(adjusted) / len(adjusted)
    variance = sum((a - mean) ** 2 for a in adjusted) / (len(adjusted) - 1)
    divisor = 1.0 if scale == "none" else variance**0.5 + 1e-4
    return [(a - mean) / divisor for a in adjusted]


@pytest.mark.parametrize("scale", ["group", "none"])
def test_advantages_are_those_of_dra_for_each_group(
    scale: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = train(
        tiny_model_dir,
        tmp_path,
        trainer_class=Watched,
        dra=True,
        scale_rewards=scale,
        per_device_train_batch_size=8,
        max_steps=4,
    )
    redundant = 0
    for batch in trainer.generated:
        texts = trainer.processing_class.batch_decode(
            batch["completion_ids"], skip_special_tokens=True
        )
        ids = [trainer.processing_class(text)["input_ids"] for text in texts]
        expected: list[float] = []
        for start in (0, 4):
            group = slice(start, start + 4)
            expected += dra_by_hand(coin(texts[group]), ids[group], scale)
        assert batch["advantages"].tolist() == pytest.approx(
            expected, abs=rounding(10, size=2, eps=F32)
        )
        redundant += len(texts) - len(set(texts))
    assert redundant  # otherwise nothing was adjusted
    assert min(logged(trainer, "diversity/reward_weight_mean")) < 0.99


def test_the_table_of_completions_shows_the_advantages_that_were_used(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = train(tiny_model_dir, tmp_path, trainer_class=Watched, dra=True, max_steps=3)
    shown = list(trainer._logs["advantages"])
    assert shown == pytest.approx(trainer.generated[-1]["advantages"].tolist())


# --- correctness -----------------------------------------------------------------------------------


def test_correctness_stays_with_its_rows_through_shuffle_and_split(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = train(
        tiny_model_dir,
        tmp_path,
        trainer_class=Watched,
        steps_per_generation=4,
        num_iterations=2,
        max_steps=16,
    )
    seen = 0
    for batch in trainer.used:
        texts = trainer.processing_class.batch_decode(
            batch["completion_ids"], skip_special_tokens=True
        )
        assert batch["correct"].tolist() == [reward > 0.5 for reward in coin(texts)]
        seen += len(texts)
    assert seen == 64


def test_correctness_is_one_raw_reward_above_a_threshold(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = train(
        tiny_model_dir,
        tmp_path,
        trainer_class=Watched,
        rewards=[coin, dice],
        reward_weights=[3.0, -1.0],
        correctness_reward="dice",
        correctness_threshold=0.3,
        dra=True,
        max_steps=4,
    )
    right = 0
    for batch in trainer.used:
        texts = trainer.processing_class.batch_decode(
            batch["completion_ids"], skip_special_tokens=True
        )
        # No score is not correct.
        assert batch["correct"].tolist() == [(reward or 0.0) > 0.3 for reward in dice(texts)]
        right += int(batch["correct"].sum())
    assert 0 < right < 16


# --- terms of the loss -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["paper", "detached", "exact"])
@pytest.mark.parametrize("normalization", ["sequence_mean", "token_mean"])
@pytest.mark.parametrize("steps_per_generation", [1, 2])
def test_the_gradient_of_positive_entropy_is_that_of_its_formula(
    steps_per_generation: int, form: Any, normalization: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = make(
        tiny_model_dir,
        tmp_path,
        trainer_class=FixedCompletions,
        temperature=0.7,
        positive_entropy_coef=0.3,
        positive_entropy_form=form,
        positive_entropy_normalization=normalization,
        steps_per_generation=steps_per_generation,
    )
    batch = first_batch(trainer)
    with_term = gradients(trainer, batch)
    trainer.args.positive_entropy_coef = 0.0
    without = gradients(trainer, batch)

    logps_B_T_V = log_softmax(trainer.model, batch, 0.7)
    logp_B_T, mask_B_T = chosen(logps_B_T_V, batch), batch["completion_mask"]
    entropy_B_T = -(logps_B_T_V.exp() * logps_B_T_V).sum(dim=2)
    texts = trainer.processing_class.batch_decode(batch["completion_ids"], skip_special_tokens=True)
    correct_B = torch.tensor(coin(texts)) > 0.5
    assert correct_B.any()
    term_B_T = positive_entropy(
        PositiveEntropyConfig(form=form, normalization=normalization),
        logp_B_T,
        logp_B_T.detach(),
        mask_B_T,
        correct_B,
        entropy_B_T,
    ).loss_B_T
    if normalization == "sequence_mean":
        term = ((term_B_T * mask_B_T).sum(dim=1) / mask_B_T.sum(dim=1)).mean()
    else:
        # A step has its share of the tokens generated together, not its own number.
        tokens = batch["num_items_in_batch"] / steps_per_generation
        term = (term_B_T * mask_B_T).sum() / tokens
    assert_close(minus(with_term, without), derive(0.3 * term, trainer.model))


def kl_by_hand(trainer: Any, batch: dict[str, Any], which: str) -> Tensors:
    """Return the gradient of the penalty: k2 for reverse, k3 for forward, without a correction."""
    with torch.no_grad():
        ref_logp_B_T = chosen(log_softmax(trainer.ref_model, batch, 1.0), batch)
    d_B_T = chosen(log_softmax(trainer.model, batch, 1.0), batch) - ref_logp_B_T
    kl_B_T = d_B_T.square() / 2 if which == "reverse" else torch.exp(-d_B_T) - 1 + d_B_T
    mask_B_T = batch["completion_mask"]
    total = kl_B_T * mask_B_T
    sizes = {
        "grpo": (total.sum(dim=1) / mask_B_T.sum(dim=1)).mean(),
        "dapo": total.sum() / mask_B_T.sum(),
        "bnpo": total.sum() / mask_B_T.sum(),
        "dr_grpo": total.sum() / (len(total) * trainer.max_completion_length),
        "luspo": total.sum(dim=1).mean(),
    }
    return derive(trainer.args.beta * sizes[trainer.loss_type], trainer.model)


def kl_gradient(trainer: Any) -> tuple[Tensors, dict[str, Any]]:
    """Move the policy off its reference, and return what the penalty adds to the gradient."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    batch = first_batch(trainer)
    with_penalty = gradients(trainer, batch)
    trainer.beta = 0.0
    return minus(with_penalty, gradients(trainer, batch)), batch


@pytest.mark.parametrize("which", ["reverse", "forward"])
@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "bnpo", "dr_grpo", "luspo"])
def test_the_gradient_of_the_penalty_is_that_of_the_kl_named(
    loss_type: str, which: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = make(
        tiny_model_dir,
        tmp_path,
        trainer_class=FixedCompletions,
        loss_type=loss_type,
        beta=0.5,
        kl_gradient=which,
    )
    got, batch = kl_gradient(trainer)
    assert_close(got, kl_by_hand(trainer, batch, which))
    assert trainer._metrics["train"]["kl"]


def test_the_penalty_acts_in_every_step(tiny_model_dir: Path, tmp_path: Path) -> None:
    trainer = train(tiny_model_dir, tmp_path, beta=0.5, kl_gradient="reverse", max_steps=3)
    penalties = logged(trainer, "kl")
    # d^2 / 2, with d the rounding of two forwards of one model.
    assert penalties[0] == pytest.approx(0.0, abs=rounding(50, size=2, eps=F32) ** 2)
    assert len(penalties) == 3
    assert min(penalties[1:]) > 1e-4
    assert trainer.beta == 0.5


@pytest.mark.parametrize(("corrected", "which"), [(True, "reverse"), (False, "forward")])
def test_trls_own_penalty_is_the_reverse_kl_unless_its_correction_is_off(
    corrected: bool, which: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    trainer = make(
        tiny_model_dir,
        tmp_path,
        trainer_class=FixedCompletions,
        loss_type="grpo",
        beta=0.5,
        use_bias_correction_kl=corrected,
    )
    got, batch = kl_gradient(trainer)
    assert_close(got, kl_by_hand(trainer, batch, which))
