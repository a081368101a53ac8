"""From an initial policy and a task to a rehearsal set on disk. It can be resumed at any point.

Steps: k samples -> verify -> count -> one more sample of near-perfect problems -> partition -> reference
log-probs -> write.
Samples are stored in ``samples/`` as they are drawn. Everything else is computed from them at the end, in
one go, and the manifest is written last. A kill at any moment costs one batch of samples, or the reference
log-probs (one forward per stored answer). Several processes may share the sampling. One process does the
rest.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from polypath.credentials import hidden
from polypath.errors import ConfigError
from polypath.executor.cluster import RayCluster
from polypath.rehearsal import dataset
from polypath.rehearsal.dataset import RehearsalSet
from polypath.rehearsal.keys import problems_key
from polypath.rehearsal.partition import count_correct, near_perfect_candidates
from polypath.rehearsal.samples import read_samples
from polypath.rehearsal.settings import PresampleSettings
from polypath.rehearsal.summary import PresampleSummary, summarize, unfinished
from polypath.rehearsal.write_set import (
    CompletionLogps,
    PresampleRun,
    Reference,
    reference,
    write_set,
)
from polypath.rollouts import RolloutStore
from polypath.rollouts.files import remove_leftovers
from polypath.sampling.backends import Backend
from polypath.sampling.collect import (
    collect_from,
    count_held,
    count_statuses,
    require_same_problems,
)
from polypath.sampling.loading import resolve_device, resolve_precision
from polypath.sampling.opening import open_drawer
from polypath.sampling.ranks import ALONE, Ranks, wait_for
from polypath.sampling.remote import ModelWorker, RemoteModel
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import VllmSettings
from polypath.tasks.base import Problem, Task, check_verifier

SAMPLES_NAME = "samples"


def presample(
    model: str | Path,
    task: Task,
    *,
    out: str | Path,
    completion_logps: CompletionLogps,
    split: str = "train",
    limit: int | None = None,
    problems: Sequence[Problem] | None = None,
    settings: PresampleSettings | None = None,
    device: str | None = None,
    engine: VllmSettings | None = None,
    ranks: Ranks = ALONE,
    cluster: RayCluster | None = None,
    console: Console | None = None,
    trust_remote_code: bool = False,
) -> PresampleSummary:
    """Make a rehearsal set, or resume making one.

    Args:
        model: the initial policy: a folder or a hub name.
        task: verifies completions, and supplies the problems unless ``problems`` does.
        out: folder of the rehearsal set. The same call on it resumes. Settings that decide the samples may
            not change then. Others, such as ``threshold``, may change until the set is finished.
        completion_logps: forward pass of the engine that will train. It computes the reference
            log-probs: ``polypath.engines.trl.completion_logps`` for TRL.
        split: split of the task; a name for the record when ``problems`` is given.
        limit: sample only the first problems, this many.
        problems: problems to sample in place of the task's own, for example from ``read_problems``.
        settings: settings of the set. The defaults are the paper's for Llama-3.1-8B-Instruct, except that a
            problem whose extra sample fails is explored rather than dropped.
        device: ``"cpu"`` or ``"cuda"``; by default a GPU if there is one.
        engine: engine to sample with vLLM instead of transformers. The reference log-probs come from
            training's own forward.
        ranks: which of several processes this is. Rank 0 makes the set, and the others return when they
            have done their part.
        cluster: cluster whose workers sample, with a model in each. One of them computes the reference
            log-probs. This process stores.
        console: where progress is shown; ``None`` for nowhere.
        trust_remote_code: allow a model that ships its own Python code to run it.

    Raises:
        ConfigError: settings differ from those of the folder, no problem is near-perfect, there is no
            problem, or the cluster cannot be used.
        DataError: the folder contains something else or damaged files, or a file of the model is damaged.
        MissingFileError: the model does not exist.
        MissingExtraError: vLLM is requested and not installed.
    """
    started = time.monotonic()
    settings = settings or PresampleSettings()
    if settings.max_new_tokens is None:
        settings = replace(settings, max_new_tokens=task.max_completion_length)
    chosen = list(task.problems(split, limit) if problems is None else problems)[:limit]
    if not chosen:
        raise ConfigError(f"There are no problems to sample (split {split!r}, limit {limit}).")
    if cluster is None:
        where = resolve_device(device, ranks.local_rank)
        settings = replace(settings, precision=resolve_precision(settings.precision, where))
    console = ranks.console(console)
    folder = Path(out)
    if (folder / dataset.MANIFEST_NAME).exists():
        finished = RehearsalSet.load(folder).manifest
        if settings.precision == "auto":  # the workers' own, none of which is up
            settings = replace(settings, precision=finished.precision)
        identity: dict[str, Any] = {
            "model": str(model),
            "task": task.name,
            "split": split,
            "task_options": hidden(task.options),
            "problems_key": problems_key(chosen),
        }
        finished.require_same(identity, asdict(settings), folder)
        if console is not None:
            console.out(f"{folder} is already complete; there is nothing to do.", highlight=False)
        return summarize(folder, finished, new_samples=0, started=started, already_complete=True)
    check_verifier(task, chosen[0])
    backend = open_drawer(
        model,
        task,
        ranks,
        cluster,
        device=device,
        precision=settings.precision,
        engine=engine,
        console=console,
        trust_remote_code=trust_remote_code,
    )
    with contextlib.ExitStack() as stack:
        models = stack.enter_context(contextlib.ExitStack())
        opened = models.enter_context(backend)
        if isinstance(opened, RemoteModel):
            settings = replace(settings, precision=opened.precision)
        run = PresampleRun(
            model_name=str(model),
            task=task,
            split=split,
            problems=chosen,
            settings=settings,
            out=folder,
            ranks=ranks,
            console=console,
        )
        made_by = run.rollout_manifest(opened.manifest)
        store = stack.enter_context(
            RolloutStore.create_or_open(folder / SAMPLES_NAME, made_by, part=ranks.part)
        )
        new_samples, missing = _sample(run, opened, store)
        if missing or not ranks.leads:
            return unfinished(folder, len(chosen), missing, new_samples, started)
        remove_leftovers(folder)
        how: dict[str, Any] = {"settings": settings, "completion_logps": completion_logps}
        if isinstance(opened, RemoteModel):
            refer = partial(opened.call, "the reference log-probs", _reference_there, **how)
        else:
            models.close()  # before training's forward: ends autocast, and frees the GPU that vLLM filled
            refer = partial(
                reference,
                str(model),
                opened.model,
                opened.tokenizer,
                device=resolve_device(device, ranks.local_rank),
                console=console,
                trust_remote_code=trust_remote_code,
                **how,
            )
        manifest = write_set(run, refer, store)
        statuses = count_statuses(store)
    return summarize(
        folder,
        manifest,
        new_samples=new_samples,
        started=started,
        already_complete=False,
        statuses=statuses,
    )


def _reference_there(worker: ModelWorker, **how: Any) -> Reference:
    """Compute reference log-probs in a worker, with the model that drew if it can serve for both."""
    worker.close()  # ends autocast, and frees the GPU that vLLM filled
    return reference(
        worker.settings.model,
        worker.backend.model,
        worker.backend.tokenizer,
        device=resolve_device(worker.settings.device),
        trust_remote_code=worker.settings.trust_remote_code,
        **how,
    )


def _sample(
    run: PresampleRun, backend: Backend | RemoteModel, store: RolloutStore
) -> tuple[int, int]:
    """Draw until the store has all samples that the settings require.

    Returns:
        How many were drawn here, and how many others have yet to draw; 0 if all exist.
    """
    settings = run.settings
    require_same_problems(store, run.problems)
    request = DrawRequest(
        problems=run.problems,
        num_samples=settings.k,
        settings=settings.sampling(settings.max_new_tokens or 0),
        part=run.ranks.part,
    )
    new, missing = _draw(run, backend, store, request)
    if missing:
        return new, missing
    counts = count_correct(request.problem_ids, read_samples(store), settings)
    candidates = set(near_perfect_candidates(counts, settings))
    if settings.confirm:
        again = replace(
            request,
            problems=[p for p in run.problems if p.problem_id in candidates],
            num_samples=settings.confirm,
            first_sample_id=settings.k,
        )
        extra, missing = _draw(run, backend, store, again)
        new += extra
    return new, missing


def _draw(
    run: PresampleRun, backend: Backend | RemoteModel, store: RolloutStore, request: DrawRequest
) -> tuple[int, int]:
    """Draw this process's part of some samples, and wait for the others' parts under a launcher."""
    new = collect_from(
        backend.rows(run.task),
        store,
        request,
        label="confirming" if request.first_sample_id else "sampling",
        console=run.console,
    )
    wanted = request.keys()
    held = partial(count_held, store, wanted)
    # All samples of the first round decide which problems are sampled once more, so every rank waits.
    if not request.part.is_whole and (run.ranks.leads or not request.first_sample_id):
        wait_for(held, len(wanted), label="samples", console=run.console)
    return new, len(wanted) - held()
