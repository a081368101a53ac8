"""``CollapseMonitor``: detect diversity collapse in any TRL GRPO run, without changing the trainer."""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

from polypath.core.correctness import find_correctness
from polypath.core.groups import watched_groups
from polypath.core.probe import Probe
from polypath.core.solutions import find_solution_function
from polypath.core.verdicts import completion_text
from polypath.engines.trl.processes import AccelerateProcesses
from polypath.errors import ConfigError
from polypath.rehearsal.padding import pad_left, pad_right
from polypath.sampling.prompts import tokenize_prompts
from polypath.sampling.request import DrawRequest
from polypath.sampling.settings import SamplingSettings
from polypath.sampling.transformers import Completion, pad_token_id, sample
from polypath.tasks.base import Problem, Task
from polypath.tasks.solutions import SolutionFunction

FORWARD_ROWS = 64  # completions in one entropy forward


class CollapseMonitor(TrainerCallback):
    """Curves of accuracy, entropy, distinct solutions and pass@k, and a warning when pass@k falls.

    Two sources: the training groups themselves (keys ``diversity/...``, every step) and a probe set
    of held-out problems sampled every ``every`` steps (keys ``probe/...``). Sampling uses its own
    random streams: the run trains to the same parameters with and without the monitor.

    ::

        trainer = GRPOTrainer(...)
        trainer.add_callback(CollapseMonitor(trainer, task, task.problems("dev", 64)))
        trainer.train()

    Args:
        trainer: a ``trl.GRPOTrainer`` or a subclass.
        task: verifies completions of the probe.
        probe: problems to sample; none of them should be trained on.
        num_samples: samples per probe problem, >= 2.
        every: steps between probes, >= 1. The first comes before the first update.
        ks: pass@k to log; those above ``num_samples`` are refused.
        correct_above: a raw reward above this is correct.
        correctness_reward: name, or names, of the reward functions that decide what is correct; by
            default found as for ``DiversityGRPOConfig.correctness_reward``.
        solution_fn: what a solution is, as ``DiversityGRPOConfig.solution_fn``. Where nothing defines
            it, distinct solutions and duplicates of the training groups are not logged.
        seed: for the probe's samples.

    Raises:
        ConfigError: an argument is out of range.

    Attributes:
        history: one dict per probe, with ``step`` and every logged value.
    """

    def __init__(
        self,
        trainer: Any,
        task: Task,
        probe: Sequence[Problem],
        *,
        num_samples: int = 16,
        every: int = 50,
        ks: Sequence[int] = (1, 4, 16),
        correct_above: float = 0.5,
        correctness_reward: str | Sequence[str] | None = None,
        solution_fn: SolutionFunction | str | None = None,
        seed: int = 0,
    ) -> None:
        if every < 1:
            raise ConfigError(f"CollapseMonitor needs every >= 1, got {every}.")
        self._probe = Probe(probe, num_samples, ks)
        self._trainer = trainer
        self._processes = AccelerateProcesses(trainer.accelerator)
        self._task = task
        self._every = every
        self._settings = SamplingSettings(
            temperature=trainer.args.temperature,
            max_new_tokens=trainer.args.max_completion_length,
            batch_size=512,
            seed=seed,
        )
        self.history: list[dict[str, float]] = []
        first = self._processes.rank == 0
        self._correctness = find_correctness(
            correctness_reward,
            trainer.reward_funcs,
            trainer.reward_func_names,
            correct_above,
            warned=first,
        )
        if not getattr(trainer.args, "diversity_metrics", False):  # the trainer logs its own groups
            solution = find_solution_function(solution_fn, trainer.reward_funcs, warned=first)
            self._watch_rewards(solution)

    @property
    def warned_at(self) -> list[int]:
        """The steps at which a fall of pass@k was reported."""
        return self._probe.warned_at

    # --- training groups ---------------------------------------------------------------------------

    def _watch_rewards(self, solution: SolutionFunction | None) -> None:
        """Watch the raw rewards of every generation, from any kind of reward function."""
        trainer, inside = self._trainer, self._trainer._calculate_rewards

        @functools.wraps(inside)
        def watched(inputs: Any, prompts: Any, completions: Any, *rest: Any) -> Any:
            rewards_PG_F = inside(inputs, prompts, completions, *rest)
            solutions = None
            if solution is not None:
                texts = map(completion_text, completions)
                mine = [solution(text, row) for text, row in zip(texts, inputs, strict=True)]
                solutions = self._processes.gather_objects(mine)
            mode = "train" if trainer.model.training else "eval"
            size = trainer.num_generations if mode == "train" else trainer.num_generations_eval
            metrics = watched_groups(rewards_PG_F, solutions, size, self._correctness)
            for name, value in metrics.items():
                trainer._metrics[mode][name].append(value)
            return rewards_PG_F

        trainer._calculate_rewards = watched

    # --- probe -------------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Probe the model before its first update."""
        del args, control, kwargs
        self._measure(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Probe every ``every`` steps."""
        del args, control, kwargs
        if state.global_step % self._every == 0:
            self._measure(state.global_step)

    def _measure(self, step: int) -> None:
        """Sample the probe and log its metrics."""
        trainer = self._trainer
        mine, filler = self._probe.part(self._processes.rank, self._processes.world)
        batches = sample(
            trainer.accelerator.unwrap_model(trainer.model),
            trainer.processing_class,
            DrawRequest(
                problems=mine, num_samples=self._probe.num_samples, settings=self._settings
            ),
        )
        completions = [completion for batch in batches for completion in batch]
        completions.sort(key=lambda c: (c.problem.problem_id, c.sample_id))
        verdicts = self._task.verify_batch(
            [c.text for c in completions], [c.problem.gold for c in completions]
        )
        rows = zip(completions, verdicts, self._entropies(completions), strict=True)
        kept = [(v, e) for c, v, e in rows if c.problem.problem_id != filler]
        everyone = self._processes.gather_objects(kept)
        values = self._probe.measure(step, [v for v, _ in everyone], [e for _, e in everyone])
        told = {f"probe/{name}": value for name, value in values.items() if value == value}
        # Logged at this step: TRL's own log would average it with earlier values. It also switches off
        # the log that is due.
        due = trainer.control.should_log
        Trainer.log(trainer, told)
        trainer.control.should_log = due
        self.history.append({"step": float(step), **values})

    @torch.no_grad()
    def _entropies(self, completions: list[Completion]) -> list[float]:
        """Return the mean entropy in nats over the tokens of each completion."""
        trainer = self._trainer
        model, tokenizer = trainer.model, trainer.processing_class
        pad = pad_token_id(trainer.accelerator.unwrap_model(model), tokenizer)
        device = trainer.accelerator.device
        found: list[float] = []
        was_training = model.training
        model.eval()
        for start in range(0, len(completions), FORWARD_ROWS):
            batch = completions[start : start + FORWARD_ROWS]
            prompts = tokenize_prompts(tokenizer, [c.problem.prompt for c in batch])
            prompt_ids, prompt_mask = pad_left(prompts, pad)
            completion_ids, mask_B_T = pad_right([c.token_ids for c in batch], pad)
            entropy_B_T = trainer._get_per_token_logps_and_entropies(
                model,
                torch.cat([prompt_ids, completion_ids], dim=1).to(device),
                torch.cat([prompt_mask, mask_B_T], dim=1).to(device),
                mask_B_T.shape[1],
                compute_entropy=True,
            )[1].cpu()
            total_B = (entropy_B_T * mask_B_T).sum(dim=1)
            found += (total_B / mask_B_T.sum(dim=1).clamp(min=1)).tolist()
        model.train(was_training)
        return found
