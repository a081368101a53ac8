"""With parameters split by accelerate's FSDP2, the methods train what one process trains.

On CPUs over gloo; accelerate's own code, but for one function (layouts.fsdp_on_cpu).
"""

from pathlib import Path

import pytest

from tests.engines.trl.comparisons import (
    check_forwards,
    check_log,
    check_parameters,
    check_probes,
    check_resumed,
    found,
)
from tests.engines.trl.layouts import cases_of, launch, output_of

CASES = cases_of("fsdp2")


@pytest.fixture(scope="module")
def by_two(adder_dir: Path, rehearsal_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what two processes trained."""
    out = tmp_path_factory.mktemp("sharded")
    output_of(launch("fsdp2", 2, adder_dir, rehearsal_dir, out))
    return out


@pytest.mark.parametrize("case", CASES)
def test_split_parameters_train_to_those_of_one_process(
    case: str, by_two: Path, alone: Path
) -> None:
    assert found(by_two, case)["layout"] == {
        "kind": "FSDP",
        "processes": 2,
        "stage": 0,
        "split": True,
    }
    check_parameters(alone, by_two, case)


@pytest.mark.parametrize("case", CASES)
def test_no_process_waits_in_a_forward_that_another_does_not_do(case: str, by_two: Path) -> None:
    check_forwards(by_two, case, 2)


@pytest.mark.parametrize("case", CASES)
def test_split_parameters_log_the_same(case: str, by_two: Path, alone: Path) -> None:
    check_log(alone, by_two, case)


def test_split_parameters_probe_the_same(by_two: Path, alone: Path) -> None:
    check_probes(alone, by_two)


def test_a_resumed_run_ends_bit_for_bit_as_one_that_was_not_stopped(by_two: Path) -> None:
    check_resumed(by_two)
