"""Options that several commands share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypath.cli.runs import (
    RayOption,
    RayWorkersOption,
    TaskOptionsOption,
    chosen_cluster,
)
from polypath.errors import ConfigError, unknown_name
from polypath.sampling.settings import VllmSettings
from polypath.settings import setting
from polypath.tasks.options import key_values

if TYPE_CHECKING:
    from rich.console import Console

    from polypath.executor.cluster import RayCluster
    from polypath.sampling.ranks import Ranks
    from polypath.tasks import Task

BACKENDS = ("transformers", "vllm")


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """A task and how many of its problems to use."""

    task: str | None = setting(
        None,
        "Task: the problems and their verifier. A name from polypath tasks, or your own task as "
        "path/to/file.py:function, module:function or a YAML file; countdown by default. Mathematics needs "
        "polypath[math], and SQL polypath[sql].",
    )
    task_option: TaskOptionsOption = None
    limit: Annotated[int | None, typer.Option(min=1)] = setting(
        None, "Use at most this many problems, from the first on."
    )

    def load(self) -> "Task":
        """Return the task."""
        from polypath.tasks import get_task

        return get_task(self.task or "countdown", key_values(self.task_option or ()))


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """What generates completions, and which part of the work this process does."""

    device: str | None = setting(None, "Device: cpu or cuda; by default a GPU if there is one.")
    backend: str = setting(
        "transformers",
        "What generates completions: transformers, or vllm (needs a GPU and polypath[vllm]).",
    )
    tensor_parallel: int | None = setting(
        None, "With --backend vllm: number of GPUs that share one model; 1 by default."
    )
    gpu_memory: float | None = setting(
        None,
        "With --backend vllm: fraction of each GPU's memory to use, in (0, 1]; 0.9 by default.",
    )
    trust_remote_code: bool = setting(
        False,
        "Run Python code that comes with the model. Without this option such a model is refused.",
    )
    ray: RayOption = None
    workers: RayWorkersOption = None

    def engine(self) -> VllmSettings | None:
        """Return vLLM's settings, or ``None`` for transformers.

        Raises:
            ConfigError: the backend is unknown, or has no such options.
        """
        if self.backend not in BACKENDS:
            raise unknown_name("backend", self.backend, BACKENDS)
        given: dict[str, Any] = {
            "tensor_parallel_size": self.tensor_parallel,
            "gpu_memory_utilization": self.gpu_memory,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if self.backend == "vllm":
            return VllmSettings(**given)
        if given:
            raise ConfigError("--tensor-parallel and --gpu-memory are for --backend vllm.")
        return None

    def ranks(self) -> "Ranks":
        """Return this process's part of the work, as a launcher says."""
        from polypath.sampling.ranks import find_ranks

        return find_ranks()

    def cluster(self, console: "Console", *, server: bool = False) -> "RayCluster | None":
        """Return the Ray cluster to use, if there is one; see ``chosen_cluster``."""
        reason = ""
        if not self.ranks().part.is_whole:
            reason = "several processes share the work already"
        elif server:
            reason = "the server of --base-url draws by itself"
        return chosen_cluster(self.ray, self.workers, console, unless=reason)
