"""The core stands on its own: no trainer below it."""

import subprocess
import sys
from pathlib import Path

import polypath.core

FOLDER = Path(polypath.core.__file__).parent


def test_the_core_imports_neither_trl_nor_transformers():
    modules = [f"polypath.core.{path.stem}" for path in FOLDER.glob("*.py")]
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name.removesuffix('.__init__'))\n"
        "    for foreign in ('trl', 'transformers', 'accelerate'):\n"
        "        assert foreign not in sys.modules, name + ' imports ' + foreign\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
