"""``trl.GRPOTrainer`` with reward adjustment, policy terms and rehearsal. It holds no formula.

Four private methods of TRL are overridden, and the public ``train`` and ``training_step``; none of its
code is copied. tests/engines/trl pins their signatures and shapes. With every method off the loss
tensor that TRL returns is passed on untouched.
"""

import inspect
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer

from polypath.engines.trl.averaging import WeightAverage
from polypath.engines.trl.config import DiversityGRPOConfig
from polypath.engines.trl.groups import Groups
from polypath.engines.trl.normalize import LOSS_RULES, normalize
from polypath.engines.trl.rehearsal import (
    Rehearsal,
    RehearsalBatch,
    exploration_rows,
    rows_per_step,
    two_backwards,
)
from polypath.engines.trl.resume import ReplayEpochs
from polypath.engines.trl.rewards import SolutionFunction, find_solution_function
from polypath.engines.trl.setup import (
    check_rehearsal_set,
    correctness_column,
    warn_inexact_resume,
    whole_models,
)
from polypath.engines.trl.telemetry import Telemetry
from polypath.errors import ConfigError, MissingExtraError
from polypath.objectives import ON_POLICY_KL, POLICY_TERMS
from polypath.objectives.positive_entropy import capped_tokens
from polypath.rehearsal import RehearsalSet
from polypath.similarity import SimilarityConfig, get_similarity


class DiversityGRPOTrainer(GRPOTrainer):  # type: ignore[misc]  # trl ships no types
    """``GRPOTrainer`` for ``DiversityGRPOConfig``; takes the same arguments.

    Args:
        *positional: as ``GRPOTrainer``.
        similarity: overrides ``args.similarity``: a name, or a function
            ``(texts_P_G: list[list[str]]) -> similarity_P_G_G``.
        solution_fn: ``(text, row) -> canonical solution or None``: which completions are the same
            solution. Default: the ``solution`` method of a reward function that has one
            (``TaskReward`` does), else the text with white space folded.
        **named: as ``GRPOTrainer``.

    Raises:
        ConfigError: the settings, the reward functions and the rehearsal set do not fit together.
        MissingFileError: the rehearsal set does not exist.
        MissingExtraError: a setting needs a package that is not installed (``use_vllm``: vLLM).
    """

    args: DiversityGRPOConfig
    beta: float

    def __init__(
        self,
        *positional: Any,
        similarity: Any = None,
        solution_fn: SolutionFunction | None = None,
        **named: Any,
    ) -> None:
        named = _by_name(positional, named)
        config = named.get("args")
        if config is None:
            config = named["args"] = DiversityGRPOConfig("diversity-grpo")
        if not isinstance(config, DiversityGRPOConfig):
            raise ConfigError(
                f"args must be a DiversityGRPOConfig, got {type(config).__name__}. It takes every "
                "setting of trl.GRPOConfig under the same name."
            )
        stored = RehearsalSet.load(str(config.rehearsal_set)) if config.uses_rehearsal else None
        if stored is not None and config.rehearsal_explore_only:
            named["train_dataset"] = exploration_rows(
                named.get("train_dataset"), stored.excluded_prompts
            )
        try:
            super().__init__(**named)
        except ImportError as error:  # vLLM, peft, liger: TRL says what to install
            raise MissingExtraError(" ".join(str(error).split())) from error
        with whole_models():
            compared = get_similarity(
                similarity or config.similarity,
                SimilarityConfig(
                    ngram_max=config.similarity_ngram_max,
                    ignored_token_ids=tuple(self._tokenizer.all_special_ids),
                    embedding_model=config.embedding_model,
                    embedding_batch_size=config.embedding_batch_size,
                    embedding_max_tokens=config.embedding_max_tokens,
                    embedding_device=str(self.accelerator.device),
                    embedding_dtype=config.embedding_dtype,
                    embedding_trust_remote_code=bool(config.trust_remote_code),
                ),
            )
        self._groups = Groups(
            self,
            similarity=compared,
            solution_fn=solution_fn or find_solution_function(self.reward_funcs),
            correctness=correctness_column(config, self.reward_func_names),
        )
        self._telemetry = Telemetry(self)
        self._forward: tuple[Tensor, Tensor | None] | None = None
        self._capture_forward = False
        self._two_backwards = False
        self._rehearsal: Rehearsal | None = None
        if stored is not None:
            check_rehearsal_set(stored, self)
            self._rehearsal = Rehearsal(
                config=config,
                stored=stored,
                rows_per_step=rows_per_step(config, self.accelerator.num_processes),
                pad_token_id=self._tokenizer.pad_token_id,
            )
        self.add_callback(ReplayEpochs())
        self.weight_average: WeightAverage | None = None
        if config.average_weights_from is not None:
            self.weight_average = WeightAverage(config.average_weights_from)
            # First: what others save, upload or mark as whole is to hold the mean.
            self.callback_handler.callbacks.insert(0, self.weight_average)
        warn_inexact_resume(config)

    def train(self, resume_from_checkpoint: Any = None, *rest: Any, **named: Any) -> Any:
        """Train as TRL does; with ``average_weights_from`` the model then has the mean of its weights."""
        if self.weight_average is not None:
            known = isinstance(resume_from_checkpoint, (str, Path))  # True: the last in output_dir
            self.weight_average.checkpoint = resume_from_checkpoint if known else None
        result = super().train(resume_from_checkpoint, *rest, **named)
        if self.weight_average is not None and self.use_vllm:
            self._last_loaded_step = -1  # vLLM may hold the last weights, of the same step
        return result

    # --- generation ----------------------------------------------------------------------------------

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> Tensor:
        """Keep the raw rewards, ``(P*G, functions)`` over all processes, before TRL combines them."""
        rewards_PG_F: Tensor = super()._calculate_rewards(
            inputs, prompts, completions, completion_ids_list
        )
        self._groups.keep(inputs, completions, completion_ids_list, rewards_PG_F)
        return rewards_PG_F

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        """Add correctness to the batch and, with ``dra``, replace its advantages."""
        batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        self._groups.apply(batch)
        return batch

    # --- loss ----------------------------------------------------------------------------------------

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        """Keep what the policy's forward inside the loss returned, so that no term repeats it."""
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self._capture_forward:
            self._forward = (result[0], result[1])
            self._capture_forward = False
        return result

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Do TRL's step; rehearsal follows the policy's backward, where two backwards are allowed."""
        self._two_backwards = self._rehearsal is not None and two_backwards(self)
        try:
            loss: Tensor = super().training_step(*args, **kwargs)
        finally:
            self._two_backwards = False
        return loss

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """Return TRL's loss plus the terms that are on."""
        config = self.args
        self._capture_forward = True
        # The rehearsal's backward, which comes last, sends the gradients of both.
        local = self.accelerator.no_sync(model) if self._two_backwards else nullcontext()
        beta: float = self.beta
        own_kl = beta != 0.0 and config.kl_gradient is not None
        try:
            if own_kl:
                self.beta = 0.0  # TRL would add its own; the reference log-probs are there already
            with local:
                loss: Tensor = super()._compute_loss(model, inputs)
        finally:
            self.beta = beta
            self._capture_forward = False
        if self._forward is None:
            raise RuntimeError("TRL's _compute_loss did not run the policy's forward.")
        (logp_B_T, entropy_B_T), self._forward = self._forward, None
        mask_B_T = inputs["completion_mask"]
        if "tool_mask" in inputs:
            mask_B_T = mask_B_T * inputs["tool_mask"]
        terms: dict[str, Tensor] = {}
        if own_kl:
            terms["kl"] = beta * self._kl_penalty(logp_B_T, mask_B_T, inputs)
        if config.uses_positive_entropy:
            terms["positive_entropy"] = config.positive_entropy_coef * self._positive_entropy(
                logp_B_T, entropy_B_T, mask_B_T, inputs
            )
        gradients: dict[str, Tensor] = {}
        if config.diversity_metrics and self.model.training:
            gradients = self._telemetry.gradient_sizes(
                {"policy": loss, **terms}, logp_B_T, mask_B_T
            )
        for term in terms.values():
            loss = loss + term
        if self._rehearsal is not None and self.model.training:
            if self._two_backwards:  # frees the policy's activations before rehearsal makes its own
                self.accelerator.backward(loss)
                loss = loss.detach()
            loss = loss + config.rehearsal_coef * self._rehearsal_loss(
                model, self._rehearsal, gradients
            )
        if config.diversity_metrics:
            self._telemetry.forward(entropy_B_T, mask_B_T, inputs.get("correct"), gradients)
        self._telemetry.flush()
        return loss

    def _kl_penalty(self, logp_B_T: Tensor, mask_B_T: Tensor, inputs: dict[str, Any]) -> Tensor:
        """Return the penalty that ``kl_gradient`` names, averaged as TRL averages its own."""
        penalty = ON_POLICY_KL[str(self.args.kl_gradient)]
        kl_B_T = penalty(logp_B_T, inputs["ref_per_token_logps"], mask_B_T)
        self._telemetry.mean("kl", kl_B_T, mask_B_T)  # the name under which TRL logs its own
        return normalize(self, kl_B_T, mask_B_T, inputs, LOSS_RULES[self.loss_type])

    def _positive_entropy(
        self,
        logp_B_T: Tensor,
        entropy_B_T: Tensor | None,
        mask_B_T: Tensor,
        inputs: dict[str, Any],
    ) -> Tensor:
        settings = self.args.positive_entropy_config
        behaviour_B_T = inputs.get("old_per_token_logps")
        if behaviour_B_T is None:  # on-policy: TRL then computes no second set either
            behaviour_B_T = logp_B_T.detach()
        term_B_T = POLICY_TERMS["positive_entropy"](
            settings, logp_B_T, behaviour_B_T, mask_B_T, inputs["correct"], entropy_B_T
        )
        if "importance_sampling_ratio" in inputs:
            # vLLM drew the completions. The term is a mean over them as TRL's loss is, so it takes the same
            # weight, (B, T) or (B, 1), 0 where masked. Behaviour stays the trainer's own log-probs: the
            # sampler's are in this ratio alone.
            term_B_T = term_B_T * inputs["importance_sampling_ratio"]
        if self.args.diversity_metrics and self.model.training:
            over_B_T = capped_tokens(settings, logp_B_T, behaviour_B_T, mask_B_T, inputs["correct"])
            self._telemetry.mean("positive_entropy/cap_fraction", over_B_T, mask_B_T)
            self._telemetry.mean("positive_entropy/loss", term_B_T, mask_B_T)
        return normalize(self, term_B_T, mask_B_T, inputs, settings.normalization)

    def _rehearsal_loss(
        self, model: Any, rehearsal: Rehearsal, gradients: dict[str, Tensor]
    ) -> Tensor:
        """Run the rehearsal rows of this micro-step and return their part of the divergence."""
        world = self.accelerator.num_processes
        batch = rehearsal.next_batch(
            step=self.state.global_step,
            micro_steps=self.current_gradient_accumulation_steps,
            rank=self.accelerator.process_index,
            world=world,
            device=self.accelerator.device,
        )
        logp_B_T = self._rehearsal_forward(model, batch)
        loss: Tensor = rehearsal.loss(logp_B_T, batch) * world  # averaged over processes
        self._telemetry.rehearsal(rehearsal, logp_B_T, batch, loss)
        if self.args.diversity_metrics:
            gradients.update(
                self._telemetry.gradient_sizes(
                    {"rehearsal": self.args.rehearsal_coef * loss}, logp_B_T, batch.completion_mask
                )
            )
        return loss

    def _rehearsal_forward(self, model: Any, batch: RehearsalBatch) -> Tensor:
        logp_B_T: Tensor = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([batch.prompt_ids, batch.completion_ids], dim=1),
            torch.cat([batch.prompt_mask, batch.completion_mask], dim=1),
            batch.completion_ids.shape[1],
        )[0]
        return logp_B_T


def _by_name(positional: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """Name the arguments that were given by position, in ``GRPOTrainer``'s order."""
    bound = inspect.signature(GRPOTrainer).bind_partial(*positional, **named)
    return dict(bound.arguments)
