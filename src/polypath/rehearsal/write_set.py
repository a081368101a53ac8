"""The last step of presampling: partition, compute reference log-probs, and write the set."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console

from polypath.credentials import hidden
from polypath.rehearsal import dataset
from polypath.rehearsal.dataset import PartitionRow
from polypath.rehearsal.keys import problems_key, prompt_key
from polypath.rehearsal.manifest import RehearsalManifest
from polypath.rehearsal.partition import Assignment, ProblemSet, histogram, partition
from polypath.rehearsal.samples import read_samples, read_tokens
from polypath.rehearsal.settings import PresampleSettings
from polypath.rollouts import RolloutManifest, RolloutStore, encode_prompt
from polypath.sampling.loading import PRECISIONS, load_model
from polypath.sampling.progress import ProgressReport
from polypath.sampling.prompts import Prompt, tokenize_prompts
from polypath.sampling.ranks import Ranks
from polypath.sampling.transformers import pad_token_id
from polypath.tasks.base import Problem, Task

# Log-probs of completions by the forward pass of the engine that will train. It is called with the model
# and token ids of prompts and completions; temperature, pad_token_id, batch_size, autocast and progress are
# passed by name. It returns a float32 CPU tensor per completion, like polypath.engines.trl.completion_logps.
CompletionLogps = Callable[..., list[torch.Tensor]]


@dataclass(kw_only=True)
class PresampleRun:
    """Values that the steps of one call of ``presample`` share."""

    model_name: str
    task: Task
    split: str
    problems: Sequence[Problem]
    settings: PresampleSettings
    out: Path
    ranks: Ranks
    console: Console | None

    def rollout_manifest(self, identity: RolloutManifest) -> RolloutManifest:
        """Return the manifest of the samples that are drawn from ``identity``."""
        sampling = self.settings.sampling(self.settings.max_new_tokens or 0)
        return replace(
            identity,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_new_tokens=sampling.max_new_tokens,
            seed=sampling.seed,
            task=self.task.name,
            split=self.split,
            task_options=hidden(self.task.options),
        )


class Reference(NamedTuple):
    """What the forward of training says of chosen answers.

    Attributes:
        prompt_ids: tokens of each answer's prompt.
        logps: reference log-probs of each answer's tokens, float32.
        vocab_size: of the model.
    """

    prompt_ids: list[list[int]]
    logps: list[torch.Tensor]
    vocab_size: int


def reference(
    model_name: str,
    model: Any,
    tokenizer: Any,
    *,
    prompts: Sequence[Prompt],
    completions: Sequence[list[int]],
    settings: PresampleSettings,
    completion_logps: CompletionLogps,
    device: torch.device,
    console: Console | None = None,
    trust_remote_code: bool = False,
) -> Reference:
    """Compute the reference log-probs of answers.

    Args:
        model_name: folder or hub name of the initial policy.
        model: the policy, if it is loaded; loaded here if ``None``.
        tokenizer: its tokenizer, likewise.
        prompts: of each answer.
        completions: token ids of each answer.
        settings: how, with a resolved precision.
        completion_logps: the forward of the engine that will train.
        device: that the policy is loaded to.
        console: where progress goes; ``None`` for nowhere.
        trust_remote_code: allow a model that ships its own Python code to run it.

    Raises:
        DataError, MissingFileError, ConfigError: as ``load_model``.
    """
    dtype, autocast = PRECISIONS[settings.precision]
    if model is None:
        model, tokenizer = load_model(
            model_name, dtype=dtype, device=device, trust_remote_code=trust_remote_code
        )
    prompt_ids = tokenize_prompts(tokenizer, prompts)
    with ProgressReport("reference log-probs", len(prompts), console=console) as progress:
        logps = completion_logps(
            model,
            prompt_ids,
            completions,
            temperature=settings.temperature,
            pad_token_id=pad_token_id(model, tokenizer),
            batch_size=settings.batch_size,
            autocast=autocast,
            progress=progress,
        )
    return Reference(prompt_ids, logps, model.config.get_text_config().vocab_size)


def write_set(
    run: PresampleRun,
    refer: Callable[..., Reference],
    store: RolloutStore,
) -> RehearsalManifest:
    """Partition, compute reference log-probs, write the set; the manifest comes last, and makes it valid.

    Args:
        run: the call.
        refer: takes ``prompts`` and ``completions``, token ids, of answers, and returns what ``reference``
            does.
        store: of all samples.
    """
    assigned = partition(
        [problem.problem_id for problem in run.problems], read_samples(store), run.settings
    )
    by_id = {problem.problem_id: problem for problem in run.problems}
    keys = [(a.problem_id, sample_id) for a in assigned for sample_id in a.chosen]
    tokens = read_tokens(store, set(keys))
    completions = [tokens[key] for key in keys]
    prompts, ref_logps, vocab_size = refer(
        prompts=[by_id[pid].prompt for pid, _ in keys], completions=completions
    )
    files = {
        dataset.TENSORS_NAME: dataset.write_tensors(run.out, prompts, completions, ref_logps),
        dataset.PARTITION_NAME: dataset.write_partition(run.out, _partition_rows(assigned, by_id)),
    }
    sets = [assignment.problem_set for assignment in assigned]
    made_by = store.manifest
    manifest = RehearsalManifest(
        model=run.model_name,
        model_fingerprint=str(made_by.model_fingerprint),
        tokenizer_fingerprint=str(made_by.tokenizer_fingerprint),
        template_fingerprint=str(made_by.template_fingerprint),
        temperature=run.settings.temperature,
        precision=run.settings.precision,
        task=run.task.name,
        split=run.split,
        task_options=hidden(run.task.options),
        problems_key=problems_key(run.problems),
        settings=asdict(run.settings),
        counts={str(name): sets.count(name) for name in ProblemSet},
        histogram=histogram([a.correct for a in assigned], run.settings.k),
        num_rows=len(keys),
        num_tokens=sum(len(row) for row in completions),
        files=files,
        vocab_size=vocab_size,
    )
    manifest.write(run.out / dataset.MANIFEST_NAME)
    return manifest


def _partition_rows(
    assigned: Sequence[Assignment], by_id: dict[str, Problem]
) -> list[PartitionRow]:
    rows: list[PartitionRow] = []
    first = 0
    for assignment in assigned:
        prompt = by_id[assignment.problem_id].prompt
        rows.append(
            PartitionRow(
                problem_id=assignment.problem_id,
                prompt=encode_prompt(prompt),
                prompt_key=prompt_key(prompt),
                problem_set=str(assignment.problem_set),
                correct=assignment.correct,
                sampled=assignment.sampled,
                rows=list(range(first, first + len(assignment.chosen))),
            )
        )
        first += len(assignment.chosen)
    return rows
