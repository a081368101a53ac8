"""Reference log-probs of stored completions, by the very forward that training uses.

A sampler's own log-probs (vLLM's above all) differ from the training forward's by kernels,
precision and temperature; the log-ratio would then start away from 0. So completions are scored
again here, with TRL's fused head, left-padded prompts and right-padded completions.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from polypath.errors import MissingExtraError
from polypath.rehearsal.padding import pad_left, pad_right
from polypath.sampling.progress import ProgressReport


def score_completions(
    model: Any,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    *,
    temperature: float,
    pad_token_id: int,
    batch_size: int = 64,
    autocast: torch.dtype | None = None,
    progress: ProgressReport | None = None,
) -> list[torch.Tensor]:
    """Return log pi(o^t | q, o^{<t}) of every completion token, logits divided by ``temperature``.

    Uses ``trl.trainer.utils.add_fused_lm_head`` and the call of
    ``GRPOTrainer._get_per_token_logps_and_entropies`` (TRL 1.16), without gradient and in eval
    mode. The model's own ``forward`` is back in place afterwards.

    Args:
        model: a causal language model without an adapter.
        prompt_ids: tokens of each prompt, unpadded.
        completion_ids: tokens of each completion, the end-of-sequence token included.
        temperature: of the training, above 0.
        pad_token_id: fills up rows; masked out, so any valid id does.
        batch_size: rows of a forward; it moves results by rounding only.
        autocast: data type of autocast, ``None`` for none.
        progress: told of every batch.

    Returns:
        One float32 CPU tensor per completion, of the completion's length.

    Raises:
        MissingExtraError: TRL is not installed.
    """
    # Rows of like length go together. The order is fixed, so a repeated run has the same padding.
    order = sorted(
        range(len(prompt_ids)), key=lambda i: (len(prompt_ids[i]) + len(completion_ids[i]), i)
    )
    scored: dict[int, torch.Tensor] = {}
    with _training_forward(model, temperature), torch.no_grad():
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            prompts, prompt_mask = pad_left([prompt_ids[i] for i in batch], pad_token_id)
            completions, mask = pad_right([completion_ids[i] for i in batch], pad_token_id)
            logps = _forward(model, prompts, prompt_mask, completions, mask, autocast)
            for row, i in enumerate(batch):
                scored[i] = logps[row, : len(completion_ids[i])].clone()
            if progress is not None:
                progress.advance(len(batch))
    return [scored[i] for i in range(len(prompt_ids))]


def _forward(
    model: Any,
    prompts: torch.Tensor,
    prompt_mask: torch.Tensor,
    completions: torch.Tensor,
    mask: torch.Tensor,
    autocast: torch.dtype | None,
) -> torch.Tensor:
    input_ids = torch.cat([prompts, completions], dim=1).to(model.device)
    attention_mask = torch.cat([prompt_mask, mask], dim=1).to(model.device)
    keep = completions.shape[1]
    labels = input_ids.masked_fill(attention_mask == 0, -100)
    labels[:, :-keep] = -100
    with torch.autocast(model.device.type, dtype=autocast, enabled=autocast is not None):
        outputs = model(
            input_ids=input_ids, attention_mask=attention_mask, labels=labels, fused_lm_head=True
        )
    logps: torch.Tensor = outputs.log_probs[:, -keep:]
    return logps.float().cpu()


@contextlib.contextmanager
def _training_forward(model: Any, temperature: float) -> Iterator[None]:
    """Give the model TRL's fused head for a while."""
    try:
        from trl.trainer.utils import add_fused_lm_head
    except ImportError:
        raise MissingExtraError(
            "Rescoring needs TRL, whose training forward it repeats: pip install 'polypath[trl]'."
        ) from None
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
