"""What only the vLLM backend does, with a stand-in; test_real_vllm.py has the real engine."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from polypath.errors import ConfigError, MissingExtraError
from polypath.rollouts import RolloutManifest, RolloutStore
from polypath.sampling.backends import open_backend
from polypath.sampling.ranks import Ranks, find_ranks
from polypath.sampling.request import DrawRequest
from polypath.sampling.run import sample_run
from polypath.sampling.settings import SamplingSettings, ServerSettings, VllmSettings
from polypath.sampling.vllm import (
    EngineError,
    open_engine,
    own_environment,
    request_seed,
    sample,
)
from polypath.tasks.base import Problem
from tests.rehearsal.adder import Addition

SETTINGS = SamplingSettings(max_new_tokens=4, batch_size=8, temperature=0.9)


def rows_of(out: Path) -> list[dict[str, Any]]:
    rows = [r for b in RolloutStore.open(out).iter_batches() for r in b.to_pylist()]
    return sorted(rows, key=lambda r: (r["problem_id"], r["sample_id"]))


def run(model: Path, out: Path, **options: Any) -> Any:
    asked: dict[str, Any] = {"split": "train", "num_samples": 3, "settings": SETTINGS, "limit": 4}
    engine = VllmSettings(dtype="float32")
    return sample_run(model, Addition(), out=out, **{"engine": engine, **asked, **options})


def test_a_run_goes_on_with_the_samples_it_would_have_drawn(
    vllm_stand_in: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    run(tiny_model_dir, tmp_path / "bits", limit=2, num_samples=2)
    assert run(tiny_model_dir, tmp_path / "bits").new_samples == 8
    assert run(tiny_model_dir, tmp_path / "once").new_samples == 12
    assert rows_of(tmp_path / "bits" / "samples") == rows_of(tmp_path / "once" / "samples")
    assert vllm_stand_in.STARTED[-1].sizes == [8, 4]


def test_the_run_says_what_drew_it_and_mixes_nothing(
    vllm_stand_in: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    del vllm_stand_in
    run(tiny_model_dir, tmp_path, greedy=True)
    made = RolloutManifest.read(tmp_path / "samples" / "manifest.json")
    assert made.backend == "vllm"
    with pytest.raises(ConfigError, match=r"backend='vllm'.*backend='transformers'"):
        run(tiny_model_dir, tmp_path, engine=None)
    plain = run(tiny_model_dir, tmp_path / "t", engine=None, greedy=True)
    assert plain.new_samples == 16
    other = RolloutManifest.read(tmp_path / "t" / "samples" / "manifest.json")
    assert other.model_fingerprint == made.model_fingerprint
    assert other.tokenizer_fingerprint == made.tokenizer_fingerprint
    # Without randomness both draw the same.
    greedy = [rows_of(folder / "greedy") for folder in (tmp_path, tmp_path / "t")]
    assert greedy[0] == greedy[1]


def test_requests_say_all_that_decides_a_sample(
    vllm_stand_in: Any, tiny_model_dir: Path, tmp_path: Path
) -> None:
    settings = SamplingSettings(
        max_new_tokens=4, temperature=0.5, top_p=0.9, top_k=7, seed=3, batch_size=64
    )
    engine = VllmSettings(tensor_parallel_size=2, gpu_memory_utilization=0.5, enforce_eager=True)
    run(tiny_model_dir, tmp_path, settings=settings, engine=engine, precision="float32")
    llm = vllm_stand_in.STARTED[-1]
    assert llm.given == {
        "model": str(tiny_model_dir),
        "tensor_parallel_size": 2,
        "dtype": "float32",
        "seed": 0,
        "gpu_memory_utilization": 0.5,
        "max_model_len": None,
        "enforce_eager": True,
        "generation_config": "vllm",
    }
    first = llm.requests[0]
    assert (first.n, first.temperature, first.top_p, first.top_k) == (1, 0.5, 0.9, 7)
    assert (first.max_tokens, first.detokenize) == (4, False)
    assert first.stop_token_ids == [2]
    assert len({request.seed for request in llm.requests}) == len(llm.requests) == 12


def test_seeds_are_stable_and_far_apart() -> None:
    assert request_seed(0, "p", 0) == request_seed(0, "p", 0)
    seeds = {request_seed(s, p, n) for s in (0, 1) for p in ("p", "q") for n in range(500)}
    assert len(seeds) == 2000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len({seed >> 32 for seed in seeds}) > 1990, "the high bits count as well"


def test_an_extra_end_token_ends_completions_too(
    vllm_stand_in: Any, tiny: tuple[Any, Any], tiny_model_dir: Path
) -> None:
    del vllm_stand_in
    extra = tiny[1].convert_tokens_to_ids("=")
    problem = Problem(problem_id="p", prompt="solve 1 + 1 =", gold="2")
    with open_engine(tiny_model_dir, VllmSettings(), end_ids=[2, extra]) as engine:
        settings = SamplingSettings(max_new_tokens=12)
        request = DrawRequest(problems=[problem], num_samples=20, settings=settings)
        (found,) = sample(engine, tiny[1], request)
    assert any(c.token_ids[-1] == extra and c.finish_reason == "stop" for c in found)
    assert all(extra not in c.token_ids[:-1] for c in found)


def test_each_rank_has_its_own_gpus_and_no_launcher() -> None:
    environ = {
        **{"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "node0", "HOME": "/h"},
        **{"TORCHELASTIC_USE_AGENT_STORE": "True", "CUDA_VISIBLE_DEVICES": "4,5,6,7"},
    }
    ranks = find_ranks(environ)
    for size, devices in ((1, "5"), (2, "6,7"), (4, "4,5,6,7")):
        own = own_environment(size, ranks, environ)
        assert own == {"HOME": "/h", "CUDA_VISIBLE_DEVICES": devices}
    with pytest.raises(ConfigError, match=r"3 to 5.* 4 "):
        own_environment(3, ranks, environ)
    one_each = {**environ, "CUDA_VISIBLE_DEVICES": "6"}
    assert own_environment(1, ranks, one_each)["CUDA_VISIBLE_DEVICES"] == "6"
    assert own_environment(1, Ranks(), {"CUDA_VISIBLE_DEVICES": "1,2"}) == {
        "CUDA_VISIBLE_DEVICES": "1,2"
    }


def test_the_engine_starts_in_that_environment_and_ours_comes_back(
    vllm_stand_in: Any, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "0,1"}
    for name, value in launcher.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with open_engine(tiny_model_dir, VllmSettings(), end_ids=[2], ranks=find_ranks()):
        assert vllm_stand_in.STARTED[-1].devices == "1"
        assert {name: os.environ[name] for name in launcher} == launcher
    assert {**before, **os.environ} == dict(os.environ)


def test_without_vllm_the_error_says_what_to_install(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtraError, match="pip install vllm"):
        run(tiny_model_dir, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tensor_parallel_size": 0}, "tensor_parallel_size"),
        ({"max_model_len": 0}, "max_model_len"),
        ({"gpu_memory_utilization": 0.0}, "gpu_memory_utilization"),
        ({"gpu_memory_utilization": 1.1}, "gpu_memory_utilization"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        VllmSettings(**changes)


def test_a_server_has_no_engine_here() -> None:
    server = ServerSettings(base_url="http://localhost:1/v1", model="m")
    with (
        pytest.raises(ConfigError, match="server"),
        open_backend(server, engine=VllmSettings()),
    ):
        pass


def test_a_build_for_another_device_is_refused(vllm_stand_in: Any, tiny_model_dir: Path) -> None:
    del vllm_stand_in
    with (
        pytest.raises(ConfigError, match=r"'cuda'.*'cpu'"),
        open_backend(tiny_model_dir, device="cpu", engine=VllmSettings()),
    ):
        pass


def test_the_build_for_cpu_is_given_no_gpus() -> None:
    environ = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "HOME": "/h"}
    own = own_environment(1, find_ranks(environ), environ, gpus=False)
    assert own == {"HOME": "/h"}


def test_an_engine_that_fails_is_one_line_and_what_came_before_is_stored(
    vllm_stand_in: Any, tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dead(Exception):
        pass

    generate = vllm_stand_in.LLM.generate

    def fails_second(llm: Any, *args: Any, **options: Any) -> Any:
        if llm.sizes:
            raise Dead("EngineCore encountered an issue.\nSee stack trace above.")
        return generate(llm, *args, **options)

    monkeypatch.setattr(vllm_stand_in.LLM, "generate", fails_second)
    with pytest.raises(EngineError, match=r"could not go on: EngineCore .* See stack .*--gpu-mem"):
        run(tiny_model_dir, tmp_path)
    assert len(rows_of(tmp_path / "samples")) == 8
    monkeypatch.setattr(vllm_stand_in.LLM, "generate", generate)
    assert run(tiny_model_dir, tmp_path).new_samples == 4
    with pytest.raises(EngineError, match="could not start with"):
        run(tiny_model_dir, tmp_path / "other", engine=VllmSettings(dtype="float9"))
