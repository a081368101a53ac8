"""Every method, with whatever else TRL offers: it runs, stays finite, and changes the result."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig

from polypath.rehearsal import RehearsalSet
from tests.engines.trl.helpers import (
    SGD,
    FixedCompletions,
    addition_rows,
    all_terms,
    coin,
    dice,
    largest_difference,
    logged,
    make,
    parameters,
    rows,
    step_rounding,
    train,
)
from tests.engines.trl.test_values import Watched
from tests.rounding import F32, rounding

LOSS_TYPES = ("grpo", "bnpo", "dapo", "dr_grpo", "cispo", "sapo", "luspo", "vespo")
TERMS = {
    "dra": {"positive_entropy_coef": 0.0, "rehearsal_coef": 0.0},
    "positive entropy": {"dra": False, "rehearsal_coef": 0.0},
    "rehearsal": {"dra": False, "positive_entropy_coef": 0.0},
}
OFF = {"dra": False, "positive_entropy_coef": 0.0, "rehearsal_coef": 0.0}


def finite(trainer: Any) -> bool:
    losses = [*logged(trainer, "loss"), *logged(trainer, "grad_norm")]
    tensors = parameters(trainer).values()
    return (
        bool(losses)
        and all(map(math.isfinite, losses))
        and all(t.isfinite().all() for t in tensors)
    )


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_every_loss_type_trains_with_all_terms_on(
    loss_type: str, adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = all_terms(
        rehearsal_dir,
        loss_type=loss_type,
        trainer_class=FixedCompletions,
        rewards=[coin],
        steps_per_generation=2,
    )
    on = train(adder_dir, tmp_path, **options)
    off = train(adder_dir, tmp_path, **{**options, **OFF})
    assert finite(on)
    assert largest_difference(parameters(on), parameters(off)) > 1e-4
    assert logged(on, "rehearsal/divergence")
    assert logged(on, "positive_entropy/loss")
    # Shares of the three terms add up to 1 wherever there is a gradient at all.
    shares = [
        sum(line[f"gradient_share/{name}"] for name in ("policy", "positive_entropy", "rehearsal"))
        for line in on.state.log_history
        if line.get("gradient_share/policy") is not None
    ]
    assert shares
    # Three norms over some ten thousand float32 products, rounded at random: a hundred roundings.
    assert all(abs(share - 1) < rounding(3 * 100, eps=F32) for share in shares)


@pytest.mark.parametrize("term", TERMS)
def test_each_term_alone_changes_the_result(
    term: str, adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = all_terms(rehearsal_dir, trainer_class=FixedCompletions, rewards=[coin], max_steps=3)
    on = train(adder_dir, tmp_path, **{**options, **TERMS[term]})
    off = train(adder_dir, tmp_path, **{**options, **OFF, "rehearsal_explore_only": False})
    same_data = {**options, **TERMS[term], "rehearsal_explore_only": False}
    if term == "rehearsal":
        on = train(adder_dir, tmp_path, **same_data)
    else:
        off = train(adder_dir, tmp_path, **{**options, **OFF})
    assert finite(on)
    assert largest_difference(parameters(on), parameters(off)) > 1e-5


class Truncated(Watched):
    """Cut the end off the first completion of a batch."""

    def _generate_single_turn(self, *args: Any, **options: Any) -> Any:
        made, rest = super()._generate_single_turn(*args, **options)
        return [[7] * self.max_completion_length, *made[1:]], rest


# What each setting says, as a fact of the trainer it was trained with and of one trained without it.
SETTINGS: dict[str, tuple[dict[str, Any], Callable[[Any, Any], bool]]] = {
    "four steps a generation": (
        {"steps_per_generation": 4, "max_steps": 5},
        lambda on, _: len(on.generated) == 2,
    ),
    "two passes over a generation": (
        {"num_iterations": 2, "max_steps": 4},
        lambda on, _: len(on.generated) == 2 and "old_per_token_logps" in on.used[0],
    ),
    "accumulation over generations": (
        {"gradient_accumulation_steps": 4, "steps_per_generation": 2},
        lambda on, _: len(on.generated) == 4 and len(on.used) == 8,
    ),
    "truncated completions masked": (
        {"mask_truncated_completions": True, "trainer_class": Truncated},
        lambda on, _: all(not batch["completion_mask"][0].any() for batch in on.generated),
    ),
    "high-entropy tokens only": ({"top_entropy_quantile": 0.5}, lambda on, off: moved(on, off)),
    "entropy bonus": ({"entropy_coef": 0.01}, lambda on, off: moved(on, off)),
    "sequence-level ratio": (
        {"importance_sampling_level": "sequence", "num_iterations": 2, "max_steps": 4},
        lambda on, off: moved(on, off),
    ),
    "batch scaling": (
        {"scale_rewards": "batch", "per_device_train_batch_size": 8},
        lambda on, _: scaled_as_one(on),
    ),
    "no scaling": (
        {"scale_rewards": "none", "dra_weight_norm": "mean"},
        lambda on, off: moved(on, off),
    ),
    "exact entropy": (
        {"positive_entropy_form": "exact"},
        # Its gradient does not pass through the log-probs of sampled tokens.
        lambda on, off: share(on, "positive_entropy") == 0 < share(off, "positive_entropy"),
    ),
    "token means": (
        {"positive_entropy_normalization": "token_mean"},
        lambda on, off: moved(on, off),
    ),
    "forward penalty": (
        {"beta": 0.1, "kl_gradient": "forward"},
        lambda on, _: share(on, "kl") > 0 < logged(on, "kl")[-1],
    ),
    "reverse penalty": (
        {"beta": 0.1, "kl_gradient": "reverse"},
        lambda on, _: share(on, "kl") > 0 < logged(on, "kl")[-1],
    ),
    "answer similarity": (
        {"similarity": "answer", "dra_mutual_information": "log_det"},
        lambda on, off: logged(on, "diversity/similarity") != logged(off, "diversity/similarity"),
    ),
    "policy similarity": (
        {"similarity": "policy", "gradient_checkpointing": True},
        lambda on, off: logged(on, "diversity/similarity") != logged(off, "diversity/similarity"),
    ),
    "more rehearsal than rows": (
        {"rehearsal_share": 4.0, "per_device_train_batch_size": 8},
        lambda on, _: on._rehearsal.rows_per_step == 32,
    ),
    "metrics off": (
        {"diversity_metrics": False},
        lambda on, off: not moved(on, off) and not logged(on, "diversity/accuracy"),
    ),
    "checkpointing": (
        {
            "gradient_checkpointing": True,
            "gradient_checkpointing_kwargs": {"use_reentrant": False},
        },
        lambda on, off: on.model.is_gradient_checkpointing and not moved(on, off),
    ),
}


def moved(one: Any, other: Any) -> bool:
    """Return whether two runs ended with different parameters, beyond the rounding of their steps."""
    return largest_difference(parameters(one), parameters(other)) > 1e-5


def share(trainer: Any, term: str) -> float:
    """Return the logged shares of a term, added up; 0 where there was nothing to measure."""
    return sum(value or 0.0 for value in logged(trainer, f"gradient_share/{term}"))


def scaled_as_one(trainer: Any) -> bool:
    """Return whether advantages were divided by one deviation over both groups of a batch."""
    batch = next(b for b in trainer.generated if b["advantages"].any())
    groups = batch["advantages"].reshape(-1, 4)
    return bool((groups.std(dim=1) - 1).abs().max() > 0.05)


@pytest.fixture(scope="module")
def plain_run(
    adder_dir: Path, rehearsal_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Return what all settings are held against: every term on, and nothing else."""
    options = all_terms(rehearsal_dir, trainer_class=Watched, rewards=[coin])
    return train(adder_dir, tmp_path_factory.mktemp("plain"), **options)


@pytest.mark.parametrize("setting", SETTINGS)
def test_with_all_terms_on_each_setting_does_what_it_says(
    setting: str, plain_run: Any, adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options, holds = SETTINGS[setting]
    other = plain_run
    if moved_by_more_steps := {
        k: options[k] for k in ("num_iterations", "max_steps") if k in options
    }:
        common = all_terms(rehearsal_dir, trainer_class=Watched, rewards=[coin])
        other = train(adder_dir, tmp_path, **{**common, **moved_by_more_steps})
    on = train(
        adder_dir,
        tmp_path,
        **{**all_terms(rehearsal_dir, trainer_class=Watched, rewards=[coin]), **options},
    )
    assert finite(on)
    assert on.state.global_step == on.args.max_steps
    assert holds(on, other)


def test_several_weighted_rewards_of_which_some_give_none(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    def silent(completions: list[str], **_: Any) -> list[None]:
        return [None for _ in completions]

    options: dict[str, Any] = {
        "rewards": [dice, coin, silent],
        "reward_weights": [2.0, 0.5, 1.0],
        "correctness_reward": "coin",
        "dra": True,
        "positive_entropy_coef": 0.1,
    }
    trainer = train(tiny_model_dir, tmp_path, **options)
    assert finite(trainer)
    assert logged(trainer, "diversity/accuracy") == pytest.approx(
        logged(trainer, "rewards/coin/mean")
    )
    options.update(rewards=[silent, silent], reward_weights=None, correctness_reward=None)
    start = parameters(make(tiny_model_dir, tmp_path))
    assert largest_difference(start, parameters(train(tiny_model_dir, tmp_path, **options))) == 0.0


def test_conversational_prompts(tiny_model_dir: Path, tmp_path: Path) -> None:
    trainer = train(
        tiny_model_dir,
        tmp_path,
        data=Dataset.from_list(rows(chat=True)),
        dra=True,
        positive_entropy_coef=0.1,
    )
    assert finite(trainer)


@pytest.mark.parametrize("eval_group", [1, 2])
def test_evaluation_with_another_group_size(
    eval_group: int, adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = all_terms(rehearsal_dir, num_generations_eval=eval_group)
    trainer = make(
        adder_dir,
        tmp_path,
        **options,
        eval_strategy="steps",
        eval_steps=1,
        per_device_eval_batch_size=4,
        trainer_options={"eval_dataset": Dataset.from_list(addition_rows()[:6])},
    )
    before_training = trainer.evaluate()
    assert math.isfinite(before_training["eval_loss"])
    trainer.train()
    assert finite(trainer)
    assert all(map(math.isfinite, logged(trainer, "eval_loss")))
    assert len(logged(trainer, "eval_diversity/accuracy")) == 2
    # With one completion there is no other to resemble.
    similarities = logged(trainer, "eval_diversity/similarity")
    assert len(similarities) == (0 if eval_group == 1 else 2)


def test_evaluation_between_steps_leaves_training_as_it_was(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = all_terms(
        rehearsal_dir,
        trainer_class=FixedCompletions,
        rewards=coin,
        gradient_accumulation_steps=2,
        max_steps=3,
        **SGD,
    )
    plain = train(adder_dir, tmp_path, **options)
    evaluated = train(
        adder_dir,
        tmp_path,
        **options,
        eval_strategy="steps",
        eval_steps=1,
        num_generations_eval=2,
        trainer_options={"eval_dataset": Dataset.from_list(addition_rows()[:4])},
    )
    # Not bit for bit: evaluating moves the random state, and with it the split into micro-batches.
    rounded = step_rounding(parameters(plain), steps=3)
    assert largest_difference(parameters(plain), parameters(evaluated)) < rounded


def test_lora_with_a_rehearsal_set_of_the_base_model(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    adapter = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = train(
        adder_dir,
        tmp_path,
        **all_terms(rehearsal_dir, beta=0.05, kl_gradient="reverse", similarity="policy"),
        trainer_options={"peft_config": adapter},
    )
    assert finite(trainer)
    assert logged(trainer, "rehearsal/log_ratio_abs")[0] < rounding(50, size=2, eps=F32)
    assert logged(trainer, "rehearsal/log_ratio_abs")[1] > 1e-4


def test_bfloat16_autocast(adder_dir: Path, tmp_path: Path) -> None:
    from polypath.rehearsal.settings import PresampleSettings
    from tests.presampling import presample
    from tests.rehearsal.adder import Addition

    settings = PresampleSettings(k=4, threshold=3, batch_size=256, precision="bf16-mixed")
    presample(adder_dir, Addition(), out=tmp_path / "set", settings=settings, device="cpu")
    trainer = train(adder_dir, tmp_path, **all_terms(tmp_path / "set", bf16=True))
    assert finite(trainer)
    assert logged(trainer, "rehearsal/log_ratio_abs")[0] < 0.02


def test_a_stream_of_problems_is_filtered_and_trained_on(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    stored = RehearsalSet.load(rehearsal_dir)
    assert stored.excluded_prompts
    stream = Dataset.from_list(addition_rows()).to_iterable_dataset()
    seen: list[str] = []

    def watch(completions: list[str], prompts: list[str], **_: Any) -> list[float]:
        seen.extend(prompts)
        return coin(completions)

    trainer = train(
        adder_dir, tmp_path, **all_terms(rehearsal_dir, data=stream, rewards=watch, max_steps=8)
    )
    assert finite(trainer)
    masters = {row.prompt for row in stored.partition if row.problem_set == "near_perfect"}
    assert len(set(seen)) == 8
    assert not masters & set(seen)


def test_the_gradient_reaches_every_parameter(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    before = parameters(make(adder_dir, tmp_path))
    after = parameters(train(adder_dir, tmp_path, **all_terms(rehearsal_dir)))
    assert [name for name in before if torch.equal(before[name], after[name])] == []
