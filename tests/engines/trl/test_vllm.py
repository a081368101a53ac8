"""Completions from a sampler with log-probabilities of its own: TRL's vLLM branch, vLLM replaced.

The corrections by importance sampling are compared with a gradient computed by hand.
"""

import importlib.util
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file

from polypath.errors import MissingExtraError
from tests.engines.trl import shifted
from tests.engines.trl.helpers import (
    SGD,
    addition_rows,
    coin,
    largest_difference,
    logged,
    parameters,
    train,
)
from tests.engines.trl.shifted import Recorded, Reference, ShiftedSampler, double
from tests.forks import python
from tests.refusals import refused
from tests.rounding import F32, rounding

MODES = ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask")
# Ratios lie between e^-0.5 and e^0.5 by token, e^-2.5 and e^2.5 by sequence: the bounds cut some.
BASE: dict[str, Any] = {
    **SGD,
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_importance_sampling_mode": "token_truncate",
    "vllm_importance_sampling_clip_max": 1.3,
    "vllm_importance_sampling_clip_min": 0.8,
    "loss_type": "grpo",
    "gradient_accumulation_steps": 2,  # two micro-steps of a shuffled generation of 8 rows
    "max_steps": 1,
}


@pytest.fixture(autouse=True)
def sampler(monkeypatch: pytest.MonkeyPatch) -> type[ShiftedSampler]:
    """Put a fresh class in vLLM's place, and return it."""
    stand_in = type("Sampler", (ShiftedSampler,), {})
    monkeypatch.setattr("trl.trainer.grpo_trainer.VLLMGeneration", stand_in)
    return stand_in


def trained(model: Path, folder: Path, **options: Any) -> Any:
    data = Dataset.from_list(addition_rows())
    settings = {**BASE, "data": data, "rewards": coin, "trainer_class": Recorded, **options}
    return train(double(model), folder, **settings)


def by_hand(trainer: Any, model: Path) -> dict[str, torch.Tensor]:
    """Return the parameters after plain gradient steps on the loss by hand."""
    own, reference, rate = double(model), Reference(trainer), trainer.args.learning_rate
    steps = trainer.args.max_steps
    rehearsed = list(getattr(trainer, "rehearsed", []))
    for step in range(steps):
        share = len(rehearsed) // steps
        own.zero_grad()
        reference.loss(own, rehearsed[step * share : (step + 1) * share]).backward()
        with torch.no_grad():
            for parameter in own.parameters():
                parameter -= rate * parameter.grad
    return {name: p.detach() for name, p in own.named_parameters()}


def check(trainer: Any, model: Path) -> None:
    moved = largest_difference(parameters(trainer), dict(double(model).named_parameters()))
    assert moved > 1e-3
    # The sampler's log-probs, of up to 10, and the advantages are float32 in TRL, so that a ratio is off
    # by ten roundings of it; all else here is float64.
    rounded = rounding(100, size=moved, eps=F32)
    assert largest_difference(parameters(trainer), by_hand(trainer, model)) < rounded


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["paper", "detached", "exact"])
def test_the_ratio_weighs_positive_entropy_as_it_does_the_policy_loss(
    mode: str, form: str, adder_dir: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"positive_entropy_coef": 0.5, "positive_entropy_form": form}
    trainer = trained(adder_dir, tmp_path, vllm_importance_sampling_mode=mode, **options)
    ratios = torch.cat([Reference(trainer).ratio(row) for row in trainer.vllm_generation.drawn])
    assert (ratios == 0).any() or not mode.endswith("mask")
    assert ((ratios == 1.3) | (ratios == 0.8)).any() or mode.endswith("mask")
    check(trainer, adder_dir)


METHODS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dra": {"dra": True},
    "rehearsal": {"rehearsal_divergence": "forward_kl_uncentred", "rehearsal_share": 0.5},
    "all": {"dra": True, "positive_entropy_coef": 0.5, "rehearsal_share": 0.5},
    # The second step is off the policy that generated: policy / old is no longer 1.
    "all, two steps a generation": {
        **{"dra": True, "positive_entropy_coef": 0.5, "rehearsal_share": 0.5},
        # Small steps: no ratio may reach its cap, which the loss by hand leaves out.
        **{"num_iterations": 2, "max_steps": 2, "learning_rate": 2e-3},
    },
}


@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_descends_the_gradient_by_hand(
    method: str, correction: bool, adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    options = METHODS[method]
    if "rehearsal_share" in options:
        options = {**options, "rehearsal_set": str(rehearsal_dir), "rehearsal_coef": 0.5}
    trainer = trained(
        adder_dir, tmp_path, vllm_importance_sampling_correction=correction, **options
    )
    assert bool(getattr(trainer, "rehearsed", [])) == ("rehearsal_share" in options)
    check(trainer, adder_dir)


def test_a_sampler_without_a_shift_changes_nothing(
    sampler: type[ShiftedSampler], adder_dir: Path, tmp_path: Path
) -> None:
    sampler.size = 0.0
    options: dict[str, Any] = {"dra": True, "positive_entropy_coef": 0.5}
    on = trained(adder_dir, tmp_path, **options)
    off = trained(adder_dir, tmp_path, vllm_importance_sampling_correction=False, **options)
    # The ratio is e to a float32 log-probability of up to 10 minus another; a step is at most 0.5.
    rounded = rounding(20, size=0.5, eps=F32)
    assert largest_difference(parameters(on), parameters(off)) < rounded
    sampler.size = 0.5
    off_by_some = trained(adder_dir, tmp_path, **options)
    assert largest_difference(parameters(on), parameters(off_by_some)) > 1e-3


def test_what_is_logged_of_the_policy_is_the_trainers_own(
    sampler: type[ShiftedSampler], adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    lines = []
    for size in (0.0, 0.5):
        sampler.size = size
        trainer = trained(
            adder_dir,
            tmp_path,
            dra=True,
            similarity="policy",
            positive_entropy_coef=0.5,
            rehearsal_set=str(rehearsal_dir),
        )
        lines.append(trainer.state.log_history[0])
    alike = [
        name
        for name in lines[0]
        if name.startswith(("diversity/", "entropy", "rehearsal/", "reward"))
        or name == "positive_entropy/cap_fraction"
    ]
    assert {"entropy", "diversity/entropy_correct", "diversity/similarity"} <= set(alike)
    for name in alike:
        assert lines[0][name] == pytest.approx(
            lines[1][name], rel=rounding(50, eps=F32), nan_ok=True
        ), name
    for name in ("positive_entropy/loss", "loss"):
        assert not math.isclose(lines[0][name], lines[1][name], rel_tol=1e-3), name
    told = [line["sampling/sampling_logp_difference/mean"] for line in lines]
    assert told[0] < rounding(1, size=10, eps=F32)
    assert told[1] > 0.1


def test_a_logprob_the_sampler_could_not_tell_is_not_corrected(
    sampler: type[ShiftedSampler], adder_dir: Path, tmp_path: Path
) -> None:
    def silent(self: ShiftedSampler, *args: Any, **options: Any) -> Any:
        prompts, made, logps, ids = ShiftedSampler.generate(self, *args, **options)
        return prompts, made, [[[None] for _ in row] for row in logps], ids

    options: dict[str, Any] = {"dra": True, "positive_entropy_coef": 0.5}
    off = trained(adder_dir, tmp_path, vllm_importance_sampling_correction=False, **options)
    sampler.generate = silent  # type: ignore[method-assign]
    unknown = trained(adder_dir, tmp_path, **options)
    assert largest_difference(parameters(off), parameters(unknown)) < rounding(100)


def test_weights_are_sent_before_every_generation(adder_dir: Path, tmp_path: Path) -> None:
    trainer = trained(adder_dir, tmp_path, max_steps=3, positive_entropy_coef=0.5)
    assert trainer.vllm_generation.synced == 3
    assert len(trainer.vllm_generation.drawn) == 24
    assert len(logged(trainer, "sampling/importance_sampling_ratio/mean")) == 3


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vllm is installed")
def test_without_vllm_the_error_is_one_line(
    adder_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with refused(MissingExtraError, "vLLM", "use_vllm"):
        trained(adder_dir, tmp_path)


def test_two_processes_that_share_every_group_descend_the_gradient_of_one(
    adder_dir: Path, rehearsal_dir: Path, tmp_path: Path
) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    command = [*python(), "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "tests.forks", "-m", "tests.engines.trl.shifted"]
    process = subprocess.Popen(
        [*command, str(adder_dir), str(rehearsal_dir), str(tmp_path / "2")],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        shifted.main(adder_dir, rehearsal_dir, tmp_path / "1")
        output, _ = process.communicate(timeout=200)
    finally:
        process.kill()
    assert process.returncode == 0, output[-4000:]
    for mode in ("token_truncate", "sequence_mask"):
        one, two = (load_file(tmp_path / n / f"{mode}.safetensors") for n in ("1", "2"))
        moved = largest_difference(one, dict(double(adder_dir).named_parameters()))
        assert moved > 1e-3
        assert largest_difference(one, two) < rounding(100, size=moved, eps=F32)
