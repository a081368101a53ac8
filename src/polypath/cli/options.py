"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polypath.tasks.options import key_values

if TYPE_CHECKING:
    from polypath.sampling.ranks import Ranks
    from polypath.sampling.settings import VllmSettings
    from polypath.tasks import Task

TaskOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--task-option",
        help="Option of the task as KEY=VALUE; repeatable. polypath tasks show TASK lists them.",
    ),
]
SummaryOption = Annotated[
    Path | None, typer.Option("--json", help="Write the summary to this file as JSON; - prints it.")
]


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """The problems to sample.

    Attributes:
        task: name of the task, which has the problems and the verifier; polypath tasks lists them.
        task_option: as ``KEY=VALUE``.
        limit: use only the first problems, at most this many.
    """

    task: str = "countdown"
    task_option: TaskOptionsOption = None
    limit: Annotated[int | None, typer.Option(min=1)] = None

    def load(self) -> "Task":
        """Return the task.

        Raises:
            ConfigError: the task or one of its options is unknown.
        """
        from polypath.tasks import get_task

        return get_task(self.task, key_values(self.task_option or ()))


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """What generates completions, and which part of the work this process does.

    Attributes:
        device: where the model runs: cpu or cuda; a GPU by default if there is one.
        backend: what generates completions: transformers, or vllm (offline, needs a GPU).
        tensor_parallel: with --backend vllm: GPUs that share one model, at least 1 [default: 1].
        gpu_memory: with --backend vllm: share of each GPU's memory to use, in (0, 1] [default: 0.9].
        shard: do part I of N, counted from 0; all parts write to one folder; not needed under
            torchrun.
    """

    device: str | None = None
    backend: str = "transformers"
    tensor_parallel: int | None = None
    gpu_memory: float | None = None
    shard: Annotated[str | None, typer.Option(metavar="I/N")] = None

    def engine(self) -> "VllmSettings | None":
        """Return vLLM's settings, or ``None`` for transformers.

        Raises:
            ConfigError: the backend is unknown, or its options do not fit it.
        """
        from polypath.sampling.backends import engine_settings

        return engine_settings(
            self.backend, tensor_parallel=self.tensor_parallel, gpu_memory=self.gpu_memory
        )

    def ranks(self) -> "Ranks":
        """Return this process's part of the work.

        Raises:
            ConfigError: ``--shard`` or the launcher's environment names no part.
        """
        from polypath.sampling.ranks import find_ranks

        return find_ranks(self.shard)
