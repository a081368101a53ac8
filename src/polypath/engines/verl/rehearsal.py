"""Rehearsal rows in verl's actor update: stored rows woven into the batch, rank by rank.

verl splits a batch into equal parts, rank after rank, and each rank cuts its part into mini-batches.
So rehearsal rows follow the policy rows of each rank and mini-batch, and only ``mini_batch_size`` grows.
The number that verl divides its own loss by does not change.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transfer_queue
from omegaconf import DictConfig
from torch import Tensor
from transfer_queue import KVBatchMeta
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from polypath.core.flat_settings import FlatSettings
from polypath.core.rehearsal import check_start
from polypath.engines.verl.groups import fetch
from polypath.engines.verl.loss import CORRECT, REF_LOGPS, STEP_TOKENS
from polypath.rehearsal import RehearsalSchedule, RehearsalSet
from polypath.sampling import fingerprint

_KEY = "rehearsal"


@dataclass
class WovenRehearsal:
    """Serves the rows of a rehearsal set to verl's workers.

    The next rows are a pure function of the seed and the mini-batch's number, so a resumed run needs
    no saved state. With ``ppo_epochs`` above 1 every epoch uses the same rows.

    Attributes:
        settings: the run's.
        stored: the rehearsal set.
        config: section ``actor_rollout_ref`` of verl's configuration.
        ranks: data-parallel workers.
    """

    settings: FlatSettings
    stored: RehearsalSet
    config: DictConfig
    ranks: int

    def __post_init__(self) -> None:
        actor = self.config.actor
        self._mini_batch = int(actor.ppo_mini_batch_size) * int(self.config.rollout.n)
        rows = self._mini_batch // self.ranks
        self._schedule = RehearsalSchedule(
            num_rows=len(self.stored),
            rows_per_step=self.settings.rehearsal.rows_per_step(rows, self.ranks),
            seed=int(actor.data_loader_seed),
        )
        # A rank's rows must be a multiple of the rows per forward; 1 where micro-batches are cut by tokens.
        self._forward = 1 if actor.use_dynamic_bsz else int(actor.ppo_micro_batch_size_per_gpu)
        self._filler = -(rows + self._schedule.rows_per_step // self.ranks) % self._forward

    @contextmanager
    def woven(self, batch: KVBatchMeta, update: int) -> Iterator[KVBatchMeta]:
        """Yield the batch with rehearsal rows added; the transfer queue holds these within the context.

        Args:
            batch: the policy's.
            update: number of the update since the start of training, from 0.
        """
        template = transfer_queue.kv_batch_get(batch.keys[:1], batch.partition_id)[0]
        each, count = self._mini_batch // self.ranks, len(batch) // self._mini_batch
        tag = {**batch.tags[0], "is_padding": True}
        keys: list[str] = []
        tags: list[Any] = []
        new: dict[str, dict[str, Any]] = {}
        for part in range(self.ranks * count):
            rank, mini = divmod(part, count)
            step = update * count + mini
            rows = self._schedule.part(step, 0, 1, rank, self.ranks)
            tokens = sum(self.stored.completion_lengths[row] for row in self._schedule.rows(step))
            counted = [(row, tokens) for row in rows] + [(rows[0], 0)] * self._filler
            added = [f"{_KEY}{step}_{rank}_{place}" for place in range(len(counted))]
            new.update(zip(added, (self._row(template, *one) for one in counted), strict=True))
            keys += [*batch.keys[part * each : (part + 1) * each], *added]
            tags += [*batch.tags[part * each : (part + 1) * each], *([tag] * len(added))]
        transfer_queue.kv_batch_put(
            keys=list(new),
            partition_id=batch.partition_id,
            fields=list_of_dict_to_tensordict(list(new.values())),
            tags=[tag] * len(new),
        )
        try:
            yield KVBatchMeta(
                keys=keys,
                tags=tags,
                partition_id=batch.partition_id,
                fields=batch.fields,
                extra_info={**batch.extra_info, "mini_batch_size": len(keys) // count},
            )
        finally:
            transfer_queue.kv_clear(keys=list(new), partition_id=batch.partition_id)

    def check_start(self, batch: KVBatchMeta, workers: Any, temperature: float) -> None:
        """Check that the policy reproduces the stored log-probabilities of the first rows.

        Args:
            batch: the policy's; its rows show which fields exist.
            workers: verl's; they run a forward of the first mini-batch's rows.
            temperature: the training temperature.

        Raises:
            ConfigError: the log-ratio differs from 0 by more than ``rehearsal_tolerance``.
        """
        with self.woven(batch, 0) as larger:
            keys = [key for key in larger.keys if key.startswith(f"{_KEY}0_")]
            chosen = KVBatchMeta(
                keys=keys,
                tags=[dict(larger.tags[0]) for _ in keys],
                partition_id=batch.partition_id,
                fields=batch.fields,
                extra_info={
                    "calculate_entropy": False,
                    "compute_loss": False,
                    "temperature": temperature,
                    # verl's own need not divide the number of rows.
                    "micro_batch_size_per_gpu": math.gcd(len(keys) // self.ranks, self._forward),
                },
            )
            workers.compute_log_prob(chosen)
            data = fetch(chosen, "log_probs", REF_LOGPS, STEP_TOKENS)
        rows = zip(*(data[n].unbind() for n in ("log_probs", REF_LOGPS, STEP_TOKENS)), strict=True)
        off = [logp[-len(ref) - 1 : -1] - ref for logp, ref, tokens in rows if tokens > 0]
        check_start(self.settings.rehearsal, float(torch.cat(off).abs().mean()))

    def _row(self, template: Any, row: int, step_tokens: int) -> dict[str, Any]:
        """Return a stored row with every field of the template; every field that verl counts is 0."""
        tensors = self.stored.batch([row], 0)
        prompt, completion = tensors["prompt_ids"][0], tensors["completion_ids"][0]
        ids = torch.cat([prompt, completion])
        lengths = {
            len(template["responses"]): len(completion),
            len(template["input_ids"]): len(ids),
        }
        filled = {}
        for name, value in template.items():
            by_token = isinstance(value, Tensor) and value.dim() == 1 and len(value) in lengths
            filled[name] = (
                torch.zeros(lengths[len(value)], dtype=value.dtype)
                if by_token
                else copy.deepcopy(value)
            )
        return filled | {
            "prompts": prompt,
            "responses": completion,
            "input_ids": ids,
            "position_ids": torch.arange(len(ids)),
            "attention_mask": torch.ones_like(ids),
            CORRECT: torch.tensor(0.0),
            REF_LOGPS: tensors["ref_logps"][0],
            STEP_TOKENS: torch.tensor(float(step_tokens)),
        }


def load_set(settings: FlatSettings, tokenizer: Any, temperature: float) -> RehearsalSet | None:
    """Load the rehearsal set of a run; ``None`` where it has none.

    The controller does not hold the model, so the weights are checked later, by the first log-ratio.

    Raises:
        MissingFileError, DataError: the set does not exist or is damaged.
        ConfigError: it was made with another tokenizer, chat template or temperature.
    """
    if not settings.rehearsal.on:
        return None
    stored = RehearsalSet.load(str(settings.rehearsal.folder))
    stored.check(
        tokenizer_fingerprint=fingerprint.tokenizer_fingerprint(tokenizer),
        template_fingerprint=fingerprint.template_fingerprint(tokenizer),
        temperature=temperature,
    )
    return stored
