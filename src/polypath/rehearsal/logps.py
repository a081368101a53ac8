"""Log-probabilities of stored completions: in batches, by whatever forward; and by transformers alone."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from polypath.rehearsal.padding import pad_left, pad_right
from polypath.sampling.progress import ProgressReport

# From token ids and attention mask, (B, L + T), and T: log-probs of the last T tokens, (B, T).
Forward = Callable[[Tensor, Tensor, int], Tensor]


def batched_logps(
    forward: Forward,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    *,
    pad_token_id: int,
    batch_size: int = 64,
    progress: ProgressReport | None = None,
) -> list[Tensor]:
    """Return the log-probs of every completion token.

    Args:
        forward: of the model, called with prompts padded left and completions padded right.
        prompt_ids: tokens of each prompt, unpadded.
        completion_ids: tokens of each completion, the end-of-sequence token included.
        pad_token_id: fills up rows; masked out, so any valid id does.
        batch_size: rows of a forward; it moves results by rounding only.
        progress: told of every batch.

    Returns:
        One float32 CPU tensor per completion, of the completion's length.
    """
    # Rows of like length go together. The order is fixed, so a repeated run has the same padding.
    order = sorted(
        range(len(prompt_ids)), key=lambda i: (len(prompt_ids[i]) + len(completion_ids[i]), i)
    )
    found: dict[int, Tensor] = {}
    with torch.no_grad():
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            prompts, prompt_mask = pad_left([prompt_ids[i] for i in batch], pad_token_id)
            completions, mask = pad_right([completion_ids[i] for i in batch], pad_token_id)
            ids = torch.cat([prompts, completions], dim=1)
            attention = torch.cat([prompt_mask, mask], dim=1)
            logps = forward(ids, attention, completions.shape[1]).float().cpu()
            for row, i in enumerate(batch):
                found[i] = logps[row, : len(completion_ids[i])].clone()
            if progress is not None:
                progress.advance(len(batch))
    return [found[i] for i in range(len(prompt_ids))]


def completion_logps(
    model: Any,
    prompt_ids: Sequence[Sequence[int]],
    completion_ids: Sequence[Sequence[int]],
    *,
    temperature: float,
    autocast: torch.dtype | None = None,
    **batching: Any,
) -> list[Tensor]:
    """Return log pi(o^t | q, o^{<t}) of every completion token, by the model's own logits.

    For training on another engine than TRL, whose own forward ``polypath.engines.trl.completion_logps``
    is. Without gradient and in eval mode.

    Args:
        model: a causal language model.
        prompt_ids: as in ``batched_logps``, and so are the others.
        completion_ids: likewise.
        temperature: of the training, above 0; logits are divided by it.
        autocast: data type of autocast, ``None`` for none.
        **batching: ``pad_token_id``, ``batch_size`` and ``progress`` of ``batched_logps``.
    """

    def forward(ids: Tensor, attention: Tensor, keep: int) -> Tensor:
        ids, attention = ids.to(model.device), attention.to(model.device)
        with torch.autocast(model.device.type, dtype=autocast, enabled=autocast is not None):
            logits = model(input_ids=ids, attention_mask=attention, logits_to_keep=keep + 1).logits
        logp_B_T_V = torch.log_softmax(logits[:, :-1].float() / temperature, dim=-1)
        logp_B_T: Tensor = logp_B_T_V.gather(2, ids[:, -keep:, None]).squeeze(2)
        return logp_B_T

    was_training = model.training
    model.eval()
    try:
        return batched_logps(forward, prompt_ids, completion_ids, **batching)
    finally:
        model.train(was_training)
