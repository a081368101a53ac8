"""The groups of a generation batch: correctness, similarity, adjusted rewards, advantages.

Moves arrays between TRL's batch, the similarity and the reward adjustment; the formulas are theirs.
"""

from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from polypath.engines.trl.apart import AnswersApart
from polypath.engines.trl.rewards import SolutionFunction, completion_text
from polypath.objectives import REWARD_ADJUSTMENTS, group_advantages
from polypath.similarity import Completions, Similarity
from polypath.similarity.answer import AnswerSimilarity

if TYPE_CHECKING:
    from polypath.engines.trl.trainer import DiversityGRPOTrainer


class Groups:
    """What TRL generated last, and what the methods make of it.

    Args:
        trainer: owns the batch, the processes and the model.
        similarity: compares completions of a group.
        solution_fn: says which completions are the same solution.
        correctness: column of the raw rewards that says what is correct.
    """

    def __init__(
        self,
        trainer: "DiversityGRPOTrainer",
        *,
        similarity: Similarity,
        solution_fn: SolutionFunction,
        correctness: int,
    ) -> None:
        self._trainer = trainer
        self._similarity = similarity
        self._solution_fn = solution_fn
        self._correctness = correctness
        self._apart = AnswersApart()
        self._special = frozenset(trainer._tokenizer.all_special_ids)
        self._rewards_PG_F: Tensor | None = None
        self._columns: list[dict[str, Any]] = []
        self._texts: list[str] = []
        self._token_ids: list[list[int]] = []

    def keep(self, inputs: Any, completions: Any, token_ids: Any, rewards_PG_F: Tensor) -> None:
        """Keep the raw rewards of all processes, and this process's completions and columns."""
        self._rewards_PG_F = rewards_PG_F
        self._columns = [{k: v for k, v in row.items() if k != "prompt"} for row in inputs]
        self._texts = [completion_text(completion) for completion in completions]
        self._token_ids = [list(ids) for ids in token_ids]

    def apply(self, batch: dict[str, Any]) -> None:
        """Add ``correct`` to TRL's batch and, with ``dra``, replace its advantages; log the groups."""
        trainer, config = self._trainer, self._trainer.args
        rewards_PG_F = self._rewards_PG_F
        wanted = config.dra or config.diversity_metrics or config.uses_positive_entropy
        if rewards_PG_F is None or not wanted:
            return
        group_size = (
            trainer.num_generations if trainer.model.training else trainer.num_generations_eval
        )
        # NaN (the function did not score this completion) compares as not correct.
        correct_PG = rewards_PG_F[:, self._correctness] > config.correctness_threshold
        batch["correct"] = correct_PG[self._local]
        rewards_P_G = self._summed_rewards(rewards_PG_F).view(-1, group_size)
        adjusted_P_G = rewards_P_G
        similarity_P_G_G: Tensor | None = None
        solutions = [
            self._solution_fn(text, row)
            for text, row in zip(self._texts, self._columns, strict=True)
        ]
        if group_size > 1 and (config.dra or config.diversity_metrics):
            similarity_P_G_G = self._similarity_matrix(batch, solutions, group_size)
        if config.dra and similarity_P_G_G is not None:
            adjusted_P_G = REWARD_ADJUSTMENTS["dra"](
                config.dra_config, rewards_P_G, similarity_P_G_G, self._empty(group_size)
            )
            self._replace_advantages(batch, adjusted_P_G)
            if (
                isinstance(self._similarity, AnswerSimilarity)
                and trainer.accelerator.is_main_process
            ):
                self._apart.see(similarity_P_G_G, correct_PG.view(-1, group_size))
        if config.diversity_metrics:
            trainer._telemetry.groups(
                correct_P_G=correct_PG.view(-1, group_size),
                rewards_P_G=rewards_P_G,
                adjusted_P_G=adjusted_P_G,
                similarity_P_G_G=similarity_P_G_G,
                solutions=gather_object(solutions),
            )

    @property
    def _local(self) -> slice:
        """Return which rows of the gathered batch are this process's."""
        start = self._trainer.accelerator.process_index * len(self._texts)
        return slice(start, start + len(self._texts))

    def _summed_rewards(self, rewards_PG_F: Tensor) -> Tensor:
        """Return the weighted sum of the reward functions; NaN where none of them scored."""
        weights_F: Tensor = self._trainer.reward_weights.to(rewards_PG_F.device)
        summed_PG = (rewards_PG_F * weights_F).nansum(dim=1)
        return summed_PG.masked_fill(rewards_PG_F.isnan().all(dim=1), torch.nan)

    def _similarity_matrix(
        self, batch: dict[str, Any], solutions: list[str | None], group_size: int
    ) -> Tensor:
        """Embed local rows, gather the features, and compare within whole groups."""
        accelerator = self._trainer.accelerator
        rows = Completions(
            texts=self._texts,
            token_ids=self._token_ids,
            solutions=solutions,
            hidden_B_D=lambda: mean_hidden_states(self._trainer, batch),
        )
        features = self._similarity.features(rows)
        if isinstance(features, Tensor):
            features = accelerator.gather(features.to(accelerator.device))
        else:
            features = gather_object(features)
        return self._similarity.matrix(features, group_size).to(accelerator.device)

    def _empty(self, group_size: int) -> Tensor:
        """Return ``(P, G)`` booleans: completions without content.

        From the tokens as generated: TRL's mask may leave out a whole completion (truncated ones).
        """
        accelerator = self._trainer.accelerator
        empty_B = torch.tensor(
            [self._special.issuperset(ids) for ids in self._token_ids], device=accelerator.device
        )
        empty_PG: Tensor = accelerator.gather(empty_B)
        return empty_PG.view(-1, group_size)

    def _replace_advantages(self, batch: dict[str, Any], adjusted_P_G: Tensor) -> None:
        trainer = self._trainer
        advantages_PG = group_advantages(trainer.args.advantage_config, adjusted_P_G).flatten()
        old = batch["advantages"]
        batch["advantages"] = advantages_PG[self._local].to(device=old.device, dtype=old.dtype)
        logged = trainer._logs["advantages"]  # what TRL's table of completions shows
        for _ in range(min(len(logged), len(advantages_PG))):
            logged.pop()
        logged.extend(advantages_PG.tolist())


@torch.no_grad()
def mean_hidden_states(trainer: "DiversityGRPOTrainer", batch: dict[str, Any]) -> Tensor:
    """Return the policy's last hidden state averaged over each completion, ``(B, D)``."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    width = batch["completion_ids"].shape[1]
    size = trainer.args.per_device_train_batch_size
    pooled = []
    for start in range(0, ids.shape[0], size):
        part = slice(start, start + size)
        outputs = trainer.model(
            input_ids=ids[part],
            attention_mask=attention[part],
            output_hidden_states=True,
            logits_to_keep=1,
            use_cache=False,
        )
        hidden_B_T_D = outputs.hidden_states[-1][:, -width:].float()
        weight_B_T_1 = batch["completion_mask"][part].unsqueeze(2).float()
        total_B_D = (hidden_B_T_D * weight_B_T_1).sum(dim=1)
        pooled.append(total_B_D / weight_B_T_1.sum(dim=1).clamp(min=1.0))
    return torch.cat(pooled)
