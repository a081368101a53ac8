"""The batch script for Slurm is bash, and what it calls exists. Slurm itself is not here."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "slurm_ray.sh"


def test_the_script_is_bash():
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    subprocess.run([bash, "-n", str(SCRIPT)], check=True)


def test_ray_has_the_command_and_the_options_that_the_script_uses():
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'polypath[ray]')")
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    for words, names in (
        (["symmetric-run"], ["--address", "--min-nodes"]),
        (["start"], ["--num-cpus", "--include-dashboard"]),
    ):
        told = subprocess.run([*ray, *words, "--help"], capture_output=True, text=True, check=True)
        assert [name for name in names if name not in told.stdout] == []
        text = SCRIPT.read_text(encoding="utf-8")
        assert [name for name in names if name not in text] == []
