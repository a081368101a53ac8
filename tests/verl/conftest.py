"""Data, a rehearsal set and the runs that several tests look at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verl.runs import RECIPE, Run, run, shifted

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

PACKED = "actor_rollout_ref.model.use_remove_padding=true"
METHODS = ("+polypath.dra=true", "+polypath.similarity=answer")
METHODS += ("+polypath.positive_entropy_coef=0.1", "+polypath.rehearsal_coef=0.2")
METHODS += ("+polypath.bank=true", "+polypath.bank_coef=0.3")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a chat template and problems, as the recipe makes them."""
    folder = tmp_path_factory.mktemp("data")
    subprocess.run(
        [sys.executable, str(RECIPE.parent / "make_data.py"), str(folder), "128"], check=True
    )
    return folder


@pytest.fixture(scope="session")
def stored(data: Path) -> Path:
    """A rehearsal set, made in verl's environment, without TRL."""
    command = f"presample --model {data}/model --task countdown --limit 128 --out {data}/set"
    options = "--k 8 --threshold 2 --answers-per-problem 2 --max-new-tokens 16 --device cpu"
    subprocess.run(
        [sys.executable, "-m", "polypath", *command.split(), *options.split()], check=True
    )
    return data / "set"


@pytest.fixture(scope="session")
def methods(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Overrides that switch on all methods; the rehearsal set's log-probabilities are off on purpose."""
    folder = shifted(stored, tmp_path_factory.mktemp("sets") / "shifted", 0.5)
    return (*METHODS, f"+polypath.rehearsal_set={folder}", "+polypath.rehearsal_tolerance=10")


@pytest.fixture(scope="session")
def whole(data: Path, methods: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All methods on one worker, packed, two steps."""
    return run(data, tmp_path_factory.mktemp("whole"), *methods, PACKED)
