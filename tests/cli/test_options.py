"""Options that several commands share."""

import pytest

from polypath.cli.options import BackendOptions, TaskOptions
from polypath.errors import ConfigError
from polypath.sampling.settings import VllmSettings


def test_the_backend_decides_the_engine() -> None:
    assert BackendOptions().engine() is None
    assert BackendOptions(backend="vllm").engine() == VllmSettings()
    given = BackendOptions(backend="vllm", tensor_parallel=2, gpu_memory=0.8).engine()
    assert given == VllmSettings(tensor_parallel_size=2, gpu_memory_utilization=0.8)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (BackendOptions(gpu_memory=0.5), "--gpu-memory"),
        (BackendOptions(tensor_parallel=2), "--tensor-parallel"),
        (BackendOptions(backend="vlm"), "'vllm'"),
        (BackendOptions(backend="vllm", gpu_memory=2.0), "2.0"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(options: BackendOptions, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        options.engine()


def test_a_launcher_names_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert BackendOptions().ranks().part.of == 3


def test_options_reach_the_task() -> None:
    with pytest.raises(ConfigError, match="colour"):
        TaskOptions(task="countdown", task_option=["colour=red"]).load()
