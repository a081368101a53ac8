"""The history of answers on TRL: what is counted, its checkpoints, and what it refuses."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from polypath import DiversityGRPOTrainer
from polypath.core.rewards import TaskReward
from polypath.engines.trl.history import HistoryCheckpoints, see
from polypath.errors import ConfigError, MissingFileError
from polypath.objectives import RewardAdjustment
from tests.engines.trl.helpers import (
    SGD,
    FixedCompletions,
    addition_rows,
    coin,
    few,
    largest_difference,
    logged,
    make,
    parameters,
    train,
)
from tests.rehearsal.adder import Addition

C = 0.5
OFF: dict[str, Any] = {"advantage": None, "history_exploration_c": 0.1}


def options(**more: Any) -> dict[str, Any]:
    """Return settings of a run on two problems, two of them in a step, so that answers repeat."""
    data = Dataset.from_list(addition_rows()[:2])
    fixed = {"data": data, "rewards": coin, "max_steps": 3, "per_device_train_batch_size": 8}
    fixed |= {"trainer_class": FixedCompletions, "trainer_options": {"solution_fn": few}}
    on = {"advantage": "history_exploration", "history_exploration_c": C, "scale_rewards": "none"}
    return {**fixed, **SGD, **on, **more}


class Watched(FixedCompletions):
    """Keep the prompt, completion, reward and advantage of every completion, in order."""

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, ids: Any) -> Any:
        rewards = super()._calculate_rewards(inputs, prompts, completions, ids)
        self.rows = list(zip(prompts, completions, rewards[:, 0].tolist(), strict=True))
        return rewards

    def _generate_once(self, inputs: Any) -> dict[str, Any]:
        batch = super()._generate_once(inputs)
        self.generations = getattr(self, "generations", [])
        self.generations.append((self.rows, batch["advantages"].tolist()))
        return batch


def test_advantages_by_answers_that_are_counted_anew(adder_dir: Path, tmp_path: Path) -> None:
    trainer = train(adder_dir, tmp_path, **options(trainer_class=Watched, max_steps=5))
    counts: Counter[tuple[str, str | None]] = Counter()
    explored, told = 0, []
    assert len(trainer.generations) == 5
    for rows, advantages in trainer.generations:
        answers = [(prompt, few(text, {})) for prompt, text, _ in rows]
        seen = [counts[answer] for answer in answers]
        for start in range(0, len(rows), 4):
            rewards = [reward for _, _, reward in rows[start : start + 4]]
            mean = sum(rewards) / 4
            for n, reward in enumerate(rewards):
                bonus = 1 / math.sqrt(max(seen[start + n], 1)) - 0.5 if min(rewards) < 1 else 0
                assert advantages[start + n] == pytest.approx(reward - mean + C * bonus, abs=1e-6)
                explored += min(rewards) < 1 and seen[start + n] > 1
        counts.update(answers)
        told.append((sum(seen) / len(seen), seen.count(0) / len(seen), len(counts)))
    assert explored > 5
    names = ("history/seen", "history/new", "history/answers")
    found = zip(*(logged(trainer, name) for name in names), strict=True)
    assert list(found) == [pytest.approx(line) for line in told]


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """No settings."""


def leave(config: Any, rewards_P_G: torch.Tensor, seen_P_G: torch.Tensor) -> torch.Tensor:
    """Leave the rewards as they are."""
    del config
    assert seen_P_G.shape == rewards_P_G.shape
    return rewards_P_G


def test_an_entry_of_the_users_gets_the_counts_and_counting_changes_nothing(
    adder_dir: Path, tmp_path: Path
) -> None:
    def same(config: Any, rewards_P_G: torch.Tensor) -> torch.Tensor:
        del config
        return rewards_P_G

    made = {}
    for function in (leave, same):
        entry = RewardAdjustment(
            name="mine", config=Nothing, function=function, line="Leaves them.", paper="None"
        )
        given = {"solution_fn": few, "objectives": [entry.on()]}
        made[function] = train(adder_dir, tmp_path, **options(**OFF, trainer_options=given))
    counted, plain = made[leave], made[same]
    assert len(counted._history) > 0
    assert plain._history is None
    assert not logged(plain, "history/seen")
    assert largest_difference(parameters(counted), parameters(plain)) == 0


@pytest.mark.parametrize("sampled", [False, True])
def test_a_resumed_run_is_the_uninterrupted_one(
    sampled: bool, adder_dir: Path, tmp_path: Path
) -> None:
    settings = options(max_steps=6, save_strategy="steps", save_steps=2)
    settings.update(num_iterations=2, optim="adamw_torch", learning_rate=1e-2)
    if sampled:
        settings.update(trainer_class=DiversityGRPOTrainer, rewards=TaskReward(Addition()))
    straight = train(adder_dir, tmp_path, **settings)
    counted = list(straight._history)
    assert max(count for _, count in counted) > 1
    file = tmp_path / "checkpoint-6" / HistoryCheckpoints.file
    written = file.read_bytes()
    for step in (4, 2):
        resumed = make(adder_dir, tmp_path, **settings)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert list(resumed._history) == counted
        assert largest_difference(parameters(straight), parameters(resumed)) == 0
        assert file.read_bytes() == written
    straight.args.max_steps = 2
    straight.train()  # anew: it starts without counts
    assert sum(count for _, count in straight._history) == 8


def test_a_checkpoint_without_counts_is_refused(adder_dir: Path, tmp_path: Path) -> None:
    settings = options(max_steps=2, save_strategy="steps", save_steps=1)
    train(adder_dir, tmp_path, **settings)
    (tmp_path / "checkpoint-1" / HistoryCheckpoints.file).unlink()
    with pytest.raises(MissingFileError, match="history_exploration"):
        make(adder_dir, tmp_path, **settings).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-1")
        )


def test_evaluation_counts_nothing(adder_dir: Path, tmp_path: Path) -> None:
    trainer = make(adder_dir, tmp_path, **options())
    trainer.eval_dataset = trainer.train_dataset
    metrics = trainer.evaluate()
    assert math.isfinite(metrics["eval_loss"])
    assert len(trainer._history) == 0


def test_what_cannot_be_counted_is_refused(adder_dir: Path, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"trainer_options": {}, "solution_fn": None}
    with pytest.raises(ConfigError, match=r"history_exploration.*solution_fn"):
        make(adder_dir, tmp_path, **options(**nothing))
    trainer = make(adder_dir, tmp_path, **options())
    with pytest.raises(ConfigError, match="images"):
        see(trainer, trainer._history, {"pixel_values": torch.ones(1)}, [])


def test_it_cannot_be_switched_on_during_training(adder_dir: Path, tmp_path: Path) -> None:
    trainer = make(adder_dir, tmp_path, **options(**OFF))
    trainer.args.advantage = "history_exploration"
    with pytest.raises(ConfigError, match="before the training starts"):
        trainer.train()
