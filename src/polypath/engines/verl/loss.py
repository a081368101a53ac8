"""The loss of verl's workers: verl's own, plus the terms that are on. Contains no formula.

A worker calls it for every micro-batch, and FSDP averages the gradients over the ranks. Rehearsal rows
come in the same batch with a response mask of 0, so that verl's own loss and metrics ignore them.
"""

from typing import Any

import torch
from torch import Tensor
from verl.utils.metric import AggregationType, Metric
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import no_padding_2_padding

from polypath.core.bank_settings import BankConfig
from polypath.core.flat_settings import FlatSettings
from polypath.core.rehearsal import rehearsal_term
from polypath.core.rehearsal_settings import RehearsalConfig
from polypath.core.statistics import TokenMeans, gradient_sizes
from polypath.core.step import StepShape
from polypath.core.terms import TokenBatch, policy_terms

# Fields of a row, besides verl's own.
CORRECT = "polypath_correct"  # 1 where the completion is correct
REF_LOGPS = "polypath_ref_logps"  # stored log-probs of a stored row, 0 elsewhere
STEP_TOKENS = "polypath_step_tokens"  # stored tokens of the mini-batch; 0 on rows of the policy
BANK = "polypath_bank"  # 1 on rows of the bank, which are counted apart from those of the set
_METRIC = "polypath_mean:"  # prefix among verl's metrics for a part of a mean


def diversity_loss(
    settings: FlatSettings, config: Any, model_output: Any, data: Any, dp_group: Any = None
) -> tuple[Tensor, dict[str, Any]]:
    """Return the loss of a micro-batch and its metrics, as verl's ``ppo_loss`` does."""
    logp = model_output["log_probs"]
    flat = logp.values() if logp.is_nested else logp  # one tensor that all terms depend on
    loss, metrics = ppo_loss(
        config=config,
        model_output={**model_output, "log_probs": flat},
        data=data,
        dp_group=dp_group,
    )
    means = TokenMeans()
    rows = data.select(*_fields(data)).to_padded_tensor()
    mask_B_T = rows["response_mask"].bool()
    logp_B_T = no_padding_2_padding(flat, data)
    terms = policy_terms(
        settings.objectives.terms,
        _token_batch(logp_B_T, model_output, data, rows),
        StepShape(
            accumulation=1,
            processes=data["dp_size"],
            tokens=data["batch_num_tokens"],
            sequences=data["global_batch_size"],
            max_length=mask_B_T.shape[1],  # no term is divided by it
        ),
        means,
    )
    if settings.rehearsal.on or settings.bank.on:
        terms |= _stored_terms(settings, logp_B_T, data, rows, means)
        _keep_means(metrics, means, counts=bool(mask_B_T.any()))
    means.add_shares(
        "gradient_share", gradient_sizes({"policy": loss, **terms}, flat, torch.ones_like(flat))
    )
    for term in terms.values():
        loss = loss + term
    for name, parts in means.take().items():
        for part, value in zip(("sum", "count"), parts, strict=True):
            metrics[f"{_METRIC}{part}:{name}"] = Metric(AggregationType.SUM, value.float())
    return loss, metrics


def take_means(metrics: dict[str, Any]) -> dict[str, float]:
    """Remove the means of ``diversity_loss`` from what the workers' update returned, and return them.

    Args:
        metrics: verl's, by name; each a list with one entry per mini-batch. Changed in place.

    Returns:
        Each mean over all mini-batches; NaN where nothing was counted.
    """
    found = {}
    for key in [key for key in metrics if key.startswith(f"{_METRIC}sum:")]:
        name = key.removeprefix(f"{_METRIC}sum:")
        total, count = (sum(metrics.pop(f"{_METRIC}{part}:{name}")) for part in ("sum", "count"))
        found[name] = float(total / count) if count else float("nan")
    return found


def _fields(data: Any) -> list[str]:
    optional = (CORRECT, REF_LOGPS, STEP_TOKENS, BANK, "rollout_is_weights")
    return ["response_mask", "old_log_probs", "advantages", *(n for n in optional if n in data)]


def _token_batch(logp_B_T: Tensor, model_output: Any, data: Any, rows: Any) -> TokenBatch:
    mask_B_T, entropy = rows["response_mask"], model_output.get("entropy")
    first_B_1 = mask_B_T.int().argmax(dim=1, keepdim=True)
    return TokenBatch(
        logp_B_T=logp_B_T,
        behaviour_logp_B_T=rows["old_log_probs"],
        mask_B_T=mask_B_T,
        correct_B=rows[CORRECT] > 0,
        advantages_B=rows["advantages"].gather(1, first_B_1).squeeze(1),  # GRPO has one per row
        entropy_B_T=None if entropy is None else no_padding_2_padding(entropy, data),
        sampler_weight_B_T=rows.get("rollout_is_weights", None),
    )


def _stored_terms(
    settings: FlatSettings, logp_B_T: Tensor, data: Any, rows: Any, means: TokenMeans
) -> dict[str, Tensor]:
    """Return the micro-batch's share of the terms on stored rows, for a gradient averaged over ranks."""
    step_tokens_B = rows[STEP_TOKENS]
    lengths_B = data["responses"].offsets().diff()
    places_T = torch.arange(logp_B_T.shape[1], device=logp_B_T.device)
    of_bank_B = rows[BANK] > 0 if settings.bank.on else torch.zeros_like(step_tokens_B) > 0
    objectives = settings.objectives
    kinds: dict[str, tuple[RehearsalConfig | BankConfig, Any, Tensor]] = {
        "rehearsal": (settings.rehearsal, objectives.divergence, ~of_bank_B),
        "bank": (settings.bank, objectives.bank_divergence, of_bank_B),
    }
    terms = {}
    for name, (config, divergence, of_kind_B) in kinds.items():
        if not config.on:
            continue
        tokens_B = step_tokens_B * of_kind_B
        mask_B_T: Tensor = (places_T < lengths_B[:, None]) & (tokens_B > 0)[:, None]
        total, _ = rehearsal_term(
            divergence,
            logp_B_T,
            rows[REF_LOGPS],
            mask_B_T,
            step_tokens=tokens_B.max(),
            means=means,
            name=name,
        )
        terms[name] = config.coef * total * data["dp_size"]
    return terms


def _keep_means(metrics: dict[str, Any], means: TokenMeans, *, counts: bool) -> None:
    """Make verl's means skip micro-batches of rehearsal rows only, where every value is 0."""
    for name, metric in list(metrics.items()):
        if isinstance(metric, Metric) and metric.aggregation is AggregationType.MEAN:
            del metrics[name]
            value = torch.tensor(metric.aggregate() if counts else 0.0)
            means.add(name, value, torch.tensor(float(counts)))
