"""A step's parameters do not depend on how its rows are cut into micro-batches."""

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from tests.engines.trl.helpers import (
    SGD,
    FixedCompletions,
    addition_rows,
    all_terms,
    coin,
    largest_difference,
    parameters,
    step_rounding,
    train,
)

NONE = {"dra": False, "positive_entropy_coef": 0.0, "rehearsal_coef": 0.0}
METHODS: dict[str, dict[str, Any]] = {
    "dra": {**NONE, "dra": True},
    "positive entropy, sequence mean": {**NONE, "positive_entropy_coef": 0.1},
    "positive entropy, token mean": {
        **NONE,
        "positive_entropy_coef": 0.1,
        "positive_entropy_normalization": "token_mean",
    },
    "exact entropy, token mean": {
        **NONE,
        "positive_entropy_coef": 0.1,
        "positive_entropy_form": "exact",
        "positive_entropy_normalization": "token_mean",
    },
    "rehearsal": {**NONE, "rehearsal_coef": 0.5},
    "reverse penalty": {**NONE, "beta": 0.1, "kl_gradient": "reverse"},
    "everything": {"beta": 0.1, "kl_gradient": "reverse", "positive_entropy_coef": 0.1},
}
LAYOUTS: dict[str, dict[str, Any]] = {
    "1 x 8": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8},
    "2 x 4, generated half and half": {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 4,
        "steps_per_generation": 2,
    },
}


@pytest.mark.parametrize("loss_type", ["grpo", "dapo"])
@pytest.mark.parametrize("method", METHODS)
def test_micro_batches_give_the_parameters_of_the_whole_batch(
    method: str, loss_type: str, adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = {
        **all_terms(rehearsal_dir, **METHODS[method]),
        "trainer_class": FixedCompletions,
        "rewards": coin,
        "rehearsal_explore_only": False,
        "rehearsal_share": 1.0,
        "loss_type": loss_type,
        "max_steps": 2,
        **SGD,
    }
    whole = parameters(train(adder_dir, tmp_path, **options, per_device_train_batch_size=8))
    for name, layout in LAYOUTS.items():
        if name.endswith("half") and (loss_type == "dapo" or method.endswith("token mean")):
            continue  # each generation is divided by its own tokens, as in stock TRL
        cut = parameters(train(adder_dir, tmp_path, **{**options, **layout}))
        assert largest_difference(whole, cut) < step_rounding(whole), name


def test_a_last_step_with_fewer_micro_batches_uses_all_its_rehearsal_rows(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    # 3 prompts a pass in micro-batches of one prompt each: every second step has 1 of 2.
    options = all_terms(
        rehearsal_dir,
        data=Dataset.from_list(addition_rows()[:3]),
        rewards=coin,
        rehearsal_explore_only=False,
        trainer_class=FixedCompletions,
        rehearsal_share=0.25,
        max_steps=-1,
        num_train_epochs=2,
        gradient_accumulation_steps=2,
        steps_per_generation=1,
        **SGD,
    )
    trainer = train(adder_dir, tmp_path, **options)
    assert trainer.state.global_step == 4
    options.update(gradient_accumulation_steps=5)  # a step of 3 micro-batches, 5 rows
    assert train(adder_dir, tmp_path, **options).state.global_step == 2
