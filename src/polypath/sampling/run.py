"""Sample a split of a task into a run folder, and resume where an earlier call stopped.

A run folder has ``samples/``, a sample store, and with ``greedy`` another store ``greedy/``, with one
greedy sample per problem. A store has samples of one setting only.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from polypath.credentials import hidden
from polypath.errors import ConfigError
from polypath.executor.cluster import RayCluster
from polypath.rollouts import RolloutStore
from polypath.rollouts.sources import GREEDY_FOLDER, SAMPLES_FOLDER
from polypath.sampling.collect import (
    collect_from,
    count_held,
    count_statuses,
    require_same_problems,
)
from polypath.sampling.http import ServerError
from polypath.sampling.opening import open_drawer
from polypath.sampling.ranks import ALONE, Ranks, wait_for
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings, ServerSettings, VllmSettings
from polypath.tasks.base import Task, check_verifier

_RECORDED = ("temperature", "top_p", "top_k", "max_new_tokens", "seed")


@dataclass(frozen=True, kw_only=True)
class SampleSummary:
    """The result of a call of ``sample_run``.

    Attributes:
        folder: the run folder.
        num_problems: number of sampled problems.
        num_samples: samples of each problem that the run now has at least.
        new_samples: number of samples drawn by this call, including greedy ones.
        seconds: duration of the call.
        statuses: status of a verdict -> number of the run's samples with it, including greedy ones.
        missing: number of samples that other processes have yet to draw, including greedy ones.
    """

    folder: str
    num_problems: int
    num_samples: int
    new_samples: int
    seconds: float
    statuses: Mapping[str, int] = field(default_factory=dict)
    missing: int = 0


def sample_run(
    model: str | Path | ServerSettings,
    task: Task,
    *,
    out: str | Path,
    split: str,
    num_samples: int,
    settings: SamplingSettings,
    limit: int | None = None,
    greedy: bool = False,
    device: str | None = None,
    precision: str = "auto",
    engine: VllmSettings | None = None,
    ranks: Ranks = ALONE,
    cluster: RayCluster | None = None,
    console: Console | None = None,
    trust_remote_code: bool = False,
) -> SampleSummary:
    """Draw until a run folder has ``num_samples`` verified samples of every problem of a split.

    Args:
        model: a folder or hub name, sampled in this process; or a server.
        task: supplies the problems and verifies completions.
        out: the run folder. The same call on it resumes. With a larger ``num_samples`` or ``limit`` it
            adds samples. Nothing else that decides the samples may change.
        split: split of the task.
        num_samples: samples per problem, at least 1.
        settings: how to draw.
        limit: sample only the first problems, this many.
        greedy: also draw one greedy sample per problem, at temperature 0.
        device: ``"cpu"`` or ``"cuda"``; by default a GPU if there is one. Not for a server.
        precision: as in ``PresampleSettings``. Not for a server.
        engine: engine to sample with vLLM instead of transformers.
        ranks: which of several processes this is. Rank 0 returns when all samples exist, and the others
            return when they have done their part.
        cluster: cluster whose workers draw and verify, with a model in each. This process stores.
        console: where progress is shown; ``None`` for nowhere.
        trust_remote_code: allow a model that ships its own Python code to run it.

    Raises:
        ConfigError: the folder was made with other settings or problems, there are no problems, or the
            cluster cannot be used: not at all, or not with a server or several processes.
        DataError: a file of the model is damaged, or its chat template fails.
        MissingFileError: the model does not exist.
        MissingExtraError: vLLM is requested and not installed.
        ServerError: the server refused, or could not be reached. The samples drawn so far are stored.
    """
    started = time.monotonic()
    if num_samples < 1:
        raise ConfigError(f"The number of samples must be at least 1, got {num_samples}.")
    problems = task.problems(split, limit)
    if not problems:
        raise ConfigError(f"There are no problems to sample (split {split!r}, limit {limit}).")
    samples = DrawRequest(
        problems=problems, num_samples=num_samples, settings=settings, part=ranks.part
    )
    jobs = [(SAMPLES_FOLDER, samples)]
    if greedy:
        likeliest = replace(settings, temperature=0.0, top_p=1.0, top_k=None)
        jobs.append((GREEDY_FOLDER, replace(samples, num_samples=1, settings=likeliest)))
    console = ranks.console(console)
    check_verifier(task, problems[0])
    new, missing = 0, 0
    statuses: Counter[str] = Counter()
    backend = open_drawer(
        model,
        task,
        ranks,
        cluster,
        device=device,
        precision=precision,
        engine=engine,
        console=console,
        trust_remote_code=trust_remote_code,
    )
    with contextlib.ExitStack() as stack:
        done, failed = [], []
        with backend as opened:
            for folder, request in jobs:
                manifest = replace(
                    opened.manifest,
                    task=task.name,
                    task_options=hidden(task.options),
                    split=split,
                    **{name: getattr(request.settings, name) for name in _RECORDED},
                )
                opening = RolloutStore.create_or_open(Path(out) / folder, manifest, part=ranks.part)
                store = stack.enter_context(opening)
                require_same_problems(store, problems)
                try:
                    new += collect_from(
                        opened.rows(task),
                        store,
                        request,
                        label="sampling" if folder == SAMPLES_FOLDER else "greedy samples",
                        console=console,
                    )
                except ServerError as error:
                    if not error.of_request:
                        raise
                    failed.append(
                        error
                    )  # a prompt that is always refused must not cost the greedy samples
                done.append((store, request.keys()))
        if failed:
            raise failed[0]
        for store, wanted in done:
            if ranks.leads and not ranks.part.is_whole:
                held = partial(count_held, store, wanted)
                label = "samples" if store.path.name == SAMPLES_FOLDER else "greedy samples"
                wait_for(held, len(wanted), label=label, console=console)
            missing += len(wanted) - count_held(store, wanted)
            if ranks.leads:
                statuses.update(count_statuses(store))
    return SampleSummary(
        folder=str(out),
        num_problems=len(problems),
        num_samples=num_samples,
        new_samples=new,
        seconds=time.monotonic() - started,
        statuses=dict(statuses.most_common()),
        missing=missing,
    )
