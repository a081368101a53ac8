"""Two processes, and four, that share every group train the parameters of one, and log the same."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.engines.trl.comparisons import (
    TOLERANCE,
    check_forwards,
    check_log,
    check_parameters,
    check_probes,
)
from tests.engines.trl.helpers import largest_difference
from tests.engines.trl.layouts import CASES, launch

SEVERAL = (2, 4)

Trained = dict[int, Path]


@pytest.fixture(scope="module")
def trained(
    adder_dir: Path,
    rehearsal_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Trained:
    """Return, by number of processes, the folders of what they trained."""
    folders = {n: tmp_path_factory.mktemp(f"by{n}") for n in SEVERAL}
    launched = {n: launch("ddp", n, adder_dir, rehearsal_dir, folders[n]) for n in SEVERAL}
    try:
        alone: Path = request.getfixturevalue("alone")  # trains while the others start
        for process in launched.values():
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output[-5000:]
    finally:
        for process in launched.values():
            process.kill()
    return {1: alone, **folders}


@pytest.mark.parametrize("processes", SEVERAL)
@pytest.mark.parametrize("case", CASES)
def test_several_processes_train_the_parameters_of_one(
    case: str, processes: int, trained: Trained
) -> None:
    check_parameters(trained[1], trained[processes], case)


@pytest.mark.parametrize("processes", SEVERAL)
@pytest.mark.parametrize("case", CASES)
def test_every_process_does_as_many_forwards_as_the_others(
    case: str, processes: int, trained: Trained
) -> None:
    check_forwards(trained[processes], case, processes)


@pytest.mark.parametrize("processes", SEVERAL)
@pytest.mark.parametrize("case", CASES)
def test_several_processes_log_what_one_does(case: str, processes: int, trained: Trained) -> None:
    check_log(trained[1], trained[processes], case)


@pytest.mark.parametrize("processes", SEVERAL)
def test_several_processes_probe_what_one_does(processes: int, trained: Trained) -> None:
    check_probes(trained[1], trained[processes])


def test_the_cases_differ_from_each_other(trained: Trained) -> None:
    made = [load_file(trained[1] / f"{case}.safetensors") for case in ("ngram", "answer", "policy")]
    assert largest_difference(made[0], made[1]) > 10 * TOLERANCE
    assert largest_difference(made[0], made[2]) > 10 * TOLERANCE


def test_adapters_are_all_that_moves(trained: Trained, adder_dir: Path) -> None:
    made = load_file(trained[1] / "all, adapters.safetensors")
    base = load_file(adder_dir / "model.safetensors")
    adapters = {name: tensor for name, tensor in made.items() if "lora_" in name}
    assert len(adapters) == 8  # two matrices in two modules of two layers
    for name, tensor in adapters.items():
        assert "lora_A" in name or float(tensor.abs().max()) > 10 * TOLERANCE, name  # B began as 0
    frozen = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): tensor
        for name, tensor in made.items()
        if name not in adapters
    }
    assert largest_difference(frozen, {name: base[name] for name in frozen}) == 0
