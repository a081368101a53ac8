"""A sampler for verl that gives the rows of a step in an order that does not depend on timing.

Rows come in the order in which completions end. Sums in another order differ by rounding, so two runs
of one seed can only be compared bit for bit when the rows are sorted first.
"""

from typing import Any

import transfer_queue
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer


class SortedReplayBuffer(ReplayBuffer):
    """verl's own, sorted by prompt and completion."""

    def sample(self, **named: Any) -> Any:
        """Return the sorted batch and verl's metrics."""
        batch, metrics = super().sample(**named)
        data = transfer_queue.kv_batch_get(
            keys=batch.keys, partition_id=batch.partition_id, select_fields=["prompts", "responses"]
        )
        rows = [
            (prompt.tolist(), response.tolist())
            for prompt, response in zip(
                data["prompts"].unbind(), data["responses"].unbind(), strict=True
            )
        ]
        batch.reorder(sorted(range(len(rows)), key=rows.__getitem__))
        return batch, metrics
