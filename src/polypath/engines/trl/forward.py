"""The policy's forwards: TRL's own with less work, and those for sequences and stored samples."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from trl.trainer import utils as trl_utils
from trl.trainer.utils import add_fused_lm_head

from polypath.core.length_buckets import length_buckets, widened, without_padding
from polypath.rehearsal.logps import batched_logps
from polypath.sampling.progress import ProgressReport


def counted_tokens(inputs: dict[str, Any]) -> Tensor:
    """Return the completion tokens of TRL's batch that count in the loss; those written by tools do not."""
    mask_B_T: Tensor = inputs["completion_mask"]
    return mask_B_T * inputs["tool_mask"] if "tool_mask" in inputs else mask_B_T


def in_buckets(
    forward: Callable[..., tuple[Tensor, Tensor | None, Tensor | None]],
    model: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    logits_to_keep: int,
    batch_size: int | None = None,
    *,
    buckets: int,
    processes: int,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Run TRL's forward over buckets of rows of alike length, and return what it returns.

    One forward over all rows where images belong to rows, or a loss is a mean over the batch's tokens (the
    load balancing of experts).

    Args:
        forward: ``GRPOTrainer._get_per_token_logps_and_entropies``.
        model: its argument, as the next four.
        input_ids: prompts and completions, ``(B, P + T)``.
        attention_mask: 1 on tokens.
        logits_to_keep: T, columns of the completions.
        batch_size: the most rows of a forward; all by default.
        **kwargs: its other arguments.
        buckets: the most buckets.
        processes: how many share the step; with several each runs the same number of buckets.
    """
    columns = (model, input_ids, attention_mask, logits_to_keep, batch_size)
    others = {name for name, value in kwargs.items() if value is not None and value is not False}
    if buckets == 1 or others - {"compute_entropy"}:
        return forward(*columns, **kwargs)
    rows = length_buckets(attention_mask.sum(dim=1), buckets, exactly=processes > 1)
    logps, entropies = [], []
    for chosen in rows:
        ids, mask, keep = without_padding(input_ids, attention_mask, logits_to_keep, chosen)
        logp, entropy, _ = forward(model, ids, mask, keep, batch_size, **kwargs)
        logps.append(logp)
        entropies += [] if entropy is None else [entropy]
    width = logits_to_keep
    entropy_B_T = widened(entropies, rows, width) if entropies else None
    return widened(logps, rows, width), entropy_B_T, None


@contextlib.contextmanager
def scored_tokens_only() -> Iterator[None]:
    """Let TRL's head compute log-probs of completion tokens alone on a CPU, as it does on a GPU.

    On devices without Triton TRL 1.16 scores every position, prompts and padding too, because some of them
    (Neuron) compile again for every new shape. A CPU does not.
    """
    chosen = trl_utils._use_triton
    trl_utils._use_triton = lambda device: device.type == "cpu" or chosen(device)
    try:
        yield
    finally:
        trl_utils._use_triton = chosen


@torch.no_grad()
def sequence_logps(trainer: Any, batch: dict[str, Any]) -> Tensor:
    """Return the log-probability of each completion under the policy that sampled it, ``(B,)``.

    TRL's own where it computed them, else from a forward of the policy, which has not changed since.
    """
    logp_B_T = batch.get("old_per_token_logps")
    if logp_B_T is None:
        logp_B_T = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            batch["completion_ids"].shape[1],
            batch_size=trainer.args.per_device_train_batch_size,
        )[0]
    return torch.where(batch["completion_mask"].bool(), logp_B_T, 0.0).sum(dim=1)


def completion_logps(
    model: Any,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    *,
    temperature: float,
    pad_token_id: int,
    batch_size: int = 64,
    autocast: torch.dtype | None = None,
    progress: ProgressReport | None = None,
) -> list[Tensor]:
    """Return log pi(o^t | q, o^{<t}) of every completion token, logits divided by ``temperature``.

    Uses the same forward as training: ``trl.trainer.utils.add_fused_lm_head`` and the call of
    ``GRPOTrainer._get_per_token_logps_and_entropies`` (TRL 1.16), with left-padded prompts, right-padded
    completions, without gradient and in eval mode. A sampler's own log-probs (vLLM's above all) differ
    in kernels, precision and temperature, so the log-ratio of training would not start at 0.
    The model's own ``forward`` is restored afterwards.

    Args:
        model: a causal language model without an adapter.
        prompt_ids: tokens of each prompt, unpadded.
        completion_ids: tokens of each completion, the end-of-sequence token included.
        temperature: the training temperature, above 0.
        pad_token_id: pads rows; masked out, so any valid id will do.
        batch_size: rows per forward; it changes results by rounding only.
        autocast: data type of autocast, ``None`` for none.
        progress: called after every batch.

    Returns:
        One float32 CPU tensor per completion, of the completion's length.
    """

    def forward(ids: Tensor, attention: Tensor, keep: int) -> Tensor:
        ids, attention = ids.to(model.device), attention.to(model.device)
        labels = ids.masked_fill(attention == 0, -100)
        labels[:, :-keep] = -100
        with torch.autocast(model.device.type, dtype=autocast, enabled=autocast is not None):
            outputs = model(
                input_ids=ids, attention_mask=attention, labels=labels, fused_lm_head=True
            )
        logps: Tensor = outputs.log_probs[:, -keep:]
        return logps

    with _training_forward(model, temperature):
        return batched_logps(
            forward,
            prompt_ids,
            completion_ids,
            pad_token_id=pad_token_id,
            batch_size=batch_size,
            progress=progress,
        )


@contextlib.contextmanager
def _training_forward(model: Any, temperature: float) -> Iterator[None]:
    """Give the model TRL's fused head within this context."""
    was_training, own_forward = model.training, model.__dict__.get("forward")
    model.eval()
    add_fused_lm_head(model, temperature=temperature)
    try:
        yield
    finally:
        if own_forward is None:
            del model.forward
        else:
            model.forward = own_forward
        model.train(was_training)
