"""The trainer under test, and verl's own, writing down what the actor's update is given."""

import os
from typing import Any

import torch
import transfer_queue
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from polypath.engines.verl.trainer import DiversityPPOTrainer

FIELDS = (
    "input_ids",
    "prompts",
    "responses",
    "response_mask",
    "old_log_probs",
    "advantages",
    "rm_scores",
    "polypath_correct",
    "polypath_step_tokens",
    "polypath_ref_logps",
    "polypath_bank",
)


class _Dumping:
    """Workers that write down the batch of an update before it runs."""

    def __init__(self, workers: Any, step: int) -> None:
        self._workers, self._step = workers, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._workers, name)

    def update_actor(self, batch: Any) -> Any:
        data = transfer_queue.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id)
        rows = [{n: row[n] for n in FIELDS if n in set(data.keys())} for row in data]
        infos = [(extra or {}).get("reward_extra_info") for extra in data["extra_fields"]]
        torch.save(
            {
                "rows": rows,
                "uids": list(data["uid"]),
                "infos": infos,
                "mini_batch_size": batch.extra_info["mini_batch_size"],
            },
            f"{os.environ['POLYPATH_DUMP']}/step{self._step}.pt",
        )
        return self._workers.update_actor(batch)


class _DumpMixin:
    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        workers = self.actor_rollout_wg
        self.actor_rollout_wg = _Dumping(workers, self.global_steps)
        try:
            return super()._update_actor(batch, metrics)
        finally:
            self.actor_rollout_wg = workers


@register_trainer("polypath_dump")
class DumpingTrainer(_DumpMixin, DiversityPPOTrainer):
    """polypath's."""


@register_trainer("stock_dump")
class StockTrainer(_DumpMixin, PPOTrainerSync):
    """verl's."""

    def __init__(self, config: Any) -> None:
        config.trainer.v1.trainer_mode = "sync"
        super().__init__(config)
