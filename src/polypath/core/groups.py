"""The group stage: from raw rewards of whole groups to adjusted rewards and advantages.

Rows come from every process in any order. A key says to which prompt each belongs.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polypath.core.correctness import Correctness
from polypath.core.objectives import Objectives
from polypath.core.processes import Processes
from polypath.core.statistics import adjustment_metrics, group_metrics
from polypath.core.uninformative import UninformativeAnswers
from polypath.errors import ConfigError, DataError
from polypath.objectives import Active, AdvantageConfig, group_advantages
from polypath.similarity import Completions, Similarity
from polypath.similarity.answer import AnswerSimilarity


@dataclass(frozen=True, kw_only=True)
class GroupRows:
    """The completions of one process.

    Attributes:
        keys: the prompt that each completion belongs to. Equal keys, on any process, are one group.
        texts: decoded completions.
        token_ids: tokens of each, without padding.
        solutions: canonical solutions; None if there is none.
        rewards_B_F: raw rewards by reward function; NaN if a function did not score a completion.
        weights_F: weights of the reward functions.
        hidden_B_D: the policy's mean hidden states; called only if a method needs them.
        sequence_logp_B: log-probability of each completion under the policy that sampled it; likewise.
        seen_B: how often training saw each one's answer before this generation; ``None`` if nothing counts.
    """

    keys: Sequence[Hashable]
    texts: list[str]
    token_ids: list[list[int]]
    solutions: list[str | None]
    rewards_B_F: Tensor
    weights_F: Tensor
    hidden_B_D: Callable[[], Tensor]
    sequence_logp_B: Callable[[], Tensor]
    seen_B: Tensor | None = None

    def part(self, places: Sequence[int]) -> "GroupRows":
        """Return some of the rows."""
        chosen = list(places)
        return GroupRows(
            keys=[self.keys[place] for place in chosen],
            texts=[self.texts[place] for place in chosen],
            token_ids=[self.token_ids[place] for place in chosen],
            solutions=[self.solutions[place] for place in chosen],
            rewards_B_F=self.rewards_B_F[chosen],
            weights_F=self.weights_F,
            hidden_B_D=lambda: self.hidden_B_D()[chosen],
            sequence_logp_B=lambda: self.sequence_logp_B()[chosen],
            seen_B=None if self.seen_B is None else self.seen_B[chosen],
        )


@dataclass(frozen=True, kw_only=True)
class GroupResult:
    """The result of the group stage.

    Attributes:
        advantages_B: advantages of this process's completions, in float64; ``None`` if no method is on, and
            the engine's own advantages hold.
        advantages_all: advantages of all processes' completions, in the order of ranks; ``None`` likewise.
        metrics: metrics to log; the same on every process.
    """

    advantages_B: Tensor | None = None
    advantages_all: Tensor | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class GroupStage:
    """Works on the groups of a generation.

    Attributes:
        objectives: the methods that are on.
        similarity: compares the completions of a group.
        processes: processes that share the groups.
        correctness: says which completions are correct.
        advantages: the engine's own rule, for adjusted rewards without an ``advantage`` of their own.
        special_ids: token ids without content: a completion of only these is empty.
        measured: whether to compute the metrics.
        knows_solutions: whether anything defines a solution; if not, nothing about solutions is logged.
        own_advantages: whether to compute advantages without a method that works on groups, for an
            engine whose own rule cannot leave out a completion without a score.
    """

    objectives: Objectives
    similarity: Similarity
    processes: Processes
    correctness: Correctness
    advantages: AdvantageConfig
    special_ids: frozenset[int]
    measured: bool
    knows_solutions: bool = True
    own_advantages: bool = False
    _answers: UninformativeAnswers = field(default_factory=UninformativeAnswers)

    @property
    def acts(self) -> bool:
        """Whether a call has any effect."""
        return self.measured or bool(self.objectives.of_groups)

    def __call__(self, rows: GroupRows) -> GroupResult:
        """Return advantages and metrics of the completions.

        Every process must call it for the same generation.

        Raises:
            DataError: groups of unequal size.
            ConfigError, DataError, ShapeError: of the methods.
        """
        acting = self.objectives.of_groups
        groups = _Groups(self.processes, rows, self.special_ids)
        rewards_P_G = groups.grid(_summed_rewards(rows))
        judged = self.correctness(rows.rewards_B_F)
        correct_P_G = groups.grid(judged.correct_B)
        weights_B = rows.weights_F.to(judged.reward_B.device)[judged.column_B]
        correct_rewards_B = torch.where(judged.correct_B, judged.reward_B * weights_B, 0.0)
        inputs: dict[str, Any] = {
            "correct_P_G": correct_P_G,
            "correct_rewards_P_G": groups.grid(correct_rewards_B),
            "empty_P_G": groups.empty_P_G.to(rewards_P_G.device),
            "solutions_P_G": groups.solutions_P_G,
            "lengths_P_G": groups.lengths_P_G.to(rewards_P_G.device),
            "raw_rewards_P_G": rewards_P_G,
        }
        wanted = {name for active in acting for name in active.wants}
        if groups.size > 1 and (self.measured or "similarity_P_G_G" in wanted):
            inputs["similarity_P_G_G"] = self._similarity_matrix(rows, groups)
        if "sequence_logp_P_G" in wanted:
            inputs["sequence_logp_P_G"] = groups.grid(rows.sequence_logp_B())
        if "seen_P_G" in wanted:
            inputs["seen_P_G"] = groups.grid(_counted(rows))
        adjusted_P_G, advantages_P_G = rewards_P_G, None
        # A group of one has nothing to be compared with, so the engine's own rule holds.
        if groups.size > 1 and (acting or self.own_advantages):
            adjusted_P_G, advantages_P_G = self._apply(rewards_P_G, inputs)
        metrics: dict[str, float] = {}
        if self.measured:
            similarity_P_G_G = inputs.get("similarity_P_G_G")
            scored_P_G = groups.grid(~judged.reward_B.isnan())
            metrics = {
                **group_metrics(
                    groups.solutions_P_G if self.knows_solutions else None,
                    correct_P_G,
                    similarity_P_G_G,
                    scored_P_G,
                ),
                **adjustment_metrics(rewards_P_G, adjusted_P_G),
            }
        if advantages_P_G is None:
            return GroupResult(metrics=metrics)
        advantages_all = groups.flat(advantages_P_G)
        return GroupResult(
            advantages_B=advantages_all[groups.mine.to(advantages_all.device)],
            advantages_all=advantages_all,
            metrics=metrics,
        )

    def of_any_size(self, rows: GroupRows) -> GroupResult:
        """Return advantages and metrics of completions of one process, in groups that may be unequal.

        Groups of one size go through together; the metrics are means over completions.

        Raises:
            ConfigError, DataError, ShapeError: of the methods.
        """
        groups: dict[Hashable, list[int]] = {}
        for place, key in enumerate(rows.keys):
            groups.setdefault(key, []).append(place)
        by_size: dict[int, list[int]] = {}
        for places in groups.values():
            by_size.setdefault(len(places), []).extend(places)
        advantages_B: Tensor | None = None
        found: list[tuple[int, dict[str, float]]] = []
        for places in by_size.values():
            result = self(rows.part(places))
            found.append((len(places), result.metrics))
            if result.advantages_B is not None:
                if advantages_B is None:
                    advantages_B = torch.zeros(len(rows.keys), dtype=torch.float64)
                advantages_B[places] = result.advantages_B.cpu()
        return GroupResult(advantages_B=advantages_B, metrics=_means(found))

    def _apply(self, rewards_P_G: Tensor, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the adjusted rewards and the advantages."""
        inputs = dict(inputs)
        for active in self.objectives.adjustments:
            before_P_G = rewards_P_G
            rewards_P_G = self._call(active, before_P_G, inputs)
            # What changed of a correct completion is of its correctness: the next one weighs what is left.
            part_P_G, change_P_G = inputs["correct_rewards_P_G"], rewards_P_G - before_P_G
            changed_P_G = inputs["correct_P_G"] & ~change_P_G.isnan()
            inputs["correct_rewards_P_G"] = part_P_G + torch.where(changed_P_G, change_P_G, 0.0)
        rule = self.objectives.advantage
        base_P_G = group_advantages(self.advantages, rewards_P_G)
        if rule is None:
            return rewards_P_G, base_P_G
        inputs["base_advantages_P_G"] = base_P_G
        return rewards_P_G, self._call(rule, rewards_P_G, inputs)

    def _call(self, active: Active[Any], rewards_P_G: Tensor, inputs: dict[str, Any]) -> Tensor:
        """Return what a method makes of the rewards."""
        takes = active.entry.takes(inputs)
        by_answer = isinstance(self.similarity, AnswerSimilarity) and self.processes.rank == 0
        if by_answer and "similarity_P_G_G" in takes:
            self._answers.see(takes["similarity_P_G_G"], inputs["correct_P_G"])
        result: Tensor = active.entry.function(active.config, rewards_P_G, **takes)
        return result

    def _similarity_matrix(self, rows: GroupRows, groups: "_Groups") -> Tensor:
        """Compute features of local rows, gather them, and compare within whole groups."""
        features = self.similarity.features(
            Completions(
                texts=rows.texts,
                token_ids=rows.token_ids,
                solutions=rows.solutions,
                hidden_B_D=rows.hidden_B_D,
            )
        )
        device = rows.rewards_B_F.device
        order = groups.rows_P_G.flatten()
        if isinstance(features, Tensor):
            gathered = self.processes.gather(features.to(device))
            features = gathered[order.to(gathered.device)]
        else:
            everyone = self.processes.gather_objects(features)
            features = [everyone[row] for row in order.tolist()]
        return self.similarity.matrix(features, groups.size).to(device)


class _Groups:
    """The positions of each group's rows among the rows of all processes."""

    def __init__(self, processes: Processes, rows: GroupRows, special_ids: frozenset[int]) -> None:
        self._processes = processes
        empty = [special_ids.issuperset(ids) for ids in rows.token_ids]
        lengths = [len(ids) for ids in rows.token_ids]
        rank = [processes.rank] * len(rows.keys)
        told = processes.gather_objects(
            list(zip(rank, rows.keys, empty, rows.solutions, lengths, strict=True))
        )
        places: dict[Hashable, list[int]] = {}
        for place, (_, key, *_) in enumerate(told):
            places.setdefault(key, []).append(place)
        sizes = {len(members) for members in places.values()}
        if len(sizes) > 1:
            raise DataError(
                f"All groups must have equally many completions, got groups of {sorted(sizes)}."
            )
        self.size = sizes.pop() if sizes else 0
        self.rows_P_G = torch.tensor(list(places.values()), dtype=torch.long).reshape(-1, self.size)
        self.mine = torch.tensor(
            [place for place, (owner, *_) in enumerate(told) if owner == processes.rank],
            dtype=torch.long,
        )
        order = self.rows_P_G.tolist()
        self.empty_P_G = torch.tensor([[told[row][2] for row in group] for group in order])
        self.solutions_P_G = [[told[row][3] for row in group] for group in order]
        self.lengths_P_G = torch.tensor([[told[row][4] for row in group] for group in order])

    def grid(self, values_B: Tensor) -> Tensor:
        """Gather this process's values and return them by group, ``(P, G)``."""
        gathered = self._processes.gather(values_B)
        grid_P_G: Tensor = gathered[self.rows_P_G.to(gathered.device)]
        return grid_P_G

    def flat(self, values_P_G: Tensor) -> Tensor:
        """Return values by group in the order of all processes' rows."""
        values = torch.empty_like(values_P_G).flatten()
        values[self.rows_P_G.flatten().to(values.device)] = values_P_G.flatten()
        return values


def _summed_rewards(rows: GroupRows) -> Tensor:
    """Return the weighted sum of the reward functions; NaN if none of them scored."""
    weights_F = rows.weights_F.to(rows.rewards_B_F.device)
    summed_B = (rows.rewards_B_F * weights_F).nansum(dim=1)
    return summed_B.masked_fill(rows.rewards_B_F.isnan().all(dim=1), torch.nan)


def _counted(rows: GroupRows) -> Tensor:
    if rows.seen_B is None:
        raise ConfigError(
            "A method needs how often training has seen each answer (history_exploration does), and answers "
            "are counted from the first step on. Switch it on before the training starts."
        )
    return rows.seen_B


def _means(found: Sequence[tuple[int, dict[str, float]]]) -> dict[str, float]:
    """Return means over completions of metrics that are given for a number of them; NaN does not count."""
    means = {}
    for name in dict.fromkeys(name for _, metrics in found for name in metrics):
        known = [(n, m[name]) for n, m in found if not math.isnan(m.get(name, math.nan))]
        total = sum(n for n, _ in known)
        means[name] = sum(n * value for n, value in known) / total if total else math.nan
    return means


def watched_groups(
    rewards_PG_F: Tensor,
    solutions_PG: Sequence[str | None] | None,
    group_size: int,
    correctness: Correctness,
) -> dict[str, float]:
    """Return the metrics of consecutive groups, for a run without a group stage.

    Args:
        rewards_PG_F: raw rewards of all completions by reward function.
        solutions_PG: canonical solutions; ``None`` if nothing defines a solution.
        group_size: completions of a prompt.
        correctness: says which completions are correct; it sees these.
    """
    judged = correctness(rewards_PG_F)
    correctness.watch(judged)
    groups = None
    if solutions_PG is not None:
        starts = range(0, len(solutions_PG), group_size)
        groups = [solutions_PG[start : start + group_size] for start in starts]
    return group_metrics(
        groups,
        judged.correct_B.reshape(-1, group_size),
        scored_P_G=~judged.reward_B.isnan().reshape(-1, group_size),
    )
