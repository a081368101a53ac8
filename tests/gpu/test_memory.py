"""What the methods hold in the GPU's memory at most, against TRL's own trainer."""

import gc
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from trl import GRPOTrainer

from polypath.rehearsal.settings import PresampleSettings
from polypath.sampling.loading import load_model
from polypath.verify.base import Status, Verdict
from tests.engines.trl.helpers import FixedCompletions, coin, rows
from tests.gpu.helpers import OFF, train
from tests.presampling import presample
from tests.rehearsal.adder import Addition
from tests.tiny import save_tiny_model

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("memory_statistics")]

LENGTH = 64
SHAPE: dict[str, Any] = {
    "per_device_train_batch_size": 64,
    "max_completion_length": LENGTH,
    "bf16": True,
    "rewards": coin,
    "data": Dataset.from_list(rows(32)),
    "rehearsal_explore_only": False,
    **OFF,
}


class Stock(GRPOTrainer):  # type: ignore[misc]  # trl ships no types
    """TRL's own trainer on the fixed completions."""

    _generate_single_turn = FixedCompletions._generate_single_turn


class Lenient(Addition):
    """Everything is right, so that a random model has answers to rehearse."""

    def verify(self, completion: str, gold: str) -> Verdict:
        del gold
        return Verdict(status=Status.GRADED, reward=1.0, answer=completion)


@pytest.fixture(scope="module")
def large_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of some 10 million parameters: activations outweigh what is per token."""
    folder = tmp_path_factory.mktemp("large")
    save_tiny_model(folder, hidden=512, layers=4)
    model, _ = load_model(folder, dtype=torch.float32, device=torch.device("cpu"))
    with torch.no_grad():
        for parameter in model.parameters():
            if (
                parameter.ndim == 2
            ):  # the tiny model's scale, at this width, is all noise in bfloat16
                parameter.mul_(0.1)
    model.save_pretrained(folder)
    return folder


def peak(device: torch.device, model: Path, folder: Path, **options: Any) -> tuple[int, int]:
    """Build a trainer and do two steps; return the bytes of its model, and the most held at once."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    before = held(device)
    trainer = train(
        device, model, folder, **{"trainer_class": FixedCompletions, **SHAPE, **options}
    )
    return sum(p.numel() * p.element_size() for p in trainer.model.parameters()), held(
        device, most=True
    ) - before


def held(device: torch.device, *, most: bool = False) -> int:
    if device.type != "cuda":
        return 0
    read = torch.cuda.max_memory_allocated if most else torch.cuda.memory_allocated
    return int(read(device))


@pytest.mark.parametrize("form", ["paper", "detached"])
def test_positive_entropy_adds_nothing_to_the_peak(
    form: str, device: torch.device, large_dir: Path, tmp_path: Path
) -> None:
    model_bytes, stock = peak(device, large_dir, tmp_path, trainer_class=Stock)
    entropy = {"positive_entropy_coef": 0.1, "positive_entropy_form": form}
    _, with_term = peak(device, large_dir, tmp_path, **entropy)
    assert stock > 4 * model_bytes  # weights, gradients and Adam's two moments are in it
    assert abs(with_term / stock - 1) < 0.01


def test_rehearsal_spares_the_reference_model(
    device: torch.device, large_dir: Path, tmp_path: Path
) -> None:
    settings = PresampleSettings(
        k=2,
        threshold=1,
        batch_size=64,
        max_new_tokens=LENGTH,
        truncated="allow",
        precision="bf16-mixed",
    )
    stored = tmp_path / "set"
    presample(large_dir, Lenient(), out=stored, settings=settings, device=str(device))
    rehearsed = {"rehearsal_set": str(stored), "rehearsal_coef": 0.05}
    model_bytes, rehearsal = peak(device, large_dir, tmp_path, **rehearsed)
    _, penalty = peak(device, large_dir, tmp_path, trainer_class=Stock, beta=0.04)
    assert penalty - rehearsal > 0.95 * model_bytes
