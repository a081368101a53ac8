"""Stored rows in verl's actor update, those of the rehearsal set and of the bank: woven in rank by rank.

verl splits a batch into equal parts, rank after rank, and each rank cuts its part into mini-batches.
So stored rows follow the policy rows of each rank and mini-batch, and only ``mini_batch_size`` grows.
The number that verl divides its own loss by does not change.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
import transfer_queue
from omegaconf import DictConfig
from torch import Tensor
from transfer_queue import KVBatchMeta
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from polypath.core.flat_settings import FlatSettings
from polypath.core.rehearsal import check_start
from polypath.engines.verl.groups import fetch
from polypath.engines.verl.loss import BANK, CORRECT, REF_LOGPS, STEP_TOKENS
from polypath.rehearsal import RehearsalSchedule, RehearsalSet
from polypath.rehearsal.bank import BankEntry, SolutionBank
from polypath.rehearsal.schedule import part_of
from polypath.rehearsal.settings import Replay
from polypath.sampling import fingerprint


class StoredRow(NamedTuple):
    """A stored completion, as tensors without padding."""

    prompt: Tensor
    completion: Tensor
    logps: Tensor


@dataclass
class SetRows:
    """The rows of a rehearsal set, mini-batch after mini-batch."""

    name: ClassVar = "rehearsal"

    stored: RehearsalSet
    rows_per_step: int
    seed: int
    _schedule: RehearsalSchedule = field(init=False)

    def __post_init__(self) -> None:
        self._schedule = RehearsalSchedule(
            num_rows=len(self.stored), rows_per_step=self.rows_per_step, seed=self.seed
        )

    def draw(self, step: int) -> list[StoredRow]:
        """Return the rows of a mini-batch."""
        batches = (self.stored.batch([row], 0) for row in self._schedule.rows(step))
        names = ("prompt_ids", "completion_ids", "ref_logps")
        return [StoredRow(*(batch[name][0] for name in names)) for batch in batches]


@dataclass
class BankRows:
    """The rows of a bank, drawn anew for each mini-batch."""

    name: ClassVar = "bank"

    bank: SolutionBank
    rows_per_step: int
    replay: Replay

    def draw(self, step: int) -> list[StoredRow]:
        """Return the rows of a mini-batch; none while the bank is empty."""
        return [
            StoredRow(
                torch.tensor(entry.seen.prompt),
                torch.from_numpy(entry.completion.ids).long(),
                torch.from_numpy(entry.completion.logps),
            )
            for entry in self.entries(step)
        ]

    def entries(self, step: int) -> list[BankEntry]:
        """Return what is replayed in a mini-batch."""
        return self.bank.draw(self.rows_per_step, step, self.replay)


@dataclass
class WovenRows:
    """Gives stored rows to verl's workers.

    The rows of a mini-batch are a pure function of the seed, its number and the bank. With ``ppo_epochs``
    above 1 every epoch uses the same rows.

    Attributes:
        settings: the run's.
        stored: the rehearsal set; ``None`` for none.
        bank: the bank; likewise.
        config: section ``actor_rollout_ref`` of verl's configuration.
        ranks: data-parallel workers.
    """

    settings: FlatSettings
    stored: RehearsalSet | None
    bank: SolutionBank | None
    config: DictConfig
    ranks: int

    def __post_init__(self) -> None:
        actor = self.config.actor
        self._mini_batch = int(actor.ppo_mini_batch_size) * int(self.config.rollout.n)
        rows = self._mini_batch // self.ranks
        self._sources: list[SetRows | BankRows] = []
        if self.stored is not None:
            count = self.settings.rehearsal.rows_per_step(rows, self.ranks)
            self._sources.append(SetRows(self.stored, count, int(actor.data_loader_seed)))
        if self.bank is not None:
            count = self.settings.bank.rows_per_step(rows, self.ranks)
            self._sources.append(BankRows(self.bank, count, self.settings.bank.replay))
        # A rank's rows must be a multiple of the rows per forward; 1 where micro-batches are cut by tokens.
        self._forward = 1 if actor.use_dynamic_bsz else int(actor.ppo_micro_batch_size_per_gpu)

    @contextmanager
    def woven(self, batch: KVBatchMeta, update: int) -> Iterator[KVBatchMeta]:
        """Yield the batch with stored rows added; the transfer queue holds these within the context.

        Args:
            batch: the policy's.
            update: number of the update since the start of training, from 0.
        """
        count = len(batch) // self._mini_batch
        drawn = [
            [(source.name, source.draw(update * count + mini)) for source in self._sources]
            for mini in range(count)
        ]
        if not any(rows for _, rows in drawn[0]):
            yield batch  # the bank is empty
            return
        template = transfer_queue.kv_batch_get(batch.keys[:1], batch.partition_id)[0]
        each = self._mini_batch // self.ranks
        tag = {**batch.tags[0], "is_padding": True}
        keys: list[str] = []
        tags: list[Any] = []
        new: dict[str, dict[str, Any]] = {}
        for part in range(self.ranks * count):
            rank, mini = divmod(part, count)
            added = self._added(
                template, drawn[mini], rank, f"{update * count + mini}_{rank}", each
            )
            new |= added
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

    def _added(
        self,
        template: Any,
        drawn: Sequence[tuple[str, list[StoredRow]]],
        rank: int,
        where: str,
        each: int,
    ) -> dict[str, dict[str, Any]]:
        """Return a rank's stored rows of a mini-batch by key, and rows that count for nothing.

        The latter fill the rank's ``each`` rows of the policy and the stored ones up to whole forwards.
        """
        counted = [
            (name, row, sum(len(one.completion) for one in rows))
            for name, rows in drawn
            for row in part_of(rows, 0, 1, rank, self.ranks)
        ]
        filler = -(each + len(counted)) % self._forward
        counted += [(counted[0][0], counted[0][1], 0)] * filler
        return {
            f"{name}{where}_{place}": _filled(template, row, tokens)
            | ({} if self.bank is None else {BANK: torch.tensor(float(name == BankRows.name))})
            for place, (name, row, tokens) in enumerate(counted)
        }

    def bank_metrics(self, batch: KVBatchMeta, update: int) -> dict[str, float]:
        """Return what to log of an update's rows of the bank. Arguments as for ``woven``."""
        count = len(batch) // self._mini_batch
        steps = range(update * count, (update + 1) * count)
        ages = [
            update - entry.step
            for source in self._sources
            if isinstance(source, BankRows)
            for step in steps
            for entry in source.entries(step)
        ]
        if not ages:
            return {}
        return {"bank/replayed_rows": len(ages) / count, "bank/age": sum(ages) / len(ages)}

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
            keys = [key for key in larger.keys if key.startswith(f"{SetRows.name}0_")]
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


def _filled(template: Any, row: StoredRow, step_tokens: int) -> dict[str, Any]:
    """Return a stored row with every field of the template; every field that verl counts is 0."""
    ids = torch.cat([row.prompt, row.completion])
    lengths = {
        len(template["responses"]): len(row.completion),
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
        "prompts": row.prompt,
        "responses": row.completion,
        "input_ids": ids,
        "position_ids": torch.arange(len(ids)),
        "attention_mask": torch.ones_like(ids),
        CORRECT: torch.tensor(0.0),
        REF_LOGPS: row.logps,
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
