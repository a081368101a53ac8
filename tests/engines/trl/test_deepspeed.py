"""With DeepSpeed's ZeRO-2 and ZeRO-3, the methods train what one process trains.

On CPUs over gloo. Runs where deepspeed is installed; its source builds without a GPU:
``DS_BUILD_OPS=0 DS_ACCELERATOR=cpu pip install --no-build-isolation deepspeed==0.19.8``.
"""

import importlib.util
from pathlib import Path

import pytest
from transformers.integrations import deepspeed as zero

from polypath.engines.trl.setup import whole_models
from tests.engines.trl.comparisons import (
    check_forwards,
    check_log,
    check_parameters,
    check_probes,
    check_resumed,
    found,
)
from tests.engines.trl.layouts import CASES, launch, output_of

STAGES = ("zero2", "zero3")
needs_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None,
    reason="deepspeed is not installed; DS_BUILD_OPS=0 DS_ACCELERATOR=cpu pip install deepspeed",
)

Trained = dict[str, Path]


@pytest.fixture(scope="module")
def trained(
    adder_dir: Path, rehearsal_dir: Path, alone: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    """Return, by stage, the folders of what two processes trained."""
    folders = {stage: tmp_path_factory.mktemp(stage) for stage in STAGES}
    for stage, folder in folders.items():
        output_of(launch(stage, 2, adder_dir, rehearsal_dir, folder))
    return {"one": alone, **folders}


@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", CASES)
def test_zero_trains_the_parameters_of_one_process(case: str, stage: str, trained: Trained) -> None:
    assert found(trained[stage], case)["layout"] == {
        "kind": "DEEPSPEED",
        "processes": 2,
        "stage": int(stage[-1]),
        "split": stage == "zero3",
    }
    check_parameters(trained["one"], trained[stage], case)


@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", CASES)
def test_zero_does_as_many_forwards_in_every_process(
    case: str, stage: str, trained: Trained
) -> None:
    check_forwards(trained[stage], case, 2)


@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", CASES)
def test_zero_logs_what_one_process_does(case: str, stage: str, trained: Trained) -> None:
    check_log(trained["one"], trained[stage], case)


@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES)
def test_zero_probes_what_one_process_does(stage: str, trained: Trained) -> None:
    check_probes(trained["one"], trained[stage])


@needs_deepspeed
@pytest.mark.parametrize("stage", STAGES)
def test_zero_resumes_bit_for_bit(stage: str, trained: Trained) -> None:
    check_resumed(trained[stage])


class ZeRO3:
    def is_zero3(self) -> bool:
        return True


def test_models_beside_the_policy_are_loaded_whole() -> None:
    """ZeRO-3 splits what transformers loads, and only DeepSpeed's own engine would gather it."""
    config = ZeRO3()
    zero.set_hf_deepspeed_config(config)
    try:
        with whole_models():
            assert not zero.is_deepspeed_zero3_enabled()
        assert zero.is_deepspeed_zero3_enabled()
    finally:
        zero.unset_hf_deepspeed_config()
    with whole_models():
        assert not zero.is_deepspeed_zero3_enabled()
    assert not zero.is_deepspeed_zero3_enabled()
