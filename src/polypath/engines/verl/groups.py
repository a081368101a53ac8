"""The groups of a step, in verl's controller: feeds rows of the transfer queue to the core's group stage."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import transfer_queue
from torch import Tensor

from polypath.core.answer_counts import AnswerCounts
from polypath.core.flat_settings import FlatSettings
from polypath.core.groups import GroupRows, GroupStage
from polypath.core.history import see_answers
from polypath.core.processes import SingleProcess
from polypath.core.scored_rows import ScoreReader
from polypath.errors import ConfigError


def fetch(batch: Any, *names: str) -> Any:
    """Return the named fields of a batch's rows that the transfer queue holds."""
    return transfer_queue.kv_batch_get(
        keys=batch.keys, partition_id=batch.partition_id, select_fields=list(names)
    )


@dataclass(frozen=True, kw_only=True)
class StepGroups:
    """Results of a step's groups, per row; padding rows count as wrong and not scored.

    Attributes:
        correct_B: which rows are correct.
        known_B: for which rows correctness is known.
        advantages_B: in float64; ``None`` to keep verl's own.
        metrics: values to log.
        texts: the completions.
        solutions: canonical solutions; ``None`` where nothing says what a solution is.
    """

    correct_B: Tensor
    known_B: Tensor
    advantages_B: Tensor | None
    metrics: dict[str, float]
    texts: list[str]
    solutions: list[str | None] | None


@dataclass(frozen=True)
class GroupReader:
    """Runs the group stage on the rows of a step.

    Attributes:
        settings: the run's.
        stage: the core's group stage.
        scores: decides which rows are correct.
        tokenizer: the model's.
        compares_groups: whether verl's advantages are those of GRPO.
        history: the counted answers of the run; ``None`` where no method needs them.
    """

    settings: FlatSettings
    stage: GroupStage
    scores: ScoreReader
    tokenizer: Any
    compares_groups: bool
    history: AnswerCounts | None

    def read(self, batch: Any) -> Callable[[Callable[[], Tensor]], StepGroups]:
        """Fetch the rows of a step, and return a function that processes them.

        Args:
            batch: verl's ``KVBatchMeta``.

        Returns:
            A function that takes a function returning the log-probability of each row. It may run in
            another thread.

        Raises:
            ConfigError: completions are compared or counted by their solutions, and nothing defines these; or
                some have no score, and verl's advantages cannot leave them out.
        """
        fields = ("responses", "response_mask", "rm_scores", "extra_fields")
        data = fetch(batch, "uid", "prompts", *fields)
        last, real = _last_of_session(batch)
        pairs = zip(data["responses"].unbind(), data["response_mask"].unbind(), strict=True)
        written = [ids[mask.bool()].tolist() for ids, mask in pairs]  # without tool output
        texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        infos = [(extra or {}).get("reward_extra_info") or {} for extra in data["extra_fields"]]
        scores_B = torch.stack([row.sum() for row in data["rm_scores"].unbind()])
        scored = self.scores(scores_B, infos, texts)
        if scored.solutions is None and self.settings.by_answer:
            raise ConfigError(
                "similarity 'answer' (also of preset diverse) compares solutions, but the reward function "
                "returns none. Return {'score': ..., 'solution': ...} from it, set +polypath.solution_fn, or "
                "+polypath.similarity=ngram."
            )
        if scored.solutions is None and self.settings.bank.on:
            raise ConfigError(
                "bank=true keeps different solutions, but the reward function returns none. Return "
                "{'score': ..., 'solution': ...} from it, or set +polypath.solution_fn."
            )
        if scored.solutions is None and self.history is not None:
            raise ConfigError(
                "advantage=history_exploration counts answers, but the reward function returns none. Return "
                "{'score': ..., 'solution': ...} from it, or set +polypath.solution_fn."
            )
        if scored.unscored and not self.compares_groups:
            raise ConfigError(
                "The reward function could not score some completions ('scored': False), and only GRPO can "
                "leave them out. Set algorithm.adv_estimator=grpo without use_kl_in_reward, or score all."
            )

        def work(sequence_logp_B: Callable[[], Tensor]) -> StepGroups:
            self.stage.own_advantages = scored.unscored
            self.stage.knows_solutions = scored.solutions is not None
            metrics, advantages_B = scored.metrics, None
            if self.stage.acts or scored.unscored:
                rows = GroupRows(
                    keys=list(data["uid"]),
                    texts=texts,
                    token_ids=written,
                    solutions=scored.solutions or [None] * len(texts),
                    rewards_B_F=scored.rewards_B_2,
                    weights_F=torch.ones(2, dtype=torch.float64),
                    hidden_B_D=_no_hidden_states,
                    sequence_logp_B=sequence_logp_B,
                )
                chosen = [
                    n for n, (m, r) in enumerate(zip(last, real, strict=True)) if r and m == n
                ]
                rows = rows.part(chosen)
                if self.history is not None:
                    prompts = data["prompts"].unbind()
                    seen_B, told = see_answers(
                        self.history,
                        [prompts[row].tolist() for row in chosen],
                        rows.solutions,
                        processes=SingleProcess(),
                        learn=True,
                    )
                    rows, metrics = replace(rows, seen_B=seen_B), metrics | told
                result = self.stage.of_any_size(rows)
                metrics = metrics | {n: v for n, v in result.metrics.items() if v == v}
                if result.advantages_B is not None:
                    advantages_B = torch.zeros(len(texts), dtype=torch.float64)
                    advantages_B[chosen] = result.advantages_B
                    advantages_B = advantages_B[last]
            real_B = torch.tensor(real)
            return StepGroups(
                correct_B=scored.correct_B[last] & real_B,
                known_B=scored.known_B[last] & real_B,
                advantages_B=advantages_B,
                metrics=metrics,
                texts=texts,
                solutions=scored.solutions,
            )

        return work


def _last_of_session(batch: Any) -> tuple[list[int], list[bool]]:
    """Return for every row the last row of its session (the scored one), and whether it is not padding.

    A session of several turns may have several rows, with keys ``<prompt>_<session>_<row>``.
    """
    keys = [key.rsplit("_", 1) for key in batch.keys]
    last: dict[str, tuple[int, int]] = {}
    for place, (session, number) in enumerate(keys):
        last[session] = max(last.get(session, (-1, -1)), (int(number), place))
    real = [not tag.get("is_padding", False) for tag in batch.tags]
    return [last[session][1] for session, _ in keys], real


def _no_hidden_states() -> Tensor:
    raise AssertionError("similarity 'policy' is refused at the start")
