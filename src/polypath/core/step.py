"""From a value per token to a term of the loss, exact over micro-steps and processes."""

import math
import warnings
from dataclasses import dataclass

from torch import Tensor

from polypath.errors import unknown_name
from polypath.objectives.aggregate import sequence_mean, token_sum

RULES = ("sequence_mean", "token_mean", "micro_batch_mean", "constant", "sequence_sum", "sum")


@dataclass(frozen=True, kw_only=True)
class StepShape:
    """The optimizer step that a micro-batch is part of.

    An engine sums the losses of an optimizer step's micro-batches and averages them over processes. So
    each micro-batch must carry its share of the step's mean.

    Attributes:
        accumulation: micro-batches of the step on each process; 1 in evaluation.
        processes: processes that share the step.
        tokens: completion tokens that count in the loss, over the whole step and all processes.
        sequences: completions of the whole step, over all processes.
        max_length: largest number of tokens of a completion.
    """

    accumulation: int
    processes: int
    tokens: Tensor | float
    sequences: int
    max_length: int


def normalize(values_B_T: Tensor, mask_B_T: Tensor, step: StepShape, rule: str) -> Tensor:
    """Turn a micro-batch's values into its share of the step's mean, a 0-d tensor.

    Args:
        values_B_T: the term, per token; ignored outside the mask.
        mask_B_T: 1 on the tokens that count.
        step: the optimizer step.
        rule: ``sequence_mean``: mean over the tokens of each completion, then over all completions.
            ``token_mean``: mean over all tokens. Neither depends on how the step is divided into
            micro-batches and processes. ``constant``: sum divided by the largest possible number of
            tokens. ``sequence_sum``: sum over tokens, mean over completions. ``micro_batch_mean``: mean
            over the micro-batch's tokens, averaged over micro-batches. ``sum``: plain sum, for values that
            have their share of the step already.

    Raises:
        ConfigError: there is no such rule.
    """
    mine = step.sequences / step.processes  # completions of the step on one process, on average
    if rule == "sequence_mean":
        return sequence_mean(values_B_T, mask_B_T) / (mine / max(len(values_B_T), 1))
    divisors: dict[str, Tensor | float] = {
        "token_mean": step.tokens / step.processes,
        "constant": mine * step.max_length,
        "sequence_sum": mine,
        "sum": 1.0,
        "micro_batch_mean": mask_B_T.sum().clamp(min=1) * step.accumulation,
    }
    if rule not in divisors:
        raise unknown_name("normalization", rule, RULES)
    return token_sum(values_B_T, mask_B_T, tokens=divisors[rule])


def part_of_loss(rule: str, mask_B_T: Tensor, rows: Tensor) -> Tensor | float:
    """Return the factor that turns the loss of some rows into their part of the micro-batch's loss.

    Args:
        rule: how the loss is normalised, as in ``normalize``.
        mask_B_T: the tokens that count, of all rows.
        rows: numbers of the rows whose loss was computed; the others' is 0.
    """
    if rule == "token_mean":
        return 1.0  # divided by a number of the whole step
    if rule == "micro_batch_mean":
        return mask_B_T[rows].sum() / mask_B_T.sum().clamp(min=1)
    return len(rows) / len(mask_B_T)


def warn_inexact_resume(*, save_steps: int, accumulation: int, cycle: int) -> None:
    """Warn if checkpoints fall inside a generation cycle.

    Generated completions that are not used up are not saved. So a run that is resumed from such a
    checkpoint generates them again, from the newer policy.

    Args:
        save_steps: optimizer steps from one checkpoint to the next.
        accumulation: micro-steps of an optimizer step.
        cycle: micro-steps that use the completions of one generation.
    """
    if (save_steps * accumulation) % cycle:
        warnings.warn(
            f"save_steps={save_steps} ends inside a generation cycle of {cycle} micro-steps: a resumed run "
            "will not be bit for bit the uninterrupted one. Use a multiple of "
            f"{math.ceil(cycle / accumulation)} for save_steps to make it exact.",
            stacklevel=3,
        )
