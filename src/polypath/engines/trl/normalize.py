"""From a value per token to a term of the loss, exact over micro-steps and processes.

TRL sums the losses of an optimizer step's micro-steps and averages them over processes, so each
must carry its share of the step's mean.
"""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from polypath.objectives.aggregate import sequence_mean, token_sum

if TYPE_CHECKING:
    from polypath.engines.trl.trainer import DiversityGRPOTrainer

# How TRL 1.16 normalises each of its losses, and with it the penalty for beta > 0.
LOSS_RULES = {
    "grpo": "sequence_mean",
    "sapo": "sequence_mean",
    "bnpo": "micro_batch_mean",
    "dr_grpo": "constant",
    "luspo": "sequence_sum",
    "dapo": "token_mean",
    "cispo": "token_mean",
    "vespo": "token_mean",
}


def normalize(
    trainer: "DiversityGRPOTrainer",
    values_B_T: Tensor,
    mask_B_T: Tensor,
    inputs: dict[str, Any],
    rule: str,
) -> Tensor:
    """Average a term over the tokens of a micro-batch; what the steps and processes add up to.

    Args:
        trainer: knows the layout of the step.
        values_B_T: the term, per token.
        mask_B_T: 1 on the tokens that count.
        inputs: TRL's batch; its ``num_items_in_batch`` counts tokens over the generation batch.
        rule: ``sequence_mean`` (over tokens, then completions) and ``token_mean`` (over all tokens)
            do not depend on how the step is cut into micro-batches, ``token_mean`` as long as
            its tokens were generated together; ``micro_batch_mean``, ``constant`` (divided by the
            largest possible number of tokens) and ``sequence_sum`` are those of TRL's losses.
    """
    accumulation = trainer.current_gradient_accumulation_steps if trainer.model.training else 1
    if rule == "sequence_mean":
        # Every micro-batch holds equally many completions, so the mean of means is the mean.
        return sequence_mean(values_B_T, mask_B_T) / accumulation
    if rule == "token_mean":
        tokens = inputs["num_items_in_batch"] / trainer.accelerator.num_processes
        if trainer.model.training:  # the count spans the generation batch: scale to this step
            tokens = tokens * accumulation / trainer.args.steps_per_generation
        return token_sum(values_B_T, mask_B_T, tokens=tokens)
    completions = len(values_B_T)
    divisors: dict[str, Tensor | float] = {
        "micro_batch_mean": mask_B_T.sum(),
        "constant": float(completions * trainer.max_completion_length),
        "sequence_sum": float(completions),
    }
    return token_sum(values_B_T, mask_B_T, tokens=divisors[rule]) / accumulation
