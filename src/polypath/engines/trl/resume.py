"""The order of the data in a resumed run."""

from typing import Any

import torch
from transformers import TrainerCallback
from trl.trainer.utils import RepeatSampler


class ReplayEpochs(TrainerCallback):
    """Give a resumed run the order of problems of the uninterrupted run.

    TRL's sampler draws the order of every epoch from one generator, which no checkpoint holds: a run
    resumed in its third epoch would repeat the order of the first. So the orders of finished epochs
    are drawn again and discarded. Does nothing in a run that starts at step 0.
    """

    def on_train_begin(
        self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **kwargs: Any
    ) -> None:
        """Advance the sampler's generator by the finished epochs."""
        del control, kwargs
        sampler = _find_sampler(train_dataloader)
        if not state.global_step or sampler is None or not sampler.shuffle:
            return
        accumulation = args.gradient_accumulation_steps
        steps_per_epoch = max(-(-len(train_dataloader) // accumulation), 1)
        for _ in range(state.global_step // steps_per_epoch):
            torch.randperm(sampler.num_samples, generator=sampler.generator)


def _find_sampler(dataloader: Any) -> RepeatSampler | None:
    """Return TRL's sampler from inside accelerate's wrappers; streams have none."""
    batches: Any = getattr(dataloader, "batch_sampler", None)
    while hasattr(batches, "batch_sampler"):
        batches = batches.batch_sampler
    sampler = getattr(batches, "sampler", None)
    return sampler if isinstance(sampler, RepeatSampler) else None
