"""Which samples are drawn together, and by which process: a function of problems and settings only."""

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import NamedTuple

from polypath.errors import ConfigError
from polypath.rollouts.key_index import hash_keys
from polypath.sampling.request import DrawRequest
from polypath.tasks.base import Problem


class PlannedSample(NamedTuple):
    """One sample to draw: its problem, the tokens of its prompt, and its number."""

    problem: Problem
    prompt_ids: list[int]
    sample_id: int

    @property
    def key(self) -> tuple[str, int]:
        """Problem id and sample number."""
        return self.problem.problem_id, self.sample_id


def plan_batches(
    request: DrawRequest, prompt_ids: Sequence[list[int]], context: int | None
) -> Iterator[list[PlannedSample]]:
    """Yield the batches that a model draws, with each prompt's samples in a row.

    Prompts of similar length are grouped, so that there is little padding. The batches are those of all
    samples, whatever is ``done`` and however many processes share the work. Part b modulo ``part.of``
    draws batch b, and leaves out keys that are done. So a sample has the same
    neighbours in every run, and one of eight processes draws exactly the samples that one alone would.

    Args:
        request: what to draw.
        prompt_ids: tokens of each problem's prompt.
        context: most tokens that a prompt and its completion may have, ``None`` if unknown.

    Raises:
        ConfigError: a prompt and its completion do not fit ``context``.
    """
    problems, settings, part = request.problems, request.settings, request.part
    for problem, ids in zip(problems, prompt_ids, strict=True):
        if context is not None and len(ids) + settings.max_new_tokens > context:
            raise ConfigError(
                f"Problem {problem.problem_id!r} has {len(ids)} prompt tokens; with "
                f"max_new_tokens={settings.max_new_tokens} that exceeds the model's context of "
                f"{context}. Lower max_new_tokens or leave the problem out."
            )
    by_length = sorted(range(len(problems)), key=lambda i: (len(prompt_ids[i]), i))
    sample_ids = request.sample_ids
    total = request.num_samples * len(problems)
    for start in range(part.rank * settings.batch_size, total, part.of * settings.batch_size):
        batch = []
        for place in range(start, min(start + settings.batch_size, total)):
            which, n = divmod(place, request.num_samples)
            i = by_length[which]
            batch.append(PlannedSample(problems[i], prompt_ids[i], sample_ids[n]))
        left = ~request.done.contains(hash_keys(sample.key for sample in batch))
        if left.any():
            yield list(compress(batch, left))
