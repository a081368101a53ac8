"""Where the GPU's tests run: on the first GPU, or where POLYPATH_GPU_TESTS_DEVICE says.

``POLYPATH_GPU_TESTS_DEVICE=cpu`` tries the tests themselves on a machine without a GPU; only those
that need CUDA's memory statistics are then left out.
"""

import os
from pathlib import Path

import pytest
import torch
from transformers import TrainingArguments

from polypath.rehearsal.settings import PresampleSettings
from tests.presampling import presample
from tests.rehearsal.adder import Addition, save_adder

VARIABLE = "POLYPATH_GPU_TESTS_DEVICE"
REASON = f"needs a CUDA GPU, and torch sees none ({VARIABLE}=cpu tries the tests on the CPU)"


def tested_device() -> torch.device | None:
    """Return the device under test, None if there is none."""
    asked = os.environ.get(VARIABLE) or ("cuda" if torch.cuda.is_available() else None)
    return torch.device(asked) if asked else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip this folder's tests, for one reason, where there is no device for them."""
    if tested_device() is None:
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Return the device under test."""
    found = tested_device()
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def _one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep Trainer from spreading a process over several GPUs (nn.DataParallel)."""
    if torch.cuda.device_count() > 1:
        monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda _: 1))


@pytest.fixture(autouse=True)
def _quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Keep the trainers' printed logs out of the report of a failing test."""
    del capsys


@pytest.fixture
def memory_statistics(device: torch.device) -> None:
    """Skip where the allocator keeps no record of its peak."""
    if device.type != "cuda":
        pytest.skip("memory statistics are CUDA's")


@pytest.fixture(scope="session")
def adder_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that masters some additions and misses others."""
    folder = tmp_path_factory.mktemp("adder")
    save_adder(folder)
    return folder


def rehearsal_set(model: Path, folder: Path, device: torch.device, precision: str) -> Path:
    """Make a rehearsal set of the adder on the device."""
    settings = PresampleSettings(k=4, threshold=3, batch_size=256, precision=precision)
    presample(model, Addition(), out=folder, settings=settings, device=str(device))
    return folder


@pytest.fixture(scope="session")
def full_set(
    adder_dir: Path, device: torch.device, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a rehearsal set made on the device in float32."""
    return rehearsal_set(adder_dir, tmp_path_factory.mktemp("full") / "set", device, "float32")


@pytest.fixture(scope="session")
def mixed_set(
    adder_dir: Path, device: torch.device, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a rehearsal set made on the device in bfloat16 autocast, as training there is."""
    return rehearsal_set(adder_dir, tmp_path_factory.mktemp("mixed") / "set", device, "bf16-mixed")
