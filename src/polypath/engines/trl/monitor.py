"""``CollapseMonitor``: see diversity collapse in any TRL GRPO run, without changing the trainer."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback
from trl.trainer.utils import is_async_callable

from polypath.core.probe import Probe
from polypath.core.statistics import group_metrics
from polypath.core.verdicts import completion_text, find_solution_function
from polypath.engines.trl.processes import AccelerateProcesses
from polypath.errors import ConfigError
from polypath.rehearsal.padding import pad_left, pad_right
from polypath.sampling.prompts import tokenize_prompts
from polypath.sampling.settings import SamplingSettings
from polypath.sampling.transformers import Completion, pad_token_id, sample
from polypath.tasks.base import Problem, Task

FORWARD_ROWS = 64  # completions in one entropy forward


class CollapseMonitor(TrainerCallback):
    """Curves of accuracy, entropy, distinct solutions and pass@k, and a warning when pass@k falls.

    Two sources: the training groups themselves (keys ``diversity/...``, every step) and a probe set
    of held-out problems sampled every ``every`` steps (keys ``probe/...``). Sampling uses random
    streams of its own: the run trains to the same parameters with and without the monitor.

    ::

        trainer = GRPOTrainer(...)
        trainer.add_callback(CollapseMonitor(trainer, task, task.problems("dev", 64)))
        trainer.train()

    Args:
        trainer: a ``trl.GRPOTrainer`` or a subclass. Its first reward function is watched, unless
            that is a model or asynchronous.
        task: verifies completions of the probe.
        probe: problems to sample; none of them should be trained on.
        num_samples: samples per probe problem, >= 2.
        every: steps between probes, >= 1. The first comes before the first update.
        ks: pass@k to log; those above ``num_samples`` are refused.
        correct_above: a raw reward of the first reward function above this is correct.
        seed: of the probe's samples.

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
        seed: int = 0,
    ) -> None:
        if every < 1:
            raise ConfigError(f"CollapseMonitor needs every >= 1, got {every}.")
        self._probe = Probe(probe, num_samples, ks)
        self._trainer = trainer
        self._processes = AccelerateProcesses(trainer.accelerator)
        self._task = task
        self._every = every
        self._correct_above = correct_above
        self._settings = SamplingSettings(
            temperature=trainer.args.temperature,
            max_new_tokens=trainer.args.max_completion_length,
            batch_size=512,
            seed=seed,
        )
        self.history: list[dict[str, float]] = []
        self._watch_rewards()

    @property
    def warned_at(self) -> list[int]:
        """The steps at which a fall of pass@k was reported."""
        return self._probe.warned_at

    # --- training groups ---------------------------------------------------------------------------

    def _watch_rewards(self) -> None:
        """Wrap the first reward function, so that its groups are seen at every step."""
        function = self._trainer.reward_funcs[0]
        if isinstance(function, torch.nn.Module) or is_async_callable(function):
            return  # TRL calls these in ways of its own; the probe is measured all the same
        solution = find_solution_function(self._trainer.reward_funcs)

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            rewards = function(*args, **kwargs)
            self._log_groups(list(rewards), kwargs, solution)
            return rewards

        self._trainer.reward_funcs[0] = watched

    def _log_groups(self, rewards: list[Any], kwargs: dict[str, Any], solution: Any) -> None:
        texts = [completion_text(completion) for completion in kwargs["completions"]]
        columns = {
            key: values
            for key, values in kwargs.items()
            if isinstance(values, list) and len(values) == len(texts)
        }
        rows = [{key: values[i] for key, values in columns.items()} for i in range(len(texts))]
        mine = [
            (solution(text, row), np.nan if reward is None else float(reward))
            for text, row, reward in zip(texts, rows, rewards, strict=True)
        ]
        seen = self._processes.gather_objects(mine)
        trainer = self._trainer
        training = trainer.model.training
        size = trainer.num_generations if training else trainer.num_generations_eval
        solutions = [answer for answer, _ in seen]
        metrics = group_metrics(
            [solutions[start : start + size] for start in range(0, len(seen), size)],
            np.array([reward for _, reward in seen]).reshape(-1, size) > self._correct_above,
        )
        logged = trainer._metrics["train" if training else "eval"]
        for name, value in metrics.items():
            logged[name].append(value)

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
        """Sample the probe, and log what it shows."""
        trainer = self._trainer
        mine, filler = self._probe.part(self._processes.rank, self._processes.world)
        batches = sample(
            trainer.accelerator.unwrap_model(trainer.model),
            trainer.processing_class,
            mine,
            num_samples=self._probe.num_samples,
            settings=self._settings,
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
        for name, value in values.items():
            trainer._metrics["train"][f"probe/{name}"].append(value)
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
