"""What a resumed run needs besides transformers' own state: the order of the data, and its checkpoint."""

import json
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from trl.trainer.utils import RepeatSampler

from polypath.errors import ConfigError


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


def resumed_from(given: Path | str | None, args: Any, state: Any, what: str, fix: str) -> Path:
    """Return the checkpoint folder of a state; transformers does not pass it to callbacks.

    Args:
        given: the folder, if it is known.
        args: the trainer's settings.
        state: the trainer's state, as it was read from the checkpoint.
        what: what is looked for there, for the error.
        fix: how to name the folder, for the error.

    Raises:
        ConfigError: it is not in the folder searched.
    """
    folder = Path(given or Path(args.output_dir) / f"checkpoint-{state.global_step}")
    record = folder / TRAINER_STATE_NAME
    if record.is_file() and _history(TrainerState.load_from_json(str(record))) == _history(state):
        return folder
    raise ConfigError(
        f"{folder} is not the checkpoint of step {state.global_step} that training was resumed from, "
        f"so {what} is not there either. Name the folder: {fix}."
    )


class KeptInCheckpoints(TrainerCallback):
    """Keep what a run gathers, besides the weights, in its checkpoints.

    Attributes:
        what: its name, for errors.
        file: its place in a checkpoint.
        checkpoint: the folder to resume from, if it is known.
    """

    what: ClassVar[str]
    file: ClassVar[str]

    def __init__(self) -> None:
        self.checkpoint: Path | str | None = None

    def restart(self) -> None:
        """Forget everything, for a training that starts at step 0."""
        raise NotImplementedError

    def read(self, path: Path) -> None:
        """Read the file of a checkpoint, in place of what was gathered."""
        raise NotImplementedError

    def write(self, path: Path) -> None:
        """Write the file of a checkpoint; the folder is made."""
        raise NotImplementedError

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start empty, or read the file from the checkpoint that training resumes from."""
        del control, kwargs
        self.restart()
        if state.global_step:
            fix = "train(resume_from_checkpoint=FOLDER)"
            self.read(resumed_from(self.checkpoint, args, state, self.what, fix) / self.file)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the file into the checkpoint, on the process that writes its other files."""
        del control, kwargs
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if args.should_save and folder.is_dir():
            self.write(folder / self.file)


def _history(state: Any) -> str:
    """Return what identifies a run's state, as text, because NaN is not equal to itself."""
    return json.dumps([state.global_step, state.epoch, state.log_history])
