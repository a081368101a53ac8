"""``WeightAverage``: end any transformers training with the mean of its weights instead of the last."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import DistributedType
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from polypath.core.weight_average import RunningMean
from polypath.engines.trl.resume import resumed_from
from polypath.errors import ConfigError

# Inside a checkpoint, in a folder of its own: some model loaders (vLLM's for one) read every
# *.safetensors file beside the model's, and would load the mean as the checkpoint's weights.
AVERAGE_FILE = "polypath/weight_average.safetensors"
SPLIT = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)


class WeightAverage(TrainerCallback):
    """The uniform mean of the weights over the later part of a run (stochastic weight averaging).

    With n steps in all and w_s the weights after optimizer step s, training ends with

        w = mean of w_s over all s > start * n

    instead of w_n (``polypath.core.weight_average``). Until then nothing changes: sampling, evaluation,
    logs and the weights of checkpoints are those of a run without it. ``on_train_end`` copies the mean into
    the model, so ``save_model`` and ``evaluate`` use it after ``train``, and so do callbacks later in the
    list.

    ::

        trainer = GRPOTrainer(..., callbacks=[WeightAverage(0.5)])
        trainer.train()
        trainer.save_model()

    Only trained parameters are averaged, tied ones once. With LoRA these are the adapters' matrices: each
    factor is averaged, and the product of the means is not the mean of the products. Buffers keep their
    last values. The mean is kept in float32 (float64 for float64 weights) beside the parameters, on every
    process: 4 bytes per trained parameter.

    A checkpoint from the averaged part also holds the file ``polypath/weight_average.safetensors``:
    the mean, with ``count`` in its metadata. Training resumes from the checkpoint's own weights. A run
    that resumes bit for bit without averaging also does so with it.

    With vLLM, a stock trainer that evaluated its last step during training still generates from the last
    weights when ``evaluate`` is called again; ``DiversityGRPOTrainer`` sends the mean to vLLM.

    Args:
        start: fraction of training, in [0, 1), after which weights count. 0 counts every step's.
        checkpoint: the folder to resume from, if it is not in ``output_dir``.
            ``DiversityGRPOTrainer.train`` fills it in.

    Attributes:
        average: the mean so far, and its arithmetic.

    Raises:
        ConfigError: ``start`` is out of range. At the beginning of training: the parameters are split
            over processes (FSDP, DeepSpeed, tensor parallelism), or ``load_best_model_at_end`` is on, which
            would load other weights into the model at the end.
        MissingFileError: a run resumes from the averaged part, and its checkpoint has no mean.
        DataError: the stored mean has other parameters or other steps, or cannot be read.
    """

    def __init__(self, start: float, *, checkpoint: Path | str | None = None) -> None:
        self.average = RunningMean(start)
        self.checkpoint = checkpoint

    @property
    def count(self) -> int:
        """Number of steps in the mean; 0 until averaging starts."""
        return self.average.count

    @property
    def mean(self) -> dict[str, Tensor]:
        """The mean by parameter name."""
        return self.average.mean

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Start anew, or read the mean from the checkpoint that training resumes from."""
        del control, kwargs
        _check_setup(args, model)
        self.average.reset()
        expected = self.average.expected(int(state.global_step), int(state.max_steps))
        if expected > 0:
            what, fix = "the mean of the weights", "WeightAverage(start, checkpoint=FOLDER)"
            folder = resumed_from(self.checkpoint, args, state, what, fix)
            self.average.load(folder / AVERAGE_FILE, expected, dict(_trained(model)))

    def on_step_end(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Add the weights to the mean after an optimizer step."""
        del args, control, kwargs
        if self.average.expected(int(state.global_step), int(state.max_steps)) > 0:
            self.average.add(_trained(model))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the mean into the checkpoint, on the process that writes its other files."""
        del control, kwargs
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self.average.count and args.should_save and folder.is_dir():
            self.average.save(folder / AVERAGE_FILE)

    def on_train_end(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Copy the mean into the model."""
        del args, control, kwargs
        if self.average.count:
            self.average.copy_to(_trained(model))
            return
        warnings.warn(
            f"Training ended at step {state.global_step} of {state.max_steps}, before the weights "
            "were to be averaged: the model has its last weights.",
            stacklevel=2,
        )


def _trained(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Return the trained parameters by name; torch lists a tied one once."""
    return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def _check_setup(args: Any, model: Any) -> None:
    kind = PartialState().distributed_type
    if kind in SPLIT or any(isinstance(weight, DTensor) for _, weight in _trained(model)):
        raise ConfigError(
            f"The weights cannot be averaged where parameters are split over processes "
            f"({kind.value}). Train in one process or with DDP, or switch averaging off."
        )
    if args.load_best_model_at_end:
        raise ConfigError(
            "load_best_model_at_end puts a checkpoint's weights into the model at the end of training, "
            "and weight averaging their mean. Switch one of them off."
        )
