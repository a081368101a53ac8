"""Rows without a gradient are left out, and the update stays what it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl.trainer import utils as trl_utils

from polypath.core.processes import SingleProcess
from polypath.engines.trl import skipping
from polypath.objectives import POLICY_TERMS, PositiveEntropyConfig
from polypath.objectives.entries import Active
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

SKIP = {"skip_rows_without_gradient": True}
LOSSES = ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "luspo", "sapo", "vespo"]


def half_constant(prompts: list[str], completions: list[str], **_: Any) -> list[float]:
    """Reward all completions of every second prompt alike."""
    rewards = coin(completions)
    return [1.0 if len(p) % 2 else r for p, r in zip(prompts, rewards, strict=True)]


class Counted(FixedCompletions):
    """Count the rows and tokens of the policy's forwards."""

    rows = 0
    tokens = 0

    def _policy_loss(self, model: Any, inputs: dict[str, Any], beta: float) -> Any:
        self.rows += len(inputs["completion_mask"])
        self.tokens += inputs["completion_mask"].numel() + inputs["prompt_mask"].numel()
        return super()._policy_loss(model, inputs, beta)


def options(**more: Any) -> dict[str, Any]:
    data = [{"prompt": f"solve {10**n} + {m} ="} for m in range(1, 5) for n in (0, 1)]
    return {
        "data": Dataset.from_list(data),
        "trainer_class": Counted,
        "rewards": half_constant,
        "max_completion_length": 6,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 2,
        "max_steps": 3,
        **SGD,
        **more,
    }


@pytest.mark.parametrize("loss_type", LOSSES)
def test_parameters_are_those_without_skipping(
    loss_type: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    whole = train(tiny_model_dir, tmp_path, **options(loss_type=loss_type))
    cut = train(tiny_model_dir, tmp_path, **options(loss_type=loss_type, **SKIP))
    expected = parameters(whole)
    assert largest_difference(expected, parameters(cut)) < step_rounding(expected, 3)
    assert whole.rows == 48
    assert cut.rows <= 32
    assert cut.tokens < whole.tokens * 0.75
    assert logged(cut, "rows_skipped")[0] == pytest.approx(1 - cut.rows / 48, abs=0.3)
    assert logged(whole, "rows_skipped") == []


@pytest.mark.parametrize(
    "more",
    [
        {"num_iterations": 2, "learning_rate": 0.02},
        {"positive_entropy_coef": 0.1},
        {"positive_entropy_coef": 0.1, "positive_entropy_gate": "all"},
        {"beta": 0.1},
        {"beta": 0.1, "kl_gradient": "reverse"},
        {"entropy_coef": 0.01},
        {"top_entropy_quantile": 0.5},
        {"importance_sampling_level": "sequence"},
        {"mask_truncated_completions": True},
        {"dra": True, "similarity": "ngram"},
        {"steps_per_generation": 4},
        {"steps_per_generation": 4, "num_iterations": 2, "learning_rate": 0.02},
        {"length_buckets": 3},
        {"length_buckets": 3, "steps_per_generation": 4, "positive_entropy_coef": 0.1},
    ],
    ids=str,
)
def test_with_other_settings_too(
    more: dict[str, Any], tiny_model_dir: Path, tmp_path: Path
) -> None:
    whole = train(tiny_model_dir, tmp_path, **options(loss_type="grpo", **more))
    cut = train(tiny_model_dir, tmp_path, **options(loss_type="grpo", **more, **SKIP))
    expected = parameters(whole)
    assert largest_difference(expected, parameters(cut)) < step_rounding(expected, 4)
    every_row = {"beta", "entropy_coef", "top_entropy_quantile", "positive_entropy_gate"} & set(
        more
    )
    assert (cut.rows == whole.rows) is bool(every_row)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_parameters_are_those_without_buckets(
    loss_type: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    given = options(loss_type=loss_type, beta=0.1, entropy_coef=0.01, positive_entropy_coef=0.1)
    whole = parameters(train(tiny_model_dir, tmp_path, **given))
    cut = parameters(train(tiny_model_dir, tmp_path, **given, length_buckets=3))
    assert largest_difference(whole, cut) < step_rounding(whole, 3)


class Seen(FixedCompletions):
    """Keep the rows of each forward without gradient, and the tokens that the head scored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.old_rows: list[int] = []

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if not torch.is_grad_enabled() and result[0] is not None:
            self.old_rows.append(len(result[0]))
        return result


def test_log_probs_of_the_sampling_policy_are_computed_where_they_are_used(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    given = options(
        trainer_class=Seen, gradient_accumulation_steps=1, steps_per_generation=2, max_steps=2
    )
    whole = train(tiny_model_dir, tmp_path, **given)
    cut = train(tiny_model_dir, tmp_path, **given, **SKIP)
    again = train(tiny_model_dir, tmp_path, **given, **SKIP, num_iterations=2)
    assert sum(whole.old_rows) == 16
    assert len(cut.old_rows) == 1  # the second micro-batch alone: the first meets its own policy
    assert sum(cut.old_rows) <= 6
    assert len(again.old_rows) == 2
    assert largest_difference(parameters(whole), parameters(cut)) < step_rounding(
        parameters(whole), 2
    )


def test_the_head_scores_completions_alone(tiny_model_dir: Path, tmp_path: Path) -> None:
    scored: list[int] = []

    class Heads(FixedCompletions):
        def _compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            real = trl_utils._ChunkedLogProbFunction

            class Watched:
                @staticmethod
                def apply(hidden: torch.Tensor, *rest: Any) -> Any:
                    scored.append(len(hidden))
                    return real.apply(hidden, *rest)

            trl_utils._ChunkedLogProbFunction = Watched
            try:
                return super()._compute_loss(*args, **kwargs)
            finally:
                trl_utils._ChunkedLogProbFunction = real

    def tokens(more: dict[str, Any]) -> int:
        scored.clear()
        train(tiny_model_dir, tmp_path, **options(trainer_class=Heads, max_steps=1, **more))
        return sum(scored)

    beta = {"beta": 0.1}  # no row is skipped
    assert tokens({**beta, **SKIP}) < 0.75 * tokens(beta)


def test_a_step_without_any_gradient_moves_nothing(tiny_model_dir: Path, tmp_path: Path) -> None:
    def same(completions: list[str], **_: Any) -> list[float]:
        return [1.0] * len(completions)

    before = parameters(train(tiny_model_dir, tmp_path, **options(max_steps=1, learning_rate=0.0)))
    cut = train(tiny_model_dir, tmp_path, **options(rewards=same, max_steps=2, **SKIP))
    assert largest_difference(before, parameters(cut)) == 0.0
    assert cut.rows == 4  # one for each backward


def batch(advantages: list[float], lengths: list[int]) -> dict[str, Any]:
    mask = torch.tensor([[1] * n + [0] * (4 - n) for n in lengths])
    prompts = torch.tensor([[0, 0, 1], [0, 1, 1], [0, 0, 1], [0, 1, 1]])[: len(lengths)]
    return {
        "advantages": torch.tensor(advantages),
        "completion_mask": mask,
        "completion_ids": torch.arange(len(lengths) * 4).reshape(-1, 4),
        "prompt_ids": prompts * 7,
        "prompt_mask": prompts,
        "correct": torch.tensor([True, False, True, False])[: len(lengths)],
        "num_items_in_batch": torch.tensor(9),
    }


def test_rows_are_chosen_by_advantage_and_by_what_acts() -> None:
    inputs = batch([0.0, 0.5, 0.0, 0.0], [2, 3, 4, 0])
    term = POLICY_TERMS["positive_entropy"]
    correct = Active(entry=term, config=PositiveEntropyConfig(), coef=0.1)
    assert skipping.rows_with_gradient(inputs, []).tolist() == [False, True, False, False]
    assert skipping.rows_with_gradient(inputs, [correct]).tolist() == [True, True, True, False]


def test_a_process_fills_up_with_its_shortest_rows() -> None:
    class Two(SingleProcess):
        world = 2

        def gather(self, rows: torch.Tensor) -> torch.Tensor:
            return torch.cat([rows, torch.tensor([2])])

    moved = torch.tensor([False, True, False, False])
    mask = batch([0.0] * 4, [2, 3, 4, 1])["completion_mask"]
    assert skipping.choose_rows(moved, mask, SingleProcess()).tolist() == [1]
    assert skipping.choose_rows(moved, mask, Two()).tolist() == [1, 3]
    assert skipping.choose_rows(torch.zeros(4).bool(), mask, SingleProcess()).tolist() == [3]


def test_columns_that_are_padding_in_all_rows_go() -> None:
    inputs = batch([0.0, 0.5, 0.0, 0.0], [2, 3, 4, 1])
    kept = skipping.part(inputs, torch.tensor([0, 1]))
    assert kept["completion_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert kept["completion_ids"].tolist() == [[0, 1, 2], [4, 5, 6]]
    assert kept["prompt_ids"].tolist() == [[0, 7], [7, 7]]
    assert int(kept["num_items_in_batch"]) == 9


def test_the_adder_s_groups_give_the_same_with_a_task(adder_dir: Path, tmp_path: Path) -> None:
    given = options(data=Dataset.from_list(addition_rows()), rewards=coin, max_completion_length=4)
    whole = parameters(train(adder_dir, tmp_path, **given))
    cut = parameters(train(adder_dir, tmp_path, **given, **SKIP))
    assert largest_difference(whole, cut) < step_rounding(whole, 3)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"beta": 0.1}, "beta"),
        ({"positive_entropy_coef": 0.1, "positive_entropy_gate": "all"}, "positive_entropy_coef"),
    ],
)
def test_a_setting_by_which_nothing_is_skipped_is_named(
    more: dict[str, Any], named: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match=rf"skips no completion: with {named}"):
        make(tiny_model_dir, tmp_path, **options(**more, **SKIP))
