"""Fixtures shared by the whole suite: everything runs on CPU, offline, and builds its own models."""

import os
import random

# Before torch or a hub client is imported anywhere: no network, one thread (tiny models lose time
# to thread hand-over), no progress bars in captured output.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("ACCELERATE_USE_CPU", "true")
os.environ.pop("COLUMNS", None)  # of some terminal, or xdist's: tables are as wide as in a file

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.tiny import save_tiny_model

# No time limit per example: the first one of a test pays for start-up, and a busy machine is slow.
# The same examples in every run, so that a failure is about the change at hand; `make test-random`
# draws others, with pytest's --hypothesis-profile.
settings.register_profile("polypath", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("polypath")

# Fixtures that take seconds and are shared by tests, and files with such fixtures of any name: with two
# workers each would be made twice.
SHARED = (
    "alone",
    "finished_study",
    "finished",
    "plain_run",
    "straight",
    "runs",
    "outs",
    "verdicts",
)
TOGETHER = (
    "test_page.py",
    "test_figures.py",
    "test_own_methods.py",
    "test_published.py",
    "test_embedding.py",
    "test_math_data.py",
    "test_train_countdown_base.py",
    "test_train_small_sql_base.py",
    "test_backends.py",
    "test_memory.py",
)
ORDER = os.environ.get("POLYPATH_TEST_ORDER")  # a seed, from `make test-shuffled`


def pytest_report_header() -> str | None:
    """Name the order, so that a failing one can be repeated."""
    return f"tests in another order: POLYPATH_TEST_ORDER={ORDER}" if ORDER else None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Shuffle files, and tests within a file, so that shared fixtures are still made once.

    Tests that share a fixture of their file or folder go to one worker of xdist, for the same reason.
    """
    if ORDER:
        draw = random.Random(ORDER)
        place = {item.path: draw.random() for item in items}
        items.sort(key=lambda item: (place[item.path], draw.random()))
    for item in items:
        shared = [name for name in item.fixturenames if name in SHARED]  # type: ignore[attr-defined]
        if shared:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}/{shared[0]}"))
        elif item.path.name in TOGETHER:
            item.add_marker(pytest.mark.xdist_group(item.path.name))


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a random 2-layer Llama and a 40-token tokenizer with chat template."""
    folder = tmp_path_factory.mktemp("tiny_model")
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def vllm_stand_in() -> Iterator[Any]:
    """Put the stand-in in the place of ``vllm``, and return it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _vllm_modules():
            patch.delitem(sys.modules, name)
        patch.syspath_prepend(Path(__file__).parent / "sampling" / "stand_in")
        import vllm  # type: ignore[import-not-found, unused-ignore]

        assert "stand_in" in str(vllm.__file__)
        yield vllm
        for name in _vllm_modules():
            del sys.modules[name]


def _vllm_modules() -> list[str]:
    return [name for name in sys.modules if name == "vllm" or name.startswith("vllm.")]
