"""Dynamic sampling: groups of equal rewards are replaced; the update is that of the groups used."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, IterableDataset

from polypath.errors import ConfigError
from tests.engines.trl.helpers import (
    SGD,
    FixedCompletions,
    largest_difference,
    logged,
    make,
    parameters,
    train,
)

PROMPTS = [{"prompt": f"solve {n} + {m} ="} for n in range(4) for m in range(5)]


def half_constant(prompts: list[str], **_: Any) -> list[float]:
    """Reward all completions of prompts with an even first number alike; else the first one alone."""
    first = [place == 0 or prompts[place - 1] != prompt for place, prompt in enumerate(prompts)]
    return [
        1.0 if int(prompt.split()[1]) % 2 == 0 else float(starts)
        for prompt, starts in zip(prompts, first, strict=True)
    ]


class Kept(FixedCompletions):
    """Keep every generated batch that is trained on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batches: list[dict[str, Any]] = []
        self.generated = 0

    def _generate_once(self, inputs: Any) -> dict[str, Any]:
        self.generated += len(inputs)
        return super()._generate_once(inputs)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        self.batches.append({k: v.clone() for k, v in batch.items() if isinstance(v, torch.Tensor)})
        return batch


def options(**more: Any) -> dict[str, Any]:
    return {
        "data": Dataset.from_list(PROMPTS),
        "rewards": half_constant,
        "trainer_class": Kept,
        "per_device_train_batch_size": 16,
        "max_steps": 3,
        **SGD,
        **more,
    }


def dead_groups(trainer: Any) -> list[int]:
    found = [batch["advantages"].reshape(-1, 4) for batch in trainer.batches]
    return [int((advantages == 0).all(dim=1).sum()) for advantages in found]


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
def test_groups_of_equal_rewards_are_replaced_and_counted(
    loss_type: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    plain = train(tiny_model_dir, tmp_path, **options(loss_type=loss_type))
    filled = train(
        tiny_model_dir, tmp_path, **options(loss_type=loss_type, dynamic_sampling_rounds=6)
    )
    assert sum(dead_groups(plain)) > 2
    assert sum(dead_groups(filled)) == 0
    assert all(len(batch["advantages"]) == 16 for batch in filled.batches)
    for batch in filled.batches:
        assert int(batch["num_items_in_batch"]) == int(batch["completion_mask"].sum())
    rates = logged(filled, "dynamic_sampling/generated")
    assert sum(rates) * 16 == filled.generated
    assert logged(filled, "dynamic_sampling/left") == [0.0] * 3
    assert sum(logged(filled, "dynamic_sampling/replaced")) > 0
    assert logged(plain, "dynamic_sampling/generated") == []


def test_rounds_bound_what_is_generated(tiny_model_dir: Path, tmp_path: Path) -> None:
    def same(completions: list[str], **_: Any) -> list[float]:
        return [1.0] * len(completions)

    trainer = train(
        tiny_model_dir, tmp_path, **options(rewards=same, dynamic_sampling_rounds=2, max_steps=1)
    )
    assert trainer.generated == 3 * 16
    assert logged(trainer, "dynamic_sampling/left") == [1.0]
    assert dead_groups(trainer) == [4]


def test_with_nothing_to_replace_training_is_what_it_was(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    def first(prompts: list[str], **_: Any) -> list[float]:
        return [float(i == 0 or prompts[i - 1] != p) for i, p in enumerate(prompts)]

    given = options(rewards=first)
    plain = parameters(train(tiny_model_dir, tmp_path, **given))
    filled = parameters(train(tiny_model_dir, tmp_path, **given, dynamic_sampling_rounds=3))
    assert largest_difference(plain, filled) == 0.0


def test_the_update_is_that_of_the_batch_that_is_used(tiny_model_dir: Path, tmp_path: Path) -> None:
    """A second trainer that is handed the finished batch ends with the same parameters."""
    filled = train(tiny_model_dir, tmp_path, **options(dynamic_sampling_rounds=6, max_steps=1))
    batch = filled.batches[0]

    class Given(FixedCompletions):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            del inputs
            return {name: value.clone() for name, value in batch.items()}

    other = train(tiny_model_dir, tmp_path, **options(trainer_class=Given, max_steps=1))
    assert largest_difference(parameters(filled), parameters(other)) == 0.0


def test_it_works_with_skipping_and_with_methods(tiny_model_dir: Path, tmp_path: Path) -> None:
    given = options(
        dynamic_sampling_rounds=6,
        steps_per_generation=2,
        per_device_train_batch_size=8,
        dra=True,
        similarity="ngram",
        positive_entropy_coef=0.1,
        max_steps=4,
    )
    whole = parameters(train(tiny_model_dir, tmp_path, **given))
    cut = parameters(train(tiny_model_dir, tmp_path, **given, skip_rows_without_gradient=True))
    assert largest_difference(whole, cut) < 1e-5


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"scale_rewards": "batch"}, "scale_rewards"),
        ({"data": IterableDataset.from_generator(lambda: iter(PROMPTS))}, "stream"),
    ],
)
def test_what_cannot_be_replaced_is_refused(
    more: dict[str, Any], named: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=named):
        make(tiny_model_dir, tmp_path, **options(dynamic_sampling_rounds=1, **more))


def test_a_resumed_run_draws_the_same_prompts(tiny_model_dir: Path, tmp_path: Path) -> None:
    given = options(rewards=half_constant, dynamic_sampling_rounds=6, max_steps=4)
    saving = {"save_strategy": "steps", "save_steps": 2}
    straight = make(tiny_model_dir, tmp_path / "run", **{**given, **saving})
    straight.train()
    resumed = make(tiny_model_dir, tmp_path / "run", **{**given, **saving})
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    assert largest_difference(parameters(straight), parameters(resumed)) == 0.0
