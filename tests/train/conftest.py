"""Fixtures of the tests that train from a recipe."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from polypath.tasks.base import EvaluationDefaults, Problem
from polypath.verify.base import Status, Verdict

SETTINGS: dict[str, Any] = {
    "task": "countdown",
    "task_limit": 12,
    "per_device_train_batch_size": 4,
    "num_generations": 4,
    "max_completion_length": 6,
    "max_steps": 3,
    "learning_rate": 1e-2,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
}

WriteRecipe = Callable[..., Path]


@pytest.fixture
def write_recipe(tiny_model_dir: Path, tmp_path: Path) -> WriteRecipe:
    """Return a function that writes a small recipe with some settings changed; None leaves one out."""

    def write(**options: Any) -> Path:
        settings = {
            "model_name_or_path": str(tiny_model_dir),
            "output_dir": str(tmp_path / "run"),
            **SETTINGS,
            **options,
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in settings.items() if v is not None}))
        return path

    return write


@pytest.fixture
def rehearsal(tiny_model_dir: Path, tmp_path: Path) -> dict[str, Any]:
    """Return the settings of a rehearsal set of the tiny model, which "masters" anything."""
    from polypath.rehearsal.settings import PresampleSettings
    from tests.presampling import presample

    settings = PresampleSettings(
        k=2, threshold=1, batch_size=64, truncated="allow", precision="float32"
    )
    folder = tmp_path / "rehearsal"
    presample(tiny_model_dir, Anything(), out=folder, settings=settings, device="cpu")
    return {"rehearsal_set": str(folder), "rehearsal_coef": 0.5}


class Anything:
    """Questions to which every answer is right."""

    name = "anything"
    splits = ("train",)
    max_completion_length = 6
    options: ClassVar[dict[str, str]] = {}
    evaluation = EvaluationDefaults()

    def problems(self, split: str, limit: int | None = None) -> list[Problem]:
        del split
        return [Problem(problem_id=str(i), prompt=f"answer {i} =", gold=str(i)) for i in range(6)][
            :limit
        ]

    def verify(self, completion: str, gold: str) -> Verdict:
        del completion, gold
        return Verdict(status=Status.GRADED, reward=1.0)

    def verify_batch(self, completions: list[str], golds: list[str]) -> list[Verdict]:
        return [self.verify(c, g) for c, g in zip(completions, golds, strict=True)]
