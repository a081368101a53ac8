"""``trl.GRPOTrainer`` with the methods of ``polypath.objectives``. It moves arrays and contains no formula.

It overrides seven private methods of TRL and the public ``train`` and ``training_step``, and copies none
of its code. tests/engines/trl pins their signatures and shapes. With every method off the loss
tensor that TRL returns is passed on unchanged.
"""

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.integrations import integration_utils as loggers
from trl import GRPOTrainer

from polypath.core import given
from polypath.core.answer_counts import AnswerCounts
from polypath.core.bank import Bank
from polypath.core.correctness import find_correctness
from polypath.core.groups import GroupRows, GroupStage
from polypath.core.objectives import read_similarity
from polypath.core.rehearsal import Rehearsal, RehearsalBatch, exploration_rows
from polypath.core.solutions import (
    find_solution_function,
    require_different_solutions,
    require_solutions_to_count,
)
from polypath.core.statistics import TokenMeans, gradient_sizes
from polypath.core.step import StepShape, normalize, part_of_loss, warn_inexact_resume
from polypath.core.terms import TokenBatch, gradient_by, policy_terms
from polypath.core.verdicts import completion_text
from polypath.engines.trl import bank, dynamic_sampling, history, shared_prefill, skipping
from polypath.engines.trl.averaging import WeightAverage
from polypath.engines.trl.config import DiversityGRPOConfig
from polypath.engines.trl.forward import (
    counted_tokens,
    in_buckets,
    scored_tokens_only,
    sequence_logps,
)
from polypath.engines.trl.processes import AccelerateProcesses
from polypath.engines.trl.resume import KeptInCheckpoints, ReplayEpochs
from polypath.engines.trl.setup import make_rehearsal, two_backwards, whole_models
from polypath.errors import ConfigError
from polypath.objectives import ON_POLICY_KL, Active
from polypath.rehearsal import RehearsalSet
from polypath.sampling.model_files import model_errors
from polypath.sampling.prompts import template_errors
from polypath.similarity import Similarity, get_similarity
from polypath.similarity.policy import mean_hidden_states
from polypath.tasks.solutions import SolutionFunction

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


class DiversityGRPOTrainer(GRPOTrainer):  # type: ignore[misc]  # trl ships no types
    """``GRPOTrainer`` for ``DiversityGRPOConfig``; takes the same arguments.

    Args:
        *positional: as ``GRPOTrainer``.
        similarity: overrides ``args.similarity``: a name, or a function
            ``(texts_P_G: list[list[str]]) -> similarity_P_G_G``.
        solution_fn: ``(text, row) -> canonical solution or None``: which completions are the same
            solution; or a name, as ``args.solution_fn``, which it overrides. Default: the ``solution``
            method of a reward function that has one (``TaskReward`` does).
        objectives: your own methods, switched on: ``[MY_ENTRY.on(...), ...]``, in addition to those of
            the settings.
        **named: as ``GRPOTrainer``.

    Raises:
        ConfigError: the settings, the reward functions and the rehearsal set do not fit together.
        DataError: the data has no prompts; in training: a reward function fails, or gives no rewards.
        MissingFileError: the model or the rehearsal set does not exist.
        MissingExtraError: a setting needs a package that is not installed (``use_vllm``: vLLM).
    """

    args: DiversityGRPOConfig
    beta: float
    reward_funcs: list[Any]

    def __init__(
        self,
        *positional: Any,
        similarity: Any = None,
        solution_fn: SolutionFunction | str | None = None,
        objectives: Sequence[Active[Any]] = (),
        **named: Any,
    ) -> None:
        # In the order of GRPOTrainer's parameters.
        named = dict(inspect.signature(GRPOTrainer).bind_partial(*positional, **named).arguments)
        config = named.get("args")
        if config is None:
            config = named["args"] = DiversityGRPOConfig("diversity-grpo")
        if not isinstance(config, DiversityGRPOConfig):
            raise ConfigError(
                f"args must be a DiversityGRPOConfig, got {type(config).__name__}. It takes every "
                "setting of trl.GRPOConfig under the same name."
            )
        self._given = tuple(objectives)
        self._objectives = config.objectives.plus(self._given)
        self._objectives.check_groups(config.num_generations, config.multi_objective_aggregation)
        self._objectives.check_updates(config.on_policy)
        given.check_given(named)
        installed = loggers.get_available_reporting_integrations()  # type: ignore[no-untyped-call]
        given.check_loggers(config.report_to, loggers.INTEGRATION_TO_CALLBACK, installed)
        rehearsal = config.rehearsal
        stored = RehearsalSet.load(str(rehearsal.folder)) if rehearsal.on else None
        if stored is not None and rehearsal.explore_only:
            rows = named.get("train_dataset")
            named["train_dataset"] = exploration_rows(rows, stored.excluded_prompts)
        model = named.get("model")
        files = model_errors(model) if isinstance(model, str) else nullcontext()
        with given.own_errors(), files:  # for vLLM, peft, liger: TRL says what to install
            super().__init__(**named)
        readers = [self.processing_class, *filter(None, self.reward_processing_classes)]
        self._has_template = all(getattr(reader, "chat_template", None) for reader in readers)
        given.check_given(named, has_template=self._has_template)
        self._processes = AccelerateProcesses(self.accelerator)
        chosen, similarity = solution_fn or config.solution_fn, similarity or config.similarity
        warned = config.diversity_metrics and self._processes.rank == 0
        self._solution_fn = find_solution_function(chosen, self.reward_funcs, warned=warned)
        if similarity == "answer" and self._objectives.compare:
            require_different_solutions(chosen, self.reward_funcs)
        self._groups = self._group_stage(similarity)
        self._generated: Any = None  # columns, texts, token ids and raw rewards of this process
        self._means = TokenMeans()
        self._forward: tuple[Tensor, Tensor | None] | None = None
        self._capture_forward = False
        self._defers_old_logps = False
        self._two_backwards = False
        self._rehearsal: Rehearsal | None = None
        if stored is not None:
            self._rehearsal = make_rehearsal(
                config,
                stored,
                self._objectives.divergence,
                model=self.accelerator.unwrap_model(self.model),
                tokenizer=self._tokenizer,
                processes=self._processes.world,
            )
        self._kept: list[KeptInCheckpoints] = []
        self._history: AnswerCounts | None = None
        if self._objectives.counts:
            require_solutions_to_count(chosen, self.reward_funcs)
            self._history = AnswerCounts()
            self._kept.append(history.HistoryCheckpoints(self._history))
        self._bank: Bank | None = None
        if config.bank_config.on:
            self._bank = bank.make_bank(
                config,
                chosen,
                self.reward_funcs,
                processes=self._processes.world,
                pad_token_id=self._tokenizer.pad_token_id,
            )
            self._kept.append(bank.BankCheckpoints(self._bank))
        self.callback_handler.callbacks[:0] = self._kept  # first, as the average's below
        self.add_callback(ReplayEpochs())
        self.weight_average: WeightAverage | None = None
        if config.average_weights_from is not None:
            self.weight_average = WeightAverage(config.average_weights_from)
            # First, so that what other callbacks save, upload or mark as complete holds the mean.
            self.callback_handler.callbacks.insert(0, self.weight_average)
        if config.shared_prefill:
            shared_prefill.check(self)
        if config.dynamic_sampling_rounds:
            dynamic_sampling.check(
                config,
                self.train_dataset,
                processes=self._processes.world,
                images=self._is_vlm,
            )
        if config.skip_rows_without_gradient:
            skipping.warn_if_none(self, self._objectives.terms)
        if config.save_strategy == "steps" and config.save_steps >= 1:
            warn_inexact_resume(
                save_steps=int(config.save_steps),
                accumulation=config.gradient_accumulation_steps,
                cycle=config.steps_per_generation * config.num_iterations,
            )

    def _group_stage(self, similarity: Any) -> GroupStage:
        config, special = self.args, self._tokenizer.all_special_ids
        with whole_models():
            compared: Similarity = get_similarity(
                similarity,
                read_similarity(
                    config.method_values,
                    ignored_token_ids=tuple(special),
                    embedding_device=str(self.accelerator.device),
                    embedding_trust_remote_code=bool(config.trust_remote_code),
                ),
            )
        return GroupStage(
            objectives=self._objectives,
            similarity=compared,
            processes=self._processes,
            correctness=find_correctness(
                config.correctness_reward,
                self.reward_funcs,
                self.reward_func_names,
                config.correctness_threshold,
                warned=self._processes.rank == 0,
            ),
            advantages=config.advantage_config,
            special_ids=frozenset(special),
            measured=config.diversity_metrics,
            knows_solutions=self._solution_fn is not None,
        )

    def train(self, resume_from_checkpoint: Any = None, *rest: Any, **named: Any) -> Any:
        """Train as TRL does; with ``average_weights_from`` the model ends with the mean of its weights."""
        known = isinstance(resume_from_checkpoint, (str, Path))  # True: the last in output_dir
        for kept in (self.weight_average, *self._kept):
            if kept is not None:
                kept.checkpoint = resume_from_checkpoint if known else None
        with given.logger_errors(self.args.report_to):
            result = super().train(resume_from_checkpoint, *rest, **named)
        if self.weight_average is not None and self.use_vllm:
            self._last_loaded_step = -1  # vLLM may still hold the last weights, those of this step
        return result

    def _read_settings(self) -> None:
        """Read the settings again: a callback may change one during training, such as a coefficient."""
        self._objectives = self.args.objectives.plus(self._given)
        self._groups.objectives = self._objectives
        self._groups.measured = self.args.diversity_metrics
        self._groups.correctness.threshold = self.args.correctness_threshold
        if self._rehearsal is not None:
            self._rehearsal.config = self.args.rehearsal
            self._rehearsal.member = self._objectives.divergence
        if self._bank is not None:
            self._bank.config = self.args.bank_config
            self._bank.member = self._objectives.bank_divergence

    def _log_means(self, values: dict[str, float]) -> None:
        """Append to the metrics that TRL averages and logs; it leaves NaN out."""
        mode = "train" if self.model.training else "eval"
        for name, value in values.items():
            self._metrics[mode][name].append(value)

    # --- generation ----------------------------------------------------------------------------------

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> Tensor:
        """Keep the raw rewards, ``(P*G, functions)`` over all processes, before TRL combines them."""
        arguments = (inputs, prompts, completions, completion_ids_list)
        functions = self.reward_funcs
        self.reward_funcs = given.checked_functions(functions, self.reward_func_names)
        try:
            rewards_PG_F: Tensor = super()._calculate_rewards(*arguments)
        finally:
            self.reward_funcs = functions
        first = self._processes.rank * len(completions)
        self._generated = (
            inputs,
            [completion_text(completion) for completion in completions],
            [list(ids) for ids in completion_ids_list],
            rewards_PG_F[first : first + len(completions)],
        )
        return rewards_PG_F

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        """Generate; with ``shared_prefill`` by a loop that reads a prompt once for its group."""
        model = self.accelerator.unwrap_model(self.model)
        shared = self.args.shared_prefill
        with shared_prefill.in_place_of_generate(model) if shared else nullcontext():
            return super()._generate_single_turn(*args, **kwargs)

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        with nullcontext() if isinstance(prompts[0], str) else template_errors(self._tokenizer):
            return super()._tokenize_prompts(prompts)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """Add the log-probs under the sampling policy that ``_generate_and_score_completions`` put off."""
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._buffered_inputs is not before and self._may_defer_old_logps():
            first = self._step % self.args.steps_per_generation
            # In its only pass, the micro-batch of this step meets the policy that sampled it: ratio 1.
            start = first + 1 if self.num_iterations == 1 else 0
            for batch in self._buffered_inputs[start:]:
                if "old_per_token_logps" not in batch:
                    batch["old_per_token_logps"] = skipping.old_logps(
                        self, batch, self._objectives.terms, self._processes
                    )
        return inputs

    def _may_defer_old_logps(self) -> bool:
        """Return whether only rows with a gradient need log-probs under the policy that sampled them."""
        return (
            self.args.skip_rows_without_gradient
            and self.model.training
            and not self.use_vllm  # corrects for its sampler with them
            and not self.args.on_policy  # needs none
            and skipping.needs_every_row(self, self._objectives.terms) is None
        )

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        """Generate a batch; with dynamic sampling, generate again for groups without a gradient."""
        batch = self._generate_once(inputs)
        if self.model.training and self.args.dynamic_sampling_rounds:
            batch, logged = dynamic_sampling.fill(self, batch, self._generate_once, self._processes)
            self._log_means(logged)
        return batch

    def _generate_once(self, inputs: Any) -> dict[str, Any]:
        """Add correctness to the batch; replace its advantages if a group method is on."""
        given.check_prompts(inputs, "A row of the data", has_template=self._has_template)
        self._defers_old_logps = self._may_defer_old_logps()
        try:
            batch: dict[str, Any] = super()._generate_and_score_completions(inputs)
        finally:
            self._defers_old_logps = False
        if self._generated is None:
            return batch
        (columns, texts, token_ids, rewards_B_F), self._generated = self._generated, None
        self._read_settings()
        judged = self._groups.correctness(rewards_B_F)
        batch["correct"], batch["scored"] = judged.correct_B, ~judged.reward_B.isnan()
        if self._groups.acts or self._objectives.terms:
            self._groups.correctness.watch(judged)
        filled = self._bank if self.model.training else None
        if not self._groups.acts and filled is None and self._history is None:
            return batch
        solutions = [
            None if self._solution_fn is None else self._solution_fn(text, row)
            for text, row in zip(texts, columns, strict=True)
        ]
        if filled is not None:
            self._log_means(bank.fill(self, filled, batch, texts, token_ids, solutions))
        seen_B = None
        if self._history is not None:
            seen_B, told = history.see(self, self._history, batch, solutions)
            self._log_means(told)
        if not self._groups.acts:
            return batch
        group_size = self.num_generations if self.model.training else self.num_generations_eval
        first = self._processes.rank * len(texts)
        result = self._groups(
            GroupRows(
                keys=[(first + row) // group_size for row in range(len(texts))],
                texts=texts,
                token_ids=token_ids,
                solutions=solutions,
                rewards_B_F=rewards_B_F,
                weights_F=self.reward_weights,
                hidden_B_D=partial(
                    mean_hidden_states, self.model, batch, self.args.per_device_train_batch_size
                ),
                sequence_logp_B=partial(sequence_logps, self, batch),
                seen_B=seen_B,
            )
        )
        self._log_means(result.metrics)
        if result.advantages_B is not None and result.advantages_all is not None:
            batch["advantages"] = result.advantages_B.to(batch["advantages"])
            logged = self._logs["advantages"]  # what TRL's table of completions shows
            for _ in range(min(len(logged), len(result.advantages_all))):
                logged.pop()
            logged.extend(result.advantages_all.tolist())
        return batch

    # --- loss ----------------------------------------------------------------------------------------

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run the forward in buckets; keep what the loss got, so that no term runs it again."""
        if self._defers_old_logps:
            return None, None, None
        skips = self.args.skip_rows_without_gradient
        with scored_tokens_only() if skips else nullcontext():
            result = in_buckets(
                super()._get_per_token_logps_and_entropies,
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size,
                buckets=self.args.length_buckets,
                processes=self._processes.world,
                **kwargs,
            )
        if self._capture_forward:
            self._forward = (result[0], result[1])
            self._capture_forward = False
        return result

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Run TRL's step; stored rows follow the policy's backward where two backwards are allowed."""
        self._two_backwards = two_backwards(self.args, self.accelerator.distributed_type)
        try:
            loss: Tensor = super().training_step(*args, **kwargs)
        finally:
            self._two_backwards = False
        return loss

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """Return TRL's loss plus the terms that are on."""
        self._read_settings()
        training, measured = self.model.training, self.args.diversity_metrics
        own_kl = self.beta != 0.0 and self.args.kl_gradient is not None
        stored = self._stored_rows() if training else []
        self._two_backwards = self._two_backwards and bool(stored)
        step = self._step_shape(inputs)
        inputs, share = self._rows_to_run(inputs)
        loss, logp_B_T, entropy_B_T = self._policy_loss(model, inputs, 0.0 if own_kl else self.beta)
        loss = loss if share is None else loss * share
        mask_B_T = counted_tokens(inputs)
        old_B_T = inputs.get("old_per_token_logps")
        batch = TokenBatch(
            logp_B_T=logp_B_T,
            # On-policy TRL computes no second set either.
            behaviour_logp_B_T=logp_B_T.detach() if old_B_T is None else old_B_T,
            mask_B_T=mask_B_T,
            correct_B=inputs.get("correct"),
            advantages_B=inputs["advantages"],
            entropy_B_T=entropy_B_T,
            sampler_weight_B_T=inputs.get("importance_sampling_ratio"),
            policy_gradient=partial(gradient_by, logp_B_T, loss),
        )
        terms = {}
        if own_kl:
            terms["kl"] = self.beta * self._kl_penalty(batch, inputs["ref_per_token_logps"], step)
        means = self._means if measured and training else None
        terms |= policy_terms(self._objectives.terms, batch, step, means)
        sizes: dict[str, Tensor] = {}
        if means is not None:
            sizes = gradient_sizes({"policy": loss, **terms}, logp_B_T, mask_B_T)
        for term in terms.values():
            loss = loss + term
        if self._two_backwards:  # frees its activations before stored rows allocate more
            self.accelerator.backward(loss)
            loss = loss.detach()
        for source, rows in stored:
            loss = loss + self._rehearsal_loss(model, source, rows, sizes)
        if measured:
            self._means.add_shares("gradient_share", sizes)
            if entropy_B_T is not None and batch.correct_B is not None:
                self._means.add_entropy(entropy_B_T, mask_B_T, batch.correct_B, inputs["scored"])
        # Once per step or evaluation batch: one collective and one wait for the device.
        if not training or self.accelerator.sync_gradients:
            self._log_means(self._means.flush(self._processes))
        return loss

    def _rows_to_run(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], Tensor | float | None]:
        """Return the rows of a micro-batch with a gradient, and the factor for their loss."""
        skips = self.args.skip_rows_without_gradient and self.model.training
        if not skips or skipping.needs_every_row(self, self._objectives.terms):
            return inputs, None
        mask_B_T = counted_tokens(inputs)
        moved_B = skipping.rows_with_gradient(inputs, self._objectives.terms)
        rows = skipping.choose_rows(moved_B, inputs["completion_mask"], self._processes)
        total = torch.tensor(float(len(mask_B_T)), device=mask_B_T.device)
        self._means.add("rows_skipped", total - len(rows), total)
        if len(rows) == len(mask_B_T):
            return inputs, None
        share = part_of_loss(LOSS_RULES[self.loss_type], mask_B_T, rows)
        return skipping.part(inputs, rows), share

    def _policy_loss(
        self, model: Any, inputs: dict[str, Any], beta: float
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return TRL's loss with its KL penalty at ``beta``, and its forward's log-probs and entropies."""
        # The reference log-probs are there even without its penalty.
        whole, self.beta = self.beta, beta
        # The rehearsal's backward, which comes last, synchronises the gradients of both.
        local = self.accelerator.no_sync(model) if self._two_backwards else nullcontext()
        self._capture_forward = True
        try:
            with local:
                loss: Tensor = super()._compute_loss(model, inputs)
        finally:
            self.beta = whole
            self._capture_forward = False
        if self._forward is None:
            raise RuntimeError("TRL's _compute_loss did not run the policy's forward.")
        (logp_B_T, entropy_B_T), self._forward = self._forward, None
        return loss, logp_B_T, entropy_B_T

    def _step_shape(self, inputs: dict[str, Any]) -> StepShape:
        """Return the optimizer step (or evaluation batch) that a micro-batch is part of."""
        accumulation = self.current_gradient_accumulation_steps if self.model.training else 1
        tokens = inputs["num_items_in_batch"]  # counted over the generation batch
        if self.model.training:
            tokens = tokens * accumulation / self.args.steps_per_generation
        world = self._processes.world
        return StepShape(
            accumulation=accumulation,
            processes=world,
            tokens=tokens,
            sequences=len(inputs["completion_mask"]) * accumulation * world,
            max_length=self.max_completion_length,
        )

    def _kl_penalty(self, batch: TokenBatch, ref_logp_B_T: Tensor, step: StepShape) -> Tensor:
        """Return the penalty that ``kl_gradient`` names, averaged as TRL averages its own."""
        penalty = ON_POLICY_KL[str(self.args.kl_gradient)]
        kl_B_T = penalty(batch.logp_B_T, ref_logp_B_T, batch.mask_B_T)
        self._means.add_tokens("kl", kl_B_T, batch.mask_B_T)  # under the name of TRL's own
        return normalize(kl_B_T, batch.mask_B_T, step, LOSS_RULES[self.loss_type])

    def _stored_rows(self) -> list[tuple[Rehearsal | Bank, RehearsalBatch]]:
        """Return the stored rows of this micro-step: those of the rehearsal set, and of the bank."""
        batches = [
            (
                source,
                source.next_batch(
                    step=self.state.global_step,
                    micro_steps=self.current_gradient_accumulation_steps,
                    processes=self._processes,
                    device=self.accelerator.device,
                ),
            )
            for source in (self._rehearsal, self._bank)
            if source is not None
        ]
        return [(source, batch) for source, batch in batches if batch is not None]

    def _rehearsal_loss(
        self, model: Any, source: Any, batch: RehearsalBatch, sizes: dict[str, Tensor]
    ) -> Tensor:
        """Run stored rows of this micro-step and return their share of the loss."""
        logp_B_T: Tensor = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([batch.prompt_ids, batch.completion_ids], dim=1),
            torch.cat([batch.prompt_mask, batch.completion_mask], dim=1),
            batch.completion_ids.shape[1],
        )[0]
        loss: Tensor = source.config.coef * source.loss(
            logp_B_T,
            batch,
            first=self.state.global_step == 0,
            processes=self._processes,
            means=self._means,
        )
        if self.args.diversity_metrics:
            sizes |= gradient_sizes({source.name: loss}, logp_B_T, batch.completion_mask)
        return loss
