"""Four processes that share every group train the parameters of one, and log the same.

Two processes do so under every launcher in tests/cli/test_launch.py and with vLLM in test_vllm.py.
"""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.engines.trl.comparisons import (
    check_forwards,
    check_log,
    check_parameters,
    check_probes,
    found,
)
from tests.engines.trl.helpers import largest_difference, step_rounding
from tests.engines.trl.layouts import CASES, launch, output_of

SEVERAL = (4,)

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
    launched = [launch("ddp", n, adder_dir, rehearsal_dir, folders[n]) for n in SEVERAL]
    alone: Path = request.getfixturevalue("alone")  # trains while the others start
    for process in launched:
        output_of(process)
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


def steps_of(told: dict[str, Any], way: str) -> list[list[list[int]]]:
    """Return, by optimizer step, the parts of all processes and both micro-steps."""
    by_process = told[way]
    assert len({len(parts) for parts in by_process}) == 1
    return [
        [parts[2 * step + micro] for micro in range(2) for parts in by_process]
        for step in range(len(by_process[0]) // 2)
    ]


@pytest.mark.parametrize("processes", [1, *SEVERAL])
def test_processes_rehearse_rows_of_their_own_evenly_and_each_once_an_epoch(
    processes: int, trained: Trained
) -> None:
    told = found(trained[processes], "rows")
    steps = steps_of(told, "straight")
    assert len(steps) == 6
    for parts in steps:
        assert [len(part) for part in parts] == [8 // len(parts)] * len(parts)
        assert len(parts) == 2 * processes
    stream = [row for parts in steps for part in parts for row in part]
    size = told["set"]
    assert 8 < size < len(stream)
    assert sorted(stream[:size]) == list(range(size))
    assert len(set(stream[size:])) == len(stream[size : 2 * size])


@pytest.mark.parametrize("processes", [1, *SEVERAL])
def test_rows_of_a_step_are_those_of_one_process_also_after_resuming(
    processes: int, trained: Trained
) -> None:
    told = found(trained[processes], "rows")
    alone = [[row for part in parts for row in part] for parts in steps_of_alone(trained)]
    straight, resumed = (
        [[row for part in parts for row in part] for parts in steps_of(told, way)]
        for way in ("straight", "resumed")
    )
    assert straight == alone
    assert resumed == alone[4:]


def steps_of_alone(trained: Trained) -> list[list[list[int]]]:
    return steps_of(found(trained[1], "rows"), "straight")


def test_the_cases_differ_from_each_other(trained: Trained) -> None:
    made = [load_file(trained[1] / f"{case}.safetensors") for case in ("ngram", "answer", "policy")]
    assert largest_difference(made[0], made[1]) > 10 * step_rounding(made[0])
    assert largest_difference(made[0], made[2]) > 10 * step_rounding(made[0])


def test_adapters_are_all_that_moves(trained: Trained, adder_dir: Path) -> None:
    made = load_file(trained[1] / "all, adapters.safetensors")
    base = load_file(adder_dir / "model.safetensors")
    adapters = {name: tensor for name, tensor in made.items() if "lora_" in name}
    assert len(adapters) == 8  # two matrices in two modules of two layers
    for name, tensor in adapters.items():
        assert "lora_A" in name or tensor.any(), name  # B began as 0
    frozen = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): tensor
        for name, tensor in made.items()
        if name not in adapters
    }
    assert largest_difference(frozen, {name: base[name] for name in frozen}) == 0
