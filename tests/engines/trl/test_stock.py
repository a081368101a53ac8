"""With every method off, training is bit for bit that of ``trl.GRPOTrainer``."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engines.trl.helpers import coin as coin_reward
from tests.engines.trl.helpers import dice, logged, parameters, train

LAYOUTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"gradient_accumulation_steps": 2},
    "two steps a generation": {"steps_per_generation": 2},
    "two passes over a generation": {"num_iterations": 2, "beta": 0.1},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo"])
def test_off_gives_the_parameters_of_stock_trl_while_metrics_are_logged(
    loss_type: str, layout: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    options = {"max_steps": 3, "loss_type": loss_type, **LAYOUTS[layout]}
    stock = train(tiny_model_dir, tmp_path, stock=True, **options)
    ours = train(tiny_model_dir, tmp_path, **options)
    expected, got = parameters(stock), parameters(ours)
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert logged(ours, "diversity/accuracy")
    assert logged(ours, "loss") == logged(stock, "loss")
    assert logged(ours, "reward") == logged(stock, "reward")


def test_the_comparison_with_stock_can_fail(tiny_model_dir: Path, tmp_path: Path) -> None:
    one = parameters(train(tiny_model_dir, tmp_path, stock=True))
    other = parameters(train(tiny_model_dir, tmp_path, stock=True, learning_rate=1.0001e-2))
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_coefficients_of_zero_and_a_group_similarity_leave_stock_untouched(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"rewards": [coin_reward, dice], "reward_weights": [1.0, 0.5]}
    stock = train(tiny_model_dir, tmp_path, stock=True, **options)
    ours = train(
        tiny_model_dir,
        tmp_path,
        positive_entropy_coef=0.0,
        rehearsal_set="nowhere",
        rehearsal_coef=0.0,
        similarity="policy",
        **options,
    )
    expected, got = parameters(stock), parameters(ours)
    assert all(torch.equal(got[name], expected[name]) for name in expected)
