"""An update of verl, worked out again from the rows it was given: one process, row by row, in float64.

The formulas are written out here, so that nothing of the engine or the core takes part.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM


@dataclass(frozen=True, kw_only=True)
class Update:
    """What an update was asked to do.

    Attributes:
        positive_entropy: weight of the term.
        form: ``paper`` or ``exact``.
        normalization: ``sequence_mean`` or ``token_mean``.
        rehearsal: weight of the forward KL.
        bank: weight of the likelihood of the bank's rows.
        ranks, mini_batch: workers, and rows of the policy in a mini-batch.
        epochs: ``ppo_epochs``.
        lr: of AdamW.
    """

    positive_entropy: float = 0.0
    form: str = "paper"
    normalization: str = "sequence_mean"
    rehearsal: float = 0.0
    bank: float = 0.0
    ranks: int = 1
    mini_batch: int = 64
    epochs: int = 1
    lr: float = 1e-4


def is_rehearsal(row: dict[str, Any]) -> bool:
    """Return whether a row is one of the rehearsal set."""
    return float(row.get("polypath_step_tokens", 0.0)) > 0 and not is_bank(row)


def is_bank(row: dict[str, Any]) -> bool:
    """Return whether a row is one of the bank, or fills up its rows."""
    return float(row.get("polypath_bank", 0.0)) > 0


def is_filler(row: dict[str, Any]) -> bool:
    """Return whether a row only fills up a micro-batch."""
    stored = float(row.get("polypath_step_tokens", 0.0)) > 0
    return int(row["response_mask"].sum()) == 0 and not stored


def groups(dump: dict[str, Any]) -> dict[str, list[int]]:
    """Return the policy's rows by prompt."""
    found: dict[str, list[int]] = defaultdict(list)
    for place, (uid, row) in enumerate(zip(dump["uids"], dump["rows"], strict=True)):
        if int(row["response_mask"].sum()):
            found[uid].append(place)
    return found


def recompute(dump: dict[str, Any], model: Path, update: Update) -> dict[str, float]:
    """Return means over the mini-batches of loss, its terms and the gradient's norm.

    ``divergence`` and ``log_ratio_abs`` are means over the rehearsal tokens of all of them,
    ``bank_log_ratio`` over the tokens of the bank's rows.
    """
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=update.lr, weight_decay=0.01)
    size, rows = dump["mini_batch_size"], dump["rows"]
    each, count = size // update.ranks, len(rows) // size
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(update.epochs):
        for mini in range(count):
            starts = [(rank * count + mini) * each for rank in range(update.ranks)]
            part = [row for start in starts for row in rows[start : start + each]]
            optimizer.zero_grad()
            terms = _terms(policy, part, update)
            norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            for name, value in {**terms, "grad_norm": float(norm)}.items():
                found[name].append(value)
    tokens, of_bank = sum(found.pop("tokens")), sum(found.pop("bank_tokens"))
    totals = {
        name: sum(found.pop(name)) / max(tokens, 1) for name in ("divergence", "log_ratio_abs")
    }
    totals["bank_log_ratio"] = sum(found.pop("bank_log_ratio")) / max(of_bank, 1)
    return totals | {name: sum(values) / len(values) for name, values in found.items()}


def _terms(policy: Any, rows: list[dict[str, Any]], update: Update) -> dict[str, float]:
    tokens = sum(int(row["response_mask"].sum()) for row in rows)
    names = ("pg", "positive_entropy", "rehearsal", "loss", "divergence", "log_ratio_abs", "tokens")
    names += ("bank", "bank_log_ratio", "bank_tokens")
    found = dict.fromkeys(names, 0.0)
    for row in rows:
        if is_filler(row):
            continue
        logp, entropy = _forward(policy, row)
        if is_bank(row):
            d = logp - row["polypath_ref_logps"].double()
            parts = {"bank": update.bank * -d.sum() / float(row["polypath_step_tokens"])}
            found["bank_log_ratio"] += float(d.detach().sum())
            found["bank_tokens"] += len(d)
        elif is_rehearsal(row):
            total = float(row["polypath_step_tokens"])
            d = logp - row["polypath_ref_logps"].double()
            term = (torch.expm1(d) - d).sum()
            parts = {"rehearsal": update.rehearsal * term / total}
            found["divergence"] += float(term.detach())
            found["log_ratio_abs"] += float(d.detach().abs().sum())
            found["tokens"] += len(d)
        else:
            parts = _policy_row(row, logp, entropy, update, tokens)
        loss = sum(parts.values())
        loss.backward()
        for name, value in {**parts, "loss": loss}.items():
            found[name] += float(value.detach())
    return found


def _policy_row(
    row: dict[str, Any], logp: Tensor, entropy: Tensor, update: Update, tokens: int
) -> dict[str, Tensor]:
    ratio = torch.exp(logp - row["old_log_probs"].double())
    advantage = row["advantages"].double()
    clipped = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(0.8, 1.2))
    clipped = torch.where(advantage < 0, torch.minimum(clipped, -advantage * 3.0), clipped)
    parts = {"pg": clipped.sum() / tokens}
    if update.positive_entropy and float(row["polypath_correct"]) > 0:
        values = ratio * logp if update.form == "paper" else -entropy
        of_row = (
            values.mean() / update.mini_batch
            if update.normalization == "sequence_mean"
            else values.sum() / tokens
        )
        parts["positive_entropy"] = update.positive_entropy * of_row
    return parts


def _forward(policy: Any, row: dict[str, Any]) -> tuple[Tensor, Tensor]:
    ids, length = row["input_ids"].long(), len(row["responses"])
    logits = policy(ids[None]).logits[0].double()
    logps = torch.log_softmax(logits, -1)[:-1][-length:]
    chosen = logps.gather(1, ids[-length:, None]).squeeze(1)
    return chosen, -(logps.exp() * logps).sum(-1)
