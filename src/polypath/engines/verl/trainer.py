"""verl's synchronous trainer with the methods of ``polypath.objectives``. It moves arrays; no formula.

It extends five methods of ``PPOTrainerSync`` and copies none of its code. With every method off,
training is bit for bit verl's own; the diversity metrics are still logged.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transfer_queue
from omegaconf import DictConfig, OmegaConf, open_dict
from tensordict import TensorDict
from torch import Tensor
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY, register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.utils.padding import response_to_nested

from polypath.core.answer_counts import AnswerCounts
from polypath.core.answer_counts_file import read_counts, write_counts
from polypath.core.flat_settings import require_same
from polypath.core.groups import GroupStage
from polypath.core.objectives import read_similarity
from polypath.core.processes import SingleProcess
from polypath.core.rehearsal import exploration_rows
from polypath.core.scored_rows import ScoreReader
from polypath.core.statistics import TokenMeans
from polypath.engines.verl.bank import BANK_FILE, fill, make_bank
from polypath.engines.verl.groups import GroupReader, StepGroups, fetch
from polypath.engines.verl.loss import (
    BANK,
    CORRECT,
    REF_LOGPS,
    STEP_TOKENS,
    diversity_loss,
    take_means,
)
from polypath.engines.verl.rehearsal import WovenRows, load_set
from polypath.engines.verl.settings import (
    SECTION,
    compares_groups,
    read_settings,
    verl_advantages,
)
from polypath.errors import ConfigError
from polypath.rehearsal.bank_file import read_bank, write_bank
from polypath.rollouts.files import read_json, write_json
from polypath.similarity import get_similarity
from polypath.tasks.solutions import load_solution

TRAINER_MODE = "polypath_sync"
RECORD = "polypath.json"  # in every checkpoint
HISTORY_FILE = "polypath_answer_counts.parquet"  # likewise, where answers are counted


@register_trainer(TRAINER_MODE)
class DiversityPPOTrainer(PPOTrainerSync):  # type: ignore[misc]  # verl ships no types
    """``PPOTrainerSync`` with polypath's settings in the section ``polypath`` of its configuration.

    Args:
        config: that of ``verl.trainer.main_ppo``.

    Raises:
        ConfigError: a setting is unknown, out of range, or does not work on verl.
        MissingFileError, DataError: the rehearsal set cannot be read.
    """

    actor_rollout_wg: Any

    def __init__(self, config: DictConfig) -> None:
        self._settings = settings = read_settings(config)
        with open_dict(config):
            # In several places verl checks whether the mode is "sync", and runs asynchronously otherwise.
            config.trainer.v1.trainer_mode = "sync"
            if settings.wants("entropy_B_T"):
                config.actor_rollout_ref.actor.calculate_entropy = True
        super().__init__(config)
        self._temperature = float(config.actor_rollout_ref.rollout.temperature)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="polypath")
        self._groups: Future[StepGroups] | None = None
        self._bank = make_bank(settings, int(config.actor_rollout_ref.actor.data_loader_seed))
        self._woven: WovenRows | None = None

    # --- start ---------------------------------------------------------------------------------------

    def _init_dataloader(self) -> None:
        """Load what the methods need before any worker starts, and exclude rehearsed problems."""
        self._stored = load_set(self._settings, self.tokenizer, self._temperature)
        self._reader = self._group_reader()
        excluded: frozenset[str] = frozenset()
        if self._stored is not None and self._settings.rehearsal.explore_only:
            excluded = self._stored.excluded_prompts
        with _excluding(excluded):
            super()._init_dataloader()

    def _group_reader(self) -> GroupReader:
        settings, special = self._settings, self.tokenizer.all_special_ids
        run = settings.run
        chosen = read_similarity(settings.values, ignored_token_ids=tuple(special))
        scores = ScoreReader(
            chosen=run.correctness_reward,
            threshold=run.correctness_threshold,
            solution_fn=None if run.solution_fn is None else load_solution(run.solution_fn),
        )
        stage = GroupStage(
            objectives=settings.objectives,
            similarity=get_similarity(settings.values["similarity"], chosen),
            processes=SingleProcess(),
            correctness=scores.correctness,
            advantages=verl_advantages(self.config),
            special_ids=frozenset(special),
            measured=run.diversity_metrics,
        )
        counts = AnswerCounts() if settings.objectives.counts else None
        compares = compares_groups(self.config)
        return GroupReader(settings, stage, scores, self.tokenizer, compares, counts)

    def on_init_end(self) -> None:
        """Give the workers our loss if a term is added."""
        super().on_init_end()
        config, settings = self.config.actor_rollout_ref, self._settings
        if settings.in_loss:
            actor = omega_conf_to_dataclass(config.actor)
            self.actor_rollout_wg.set_loss_fn(partial(diversity_loss, settings, actor))
        if self._stored is not None or self._bank is not None:
            ranks = max(self.actor_rollout_wg._query_dispatch_info("actor")) + 1
            self._woven = WovenRows(settings, self._stored, self._bank, config, ranks)

    # --- groups --------------------------------------------------------------------------------------

    def _compute_old_log_prob(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """Process the groups while the workers compute log-probabilities."""
        work = self._reader.read(batch)
        later = self._settings.wants("sequence_logp_P_G")
        if not later:
            self._groups = self._thread.submit(work, _not_wanted)
        batch = super()._compute_old_log_prob(batch, metrics)
        if later:
            self._groups = self._thread.submit(work, partial(_sequence_logps, batch))
        return batch

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """Replace verl's advantages if a group method is on, and log the groups."""
        batch = super()._compute_advantage(batch, metrics)
        assert self._groups is not None
        groups, self._groups = self._groups.result(), None
        metrics.update(groups.metrics)
        if self._bank is not None:
            longest, end = self.config.data.max_response_length, self.tokenizer.eos_token_id
            step = self.global_steps - 1
            told = fill(self._bank, batch, groups, step, longest=int(longest), end=end)
            metrics.update(_finite(told))
        data = fetch(batch, "response_mask", "entropy")
        masks = data["response_mask"]
        mask_B_T = masks.to_padded_tensor(0)
        if self._settings.run.diversity_metrics and "entropy" in data:
            means, entropy_B_T = TokenMeans(), data["entropy"].to_padded_tensor(0.0)
            means.add_entropy(entropy_B_T, mask_B_T, groups.correct_B, groups.known_B)
            metrics.update(_finite(means.flush(SingleProcess())))
        fields: dict[str, Tensor] = {}
        if groups.advantages_B is not None:
            advantages_B_T = (groups.advantages_B[:, None] * mask_B_T).float()
            fields["advantages"] = fields["returns"] = response_to_nested(advantages_B_T, masks)
        if self._settings.in_loss:
            fields[CORRECT] = groups.correct_B.float()
        if self._bank is not None:
            fields[BANK] = torch.zeros(len(batch))
        if self._woven is not None:
            fields[STEP_TOKENS] = torch.zeros(len(batch))
            fields[REF_LOGPS] = response_to_nested(torch.zeros(mask_B_T.shape), masks)
        if not fields:
            return batch
        return transfer_queue.kv_batch_put(
            keys=batch.keys,
            partition_id=batch.partition_id,
            fields=TensorDict(fields, batch_size=len(batch)),
        )

    # --- update --------------------------------------------------------------------------------------

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """Update with the stored rows woven in, and log the terms of the loss."""
        if not self._settings.in_loss:
            return super()._update_actor(batch, metrics)
        workers, woven, update = self.actor_rollout_wg, self._woven, self.global_steps - 1
        self.actor_rollout_wg = wrapped = _Workers(workers, woven, update)
        if woven is not None:
            metrics.update(woven.bank_metrics(batch, update))
        try:
            if woven is not None and self._stored is not None and self.global_steps == 1:
                woven.check_start(batch, workers, self._temperature)
            batch = super()._update_actor(batch, metrics)
        finally:
            self.actor_rollout_wg = workers
        metrics.update(_finite(wrapped.means))
        return batch

    # --- checkpoints ---------------------------------------------------------------------------------

    def _save_checkpoint(self) -> None:
        """Record the settings first: verl's own files mark a checkpoint as complete."""
        folder = self._checkpoint()
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / RECORD, self._record())
        if self._bank is not None:
            write_bank(folder / BANK_FILE, self._bank)
        if self._reader.history is not None:
            write_counts(folder / HISTORY_FILE, self._reader.history)
        super()._save_checkpoint()

    def _load_checkpoint(self) -> None:
        """Refuse to resume with settings other than the checkpoint's."""
        super()._load_checkpoint()
        folder = self._checkpoint()
        if self.config.trainer.resume_mode == "resume_path":
            folder = Path(self.config.trainer.resume_from_path)
        if self.global_steps and (folder / RECORD).is_file():
            before = read_json(folder / RECORD, "polypath's settings")
            require_same(before, self._record(), str(folder))
        if self.global_steps and self._bank is not None:
            read_bank(folder / BANK_FILE, self._bank)
        if self.global_steps and self._reader.history is not None:
            read_counts(folder / HISTORY_FILE, self._reader.history)

    def _checkpoint(self) -> Path:
        return Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"

    def _record(self) -> dict[str, Any]:
        files = {} if self._stored is None else dict(self._stored.manifest.files)
        return {**self._settings.record(), "files of the rehearsal set": files}


class _Workers:
    """verl's workers for one update: adds stored rows to the batch and takes our means out."""

    def __init__(self, workers: Any, woven: WovenRows | None, update: int) -> None:
        self._workers, self._woven, self._update = workers, woven, update
        self.means: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._workers, name)

    def update_actor(self, batch: Any) -> Any:
        if self._woven is None:
            output = self._workers.update_actor(batch)
        else:
            with self._woven.woven(batch, self._update) as larger:
                output = self._workers.update_actor(larger)
        self.means = take_means(output["metrics"])
        return output


def _sequence_logps(batch: Any) -> Tensor:
    data = fetch(batch, "old_log_probs", "response_mask").to_padded_tensor()
    logp_B: Tensor = (data["old_log_probs"] * data["response_mask"]).sum(dim=1)
    return logp_B


def _finite(means: dict[str, float]) -> dict[str, float]:
    """Leave out NaN means, which some of verl's loggers cannot write."""
    return {name: value for name, value in means.items() if value == value}


def _not_wanted() -> Tensor:
    raise AssertionError("no method wants log-probabilities")


@contextmanager
def _excluding(excluded: frozenset[str]) -> Iterator[None]:
    """Exclude problems from training data that verl loads within this context, whatever its class."""
    load = trainer_base.create_rl_dataset

    def filtered(*args: Any, is_train: bool, **named: Any) -> Any:
        dataset = load(*args, is_train=is_train, **named)
        if is_train:
            dataset.dataframe = exploration_rows(dataset.dataframe, excluded)
        return dataset

    trainer_base.create_rl_dataset = filtered
    try:
        yield
    finally:
        trainer_base.create_rl_dataset = load


def _refuse_unused_settings(mode: str, trainer: type[Any]) -> type[Any]:
    """Return a verl trainer that refuses polypath's settings, which it would otherwise ignore."""

    class Guarded(trainer):  # type: ignore[misc]
        def __init__(self, config: DictConfig) -> None:
            if OmegaConf.select(config, SECTION) is not None:
                raise ConfigError(
                    f"+{SECTION} is set, but trainer.v1.trainer_mode={mode} does not read it. Set "
                    f"trainer.v1.trainer_mode={TRAINER_MODE} (synchronous; asynchronous trainers are not "
                    "supported)."
                )
            super().__init__(config)

    Guarded.__name__, Guarded.__qualname__ = trainer.__name__, trainer.__qualname__
    return Guarded


for _mode, _trainer in list(TRAINER_REGISTRY.items()):
    if _mode != TRAINER_MODE:
        TRAINER_REGISTRY[_mode] = _refuse_unused_settings(_mode, _trainer)
