"""A model in the workers of an executor, one in each: they draw and verify, this process stores.

Which samples are drawn together is planned here, as for a model in this process, so the samples are the
same. Nothing but this process writes to a run folder.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from polypath.errors import ConfigError
from polypath.executor.cluster import RayCluster
from polypath.executor.open import open_executor
from polypath.executor.protocol import Executor, Unit, WorkerSettings, results
from polypath.rollouts import Rollout, RolloutManifest
from polypath.sampling.backends import Backend, open_backend
from polypath.sampling.collect import Drawn, DrawRows, verified_rows
from polypath.sampling.model_files import model_blamed
from polypath.sampling.plan import PlannedSample, plan_batches
from polypath.sampling.prompts import Prompt, tokenize_prompts
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings, VllmSettings
from polypath.tasks import get_task
from polypath.tasks.base import Task
from polypath.tasks.shipped import shipped_model


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """What a worker needs to open its model, and its verifier.

    Attributes:
        model: a folder or hub name; every node must find it.
        task: name or place of the task.
        task_options: of the task.
        device, precision, engine, trust_remote_code: as for ``open_backend``.
    """

    model: str
    task: str
    task_options: Mapping[str, str]
    device: str | None = None
    precision: str = "auto"
    engine: VllmSettings | None = None
    trust_remote_code: bool = False


class ModelWorker:
    """What a worker holds: the task, and the model until ``close``."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.task = get_task(settings.task, settings.task_options)
        self._stack = contextlib.ExitStack()
        self.backend: Backend = self._stack.enter_context(
            open_backend(
                settings.model,
                device=settings.device,
                precision=settings.precision,
                engine=settings.engine,
                trust_remote_code=settings.trust_remote_code,
            )
        )

    def close(self) -> None:
        """End vLLM's engine, where there is one."""
        self._stack.close()


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What a worker tells of its model.

    Attributes:
        manifest: what it draws from; how is left open.
        precision: that it computes in.
        context: tokens of a prompt and its completion at most, where the backend tells.
    """

    manifest: RolloutManifest
    precision: str
    context: int | None


# --- units: called in a worker -------------------------------------------------------------------------


def model_facts(worker: ModelWorker) -> ModelFacts:
    """Return what is to be known of the model."""
    from polypath.sampling.loading import resolve_device, resolve_precision

    settings = worker.settings
    precision = resolve_precision(settings.precision, resolve_device(settings.device))
    return ModelFacts(
        manifest=worker.backend.manifest, precision=precision, context=worker.backend.context
    )


def begun(worker: ModelWorker) -> None:
    """Return when the model is loaded."""
    del worker


def tokenized(worker: ModelWorker, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Return the tokens of each prompt."""
    with model_blamed(shipped_model(worker.settings.model)):
        return tokenize_prompts(worker.backend.tokenizer, prompts)


def drawn_rows(
    worker: ModelWorker, batch: list[PlannedSample], settings: SamplingSettings
) -> list[Rollout]:
    """Draw a batch and verify it."""
    assert worker.backend.draw_batch is not None  # a server has none, and is not opened in workers
    with model_blamed(shipped_model(worker.settings.model)):
        completions = worker.backend.draw_batch(batch, settings)
    return verified_rows(completions, worker.task.verify_batch)


# --- in the process of the command ---------------------------------------------------------------------


class RemoteModel:
    """A model in every worker of an executor.

    Args:
        executor: whose workers hold a ``ModelWorker``.

    Attributes:
        manifest: what is drawn from; how is left open.
        precision: that the workers compute in.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        first = Unit(name="the model", function=model_facts)
        # One for every worker, so that all load their model at once.
        others = [Unit(name=f"model {n}", function=begun) for n in range(1, executor.workers)]
        facts: ModelFacts
        (facts,) = [value for _, value in results(executor, [first, *others]) if value is not None]
        self.manifest, self.precision, self._context = (
            facts.manifest,
            facts.precision,
            facts.context,
        )

    def rows(self, task: Task) -> DrawRows:
        """Return what draws and verifies; the workers have the task."""
        del task
        return self._draw

    def call(self, name: str, function: Callable[..., Any], **arguments: Any) -> Any:
        """Have one worker do something, and return what comes of it."""
        unit = Unit(name=name, function=function, arguments=arguments)
        ((_, value),) = results(self._executor, [unit])
        return value

    def _draw(self, request: DrawRequest) -> Iterator[Drawn]:
        """Yield the samples that are not ``done``, batch by batch, as they are finished."""
        prompt_ids = self.call("the prompts", tokenized, prompts=request.prompts)
        batches = plan_batches(request, prompt_ids, self._context)
        places: dict[str, int] = {}

        def units() -> Iterator[Unit]:
            for place, batch in enumerate(batches):
                name = f"batch {place}"
                places[name] = place
                arguments = {"batch": batch, "settings": request.settings}
                yield Unit(name=name, function=drawn_rows, arguments=arguments)

        for unit, rows in results(self._executor, units()):
            yield Drawn(rows, places.pop(unit.name))


@contextlib.contextmanager
def open_remote(
    cluster: RayCluster,
    model: str | Path,
    task: Task,
    *,
    device: str | None = None,
    precision: str = "auto",
    engine: VllmSettings | None = None,
    trust_remote_code: bool = False,
    console: Console | None = None,
) -> Iterator[RemoteModel]:
    """Open a model in the workers of a cluster, and let them go in the end.

    A worker takes one GPU (with vLLM as many as share a model). Where there are none, it takes as many
    CPUs as this process computes with, so that its samples are bit for bit those of this process.

    Args:
        cluster: where.
        model: a folder or a hub name, which every node must find.
        task: verifies in the workers, which build it anew from its name and options.
        device: ``"cpu"`` or ``"cuda"``; GPUs if the cluster has any by default.
        precision: as for ``open_backend``.
        engine: to sample with vLLM.
        trust_remote_code: allow a model that ships its own Python code to run it.
        console: where it is told what the cluster is and loses.

    Raises:
        ConfigError: the task is not one that can be built anew, the cluster cannot be used, or a node lacks
            what the command has.
        MissingExtraError: Ray, or vLLM on a node, is not installed.
    """
    import torch

    _require_rebuilt(task)
    how = ModelSettings(
        model=str(model),
        task=task.name,
        task_options=dict(task.options),
        device=device,
        precision=precision,
        engine=engine,
        trust_remote_code=trust_remote_code,
    )
    wants_gpu = device is None or device.startswith("cuda")
    settings = WorkerSettings(
        cpus=torch.get_num_threads(),
        gpus=(1 if engine is None else engine.tensor_parallel_size) if wants_gpu else 0,
        gpus_if_any=device is None,
        state=partial(ModelWorker, how),
    )

    def say(line: str) -> None:
        if console is not None:
            console.out(line, highlight=False)

    with open_executor(cluster, settings, say=say) as executor:
        yield RemoteModel(executor)


def _require_rebuilt(task: Task) -> None:
    try:
        get_task(task.name, task.options)
    except ConfigError as error:
        raise ConfigError(
            f"Workers of a cluster build the task anew from its name, which fails for {task.name!r}: {error} "
            "Name a task by its place, path/to/file.py:factory."
        ) from None
