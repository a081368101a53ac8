"""Rehearsal rows in verl's actor update: stored rows woven into the batch, rank by rank.

verl deals a batch out in equal parts, rank after rank, and each rank cuts its part into mini-batches.
So the rows of each rank and mini-batch follow its policy rows, and only ``mini_batch_size`` grows; what
verl divides its own loss by stays as it is.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transfer_queue
from torch import Tensor
from transfer_queue import KVBatchMeta
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from polypath.core.flat_settings import FlatSettings
from polypath.core.rehearsal import check_start
from polypath.engines.verl.loss import CORRECT, REF_LOGPS, STEP_TOKENS
from polypath.rehearsal import RehearsalSchedule, RehearsalSet
from polypath.sampling import fingerprint


@dataclass(kw_only=True)
class WovenRehearsal:
    """Serves the rows of a rehearsal set to verl's workers.

    Which rows come next is a pure function of the seed and the number of the mini-batch, so a resumed
    run needs nothing that is saved. With ``ppo_epochs`` above 1 each epoch goes through the same rows.

    Attributes:
        settings: of the run.
        stored: the set.
        ranks: data-parallel workers.
        mini_batch: rows of the policy in a mini-batch, over all ranks.
        micro_batch: rows of a forward on one rank, which must divide a rank's rows; 1 where micro-batches
            are cut by tokens.
        seed: of the order of the rows.
    """

    settings: FlatSettings
    stored: RehearsalSet
    ranks: int
    mini_batch: int
    micro_batch: int
    seed: int

    def __post_init__(self) -> None:
        rows = self.mini_batch // self.ranks
        self._schedule = RehearsalSchedule(
            num_rows=len(self.stored),
            rows_per_step=self.settings.rehearsal.rows_per_step(rows, self.ranks),
            seed=self.seed,
        )
        self._filler = -(rows + self._schedule.rows_per_step // self.ranks) % self.micro_batch

    @contextmanager
    def woven(self, batch: KVBatchMeta, first_step: int) -> Iterator[KVBatchMeta]:
        """Put the rows of a batch's mini-batches into the transfer queue, and take them out afterwards.

        Args:
            batch: of the policy.
            first_step: number of its first mini-batch since the start of training.

        Yields:
            The larger batch.
        """
        template = transfer_queue.kv_batch_get(
            keys=batch.keys[:1], partition_id=batch.partition_id
        )[0]
        each = self.mini_batch // self.ranks
        count = len(batch) // self.mini_batch
        keys, tags, new, new_rows = [], [], [], []
        for rank in range(self.ranks):
            for mini in range(count):
                step = first_step + mini
                rows = self._schedule.part(step, 0, 1, rank, self.ranks)
                tokens = self._step_tokens(step)
                start = (rank * count + mini) * each
                keys += batch.keys[start : start + each]
                tags += batch.tags[start : start + each]
                for place in range(len(rows) + self._filler):
                    new.append(f"rehearsal{step}_{rank}_{place}")
                    new_rows.append(
                        self._row(template, rows[place], tokens)
                        if place < len(rows)
                        else self._row(template, rows[0], 0)
                    )
                    keys.append(new[-1])
                    tags.append({**batch.tags[0], "is_padding": True})
        self._put(new, new_rows, batch)
        extra = len(new) // count
        try:
            yield KVBatchMeta(
                keys=keys,
                tags=tags,
                partition_id=batch.partition_id,
                fields=batch.fields,
                extra_info={**batch.extra_info, "mini_batch_size": self.mini_batch + extra},
            )
        finally:
            transfer_queue.kv_clear(keys=new, partition_id=batch.partition_id)

    def check_start(self, batch: KVBatchMeta, workers: Any, temperature: float) -> None:
        """Check that the policy gives the first rows the log-probabilities that are stored.

        Args:
            batch: of the policy, whose rows show which fields there are.
            workers: of verl; they run a forward of the first mini-batch's rows.
            temperature: of the training.

        Raises:
            ConfigError: the log-ratio is not 0 up to ``rehearsal_tolerance``.
        """
        with self.woven(batch, 0) as larger:
            keys = [key for key in larger.keys if key.startswith("rehearsal0_")]
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
                    "micro_batch_size_per_gpu": math.gcd(len(keys) // self.ranks, self.micro_batch),
                },
            )
            workers.compute_log_prob(chosen)
            names = ["log_probs", "responses", REF_LOGPS, STEP_TOKENS]
            data = transfer_queue.kv_batch_get(
                keys=keys, partition_id=batch.partition_id, select_fields=names
            )
            total, tokens = 0.0, 0
            for logps, ids, ref, counted in zip(
                *(data[name].unbind() for name in names), strict=True
            ):
                if counted > 0:
                    mine = logps[-len(ids) - 1 : -1]
                    total += float((mine - ref).abs().sum())
                    tokens += len(ids)
        check_start(self.settings.rehearsal, total / max(tokens, 1))

    def _step_tokens(self, step: int) -> int:
        lengths = self.stored.completion_lengths
        return sum(lengths[row] for row in self._schedule.rows(step))

    def _put(self, keys: list[str], rows: list[dict[str, Any]], batch: KVBatchMeta) -> None:
        transfer_queue.kv_batch_put(
            keys=keys,
            partition_id=batch.partition_id,
            fields=list_of_dict_to_tensordict(rows),
            tags=[{**batch.tags[0], "is_padding": True} for _ in keys],
        )

    def _row(self, template: Any, row: int, step_tokens: int) -> dict[str, Any]:
        """Return a stored row with every field of the template; all that verl counts is 0."""
        tensors = self.stored.batch([row], 0)
        prompt, completion = tensors["prompt_ids"][0], tensors["completion_ids"][0]
        ids = torch.cat([prompt, completion])
        responses, sequence = len(template["responses"]), len(template["input_ids"])
        filled = {}
        for name, value in template.items():
            length = {responses: len(completion), sequence: len(ids)}.get(_length(value))
            filled[name] = (
                copy.deepcopy(value) if length is None else torch.zeros(length, dtype=value.dtype)
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


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, Tensor) and value.dim() == 1 else None


def load_set(settings: FlatSettings, tokenizer: Any, temperature: float) -> RehearsalSet | None:
    """Load the rehearsal set of a run; ``None`` where it has none.

    The weights are checked by the first log-ratio, as the controller does not hold the model.

    Raises:
        MissingFileError, DataError: there is no such set, or it is damaged.
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
