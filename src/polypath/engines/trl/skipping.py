"""Leave rows without a gradient out of a micro-batch's forward and backward.

In a group whose rewards are all equal every advantage is 0. Such a row adds nothing to the policy's loss.
Where no penalty and no entropy term acts on it either, its forward and backward are wasted.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from trl.models.utils import disable_gradient_checkpointing

from polypath.core.length_buckets import used_columns
from polypath.core.processes import Processes
from polypath.objectives import Active, PolicyTerm


def needs_every_row(trainer: Any, terms: Sequence[Active[PolicyTerm]]) -> str | None:
    """Return the setting by which every row has a gradient or depends on others; ``None``: there is none.

    Args:
        trainer: TRL's.
        terms: the active terms of the policy's loss.
    """
    reasons = {
        "a model for images": trainer._is_vlm,  # images are not one tensor row for each completion
        "beta": trainer.beta != 0.0,
        "entropy_coef": trainer._entropy_bonus_enabled,
        "router_aux_loss_coef": trainer.aux_loss_enabled,
        "top_entropy_quantile": trainer.top_entropy_quantile < 1.0,
        **{t.entry.switch.key: t.entry.acts_on(t.config) == "all" for t in terms},
    }
    return next((name for name, holds in reasons.items() if holds), None)


def warn_if_none(trainer: Any, terms: Sequence[Active[PolicyTerm]]) -> None:
    """Warn when no row will ever be skipped. Arguments as in ``needs_every_row``."""
    reason = needs_every_row(trainer, terms)
    if reason is not None:
        warnings.warn(
            f"skip_rows_without_gradient skips no completion: with {reason} every one is needed.",
            stacklevel=3,
        )


def rows_with_gradient(inputs: dict[str, Any], terms: Sequence[Active[PolicyTerm]]) -> Tensor:
    """Return which rows the policy's loss or one of its terms acts on, ``(B,)`` booleans.

    Args:
        inputs: TRL's micro-batch.
        terms: the active terms of the policy's loss, none of which acts on all rows.
    """
    advantages = inputs["advantages"]
    moved_B: Tensor = (advantages.reshape(len(advantages), -1) != 0).any(dim=1)
    if any(term.entry.acts_on(term.config) == "correct" for term in terms):
        moved_B = moved_B | inputs["correct"].bool()
    written_B: Tensor = inputs["completion_mask"].bool().any(dim=1)
    return moved_B & written_B


def choose_rows(moved_B: Tensor, mask_B_T: Tensor, processes: Processes) -> Tensor:
    """Return the rows to run, in order: the same number on every process, at least one.

    A process with fewer such rows adds its shortest others: TRL gathers one number per row, and
    sharded models wait for each other's forwards.

    Args:
        moved_B: which rows have a gradient.
        mask_B_T: the tokens of the completions.
        processes: those that share the step.
    """
    count = moved_B.sum().reshape(1)
    if processes.world > 1:
        count = processes.gather(count).max()
    length_B = mask_B_T.sum(dim=1)
    # Rows with a gradient first, then the shortest.
    order_B = torch.where(moved_B, -1, length_B).argsort(stable=True)
    chosen: Tensor = order_B[: max(int(count), 1)].sort().values
    return chosen


def old_logps(
    trainer: Any,
    inputs: dict[str, Any],
    terms: Sequence[Active[PolicyTerm]],
    processes: Processes,
) -> Tensor:
    """Return the log-probs of the rows with a gradient under the current policy, ``(B, T)``, else 0.

    Args:
        trainer: TRL's.
        inputs: a micro-batch that the policy has not been updated on.
        terms: the active terms of the policy's loss, none of which acts on all rows.
        processes: those that share the step.
    """
    rows = choose_rows(rows_with_gradient(inputs, terms), inputs["completion_mask"], processes)
    batch = part(inputs, rows)
    width = batch["completion_ids"].shape[1]
    settings = trainer.args.gradient_checkpointing_kwargs
    with torch.no_grad(), disable_gradient_checkpointing(trainer.model, settings):
        logp_R_T = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1),
            width,
            batch_size=trainer.args.per_device_train_batch_size,
        )[0]
    logp_B_T: Tensor = logp_R_T.new_zeros(inputs["completion_mask"].shape)
    logp_B_T[rows, :width] = logp_R_T
    return logp_B_T


def part(inputs: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    """Return some rows of a micro-batch, without columns that are padding in all of them."""
    batch, width = inputs["completion_mask"].shape
    empty, length = used_columns(inputs["prompt_mask"][rows], inputs["completion_mask"][rows])
    kept = {}
    for name, value in inputs.items():
        if isinstance(value, Tensor) and value.dim() > 0 and len(value) == batch:
            value = value[rows]
            if name.startswith("prompt_"):
                value = value[:, empty:]
            elif value.dim() > 1 and value.shape[1] == width:
                value = value[:, :length]
        kept[name] = value
    return kept
