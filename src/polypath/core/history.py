"""The history of a run's answers: what the methods that work on groups are told of it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from polypath.core.answer_counts import AnswerCounts, answer_key
from polypath.core.processes import Processes


def see_answers(
    counts: AnswerCounts,
    prompts: Sequence[Sequence[int]],
    answers: Sequence[str | None],
    *,
    processes: Processes,
    learn: bool,
) -> tuple[Tensor, dict[str, float]]:
    """Return how often answers were seen before this generation, and count them. Every process must call it.

    Args:
        counts: of the run; the same on every process, before and after.
        prompts: tokens of the prompt of each of this process's completions.
        answers: their canonical solutions, right or wrong; None for one without.
        processes: those that share the generation.
        learn: whether to count them; not in an evaluation.

    Returns:
        The counts, ``(B,)`` int64, and metrics to log over all processes; none in an evaluation.
    """
    mine = [answer_key(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    seen_B = torch.tensor(counts.seen(mine), dtype=torch.int64)
    if not learn:
        return seen_B, {}
    everyone = processes.gather_objects(mine)
    before = torch.tensor(counts.seen(everyone), dtype=torch.float64)
    counts.add(everyone)
    return seen_B, {
        "history/seen": float(before.mean()),
        "history/new": float((before == 0).double().mean()),
        "history/answers": float(len(counts)),
    }
