from pathlib import Path

import pytest

from polypath.rehearsal.presample import PresampleSummary
from polypath.rehearsal.settings import PresampleSettings
from tests.presampling import presample
from tests.rehearsal.adder import Addition, save_adder

SETTINGS = PresampleSettings(batch_size=8, answers_per_problem=2)


@pytest.fixture(scope="session")
def adder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model that half knows its additions."""
    folder = tmp_path_factory.mktemp("adder")
    save_adder(folder)
    return folder


@pytest.fixture(scope="session")
def finished(
    adder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, PresampleSummary]:
    """Return a finished rehearsal set, made without interruption, and its summary. Read only."""
    out = tmp_path_factory.mktemp("finished") / "set"
    return out, presample(adder, Addition(), out=out, settings=SETTINGS)
