"""Fixtures shared by the whole suite: everything runs on CPU, offline, and builds its own models."""

import gc
import os
import random

# Before torch or a hub client is imported anywhere: no network, one thread (tiny models lose time
# to thread hand-over), no progress bars in captured output.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("ACCELERATE_USE_CPU", "true")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process compiles the package again
os.environ.pop("COLUMNS", None)  # of some terminal, or xdist's: tables are as wide as in a file

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import forks
from tests.tiny import save_tiny_model

# No time limit per example: the first one of a test pays for start-up, and a busy machine is slow.
# The same examples in every run, so that a failure is about the change at hand; `make test-random`
# draws others, with pytest's --hypothesis-profile.
settings.register_profile("polypath", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("polypath")
gc.disable()  # until all is imported: pytest_collection_finish
sys.dont_write_bytecode = False

# Files that share what takes long to make, by its name: with two workers each would make it. Each other
# file is handed out by itself.
TOGETHER = {
    "tests/engines/trl/test_processes.py": "alone",
    "tests/engines/trl/test_sharded.py": "alone",
    "tests/engines/trl/test_deepspeed.py": "alone",
    "tests/scripts/test_make_small_sql.py": "all_questions",
    "tests/scripts/test_train_small_sql_base.py": "all_questions",
    "tests/studies/test_pack.py": "finished_study",
    "tests/studies/test_study.py": "finished_study",
    "tests/studies/test_study_models.py": "finished_study",
    "tests/studies/test_study_plan.py": "finished_study",
}
# The longest first, so that no worker is left with one at the end.
FIRST = (
    "tests/executor/test_ray.py",
    "tests/studies/test_study_tuning.py",
    "tests/engines/trl/test_processes.py",
    "tests/studies/test_study.py",
    "tests/studies/test_quickstart.py",
    "tests/test_benchmarks.py",
    "tests/verify/test_math_data.py",
    "tests/train/test_checkpoints.py",
    "tests/sampling/test_backends.py",
    "tests/train/test_published.py",
    "tests/plan/test_memory.py",
    "tests/verify/test_math_hostile.py",
    "tests/report/test_page.py",
    "tests/cli/test_launch.py",
    "tests/train/test_resume.py",
    "tests/test_new_user.py",
    "tests/test_pages.py",
)
ORDER = os.environ.get("POLYPATH_TEST_ORDER")  # a seed, from `make test-shuffled`


def pytest_report_header() -> str | None:
    """Name the order, so that a failing one can be repeated."""
    return f"tests in another order: POLYPATH_TEST_ORDER={ORDER}" if ORDER else None


def file_of(nodeid: str) -> str:
    return nodeid.split("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out files in the order of collection: tests of one file share fixtures of many seconds."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return TOGETHER.get(file_of(nodeid), file_of(nodeid))

    config.option.loadscopereorder = False  # to the files with the most tests first
    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, or shuffle files, and tests within a file."""
    if ORDER:
        draw = random.Random(ORDER)
        place = {item.path: draw.random() for item in items}
        items.sort(key=lambda item: (place[item.path], draw.random()))
    else:
        place = {name: number for number, name in enumerate(FIRST)}
        items.sort(key=lambda item: place.get(file_of(item.nodeid), len(FIRST)))


def pytest_sessionfinish() -> None:
    """End what the tests started."""
    forks.stop()


def pytest_collection_finish() -> None:
    """Collect garbage from now on, but not what is imported: every ``train`` call looks at all there is."""
    gc.freeze()
    gc.enable()


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
