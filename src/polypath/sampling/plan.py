"""Which samples are drawn together, and by which process: a function of problems and settings only."""

from collections.abc import Container, Iterator, Sequence
from typing import Any, NamedTuple

from polypath.errors import ConfigError
from polypath.rollouts.key_index import KeyIndex, hash_keys
from polypath.rollouts.locks import WHOLE, Part
from polypath.sampling.prompts import tokenize_prompts
from polypath.sampling.settings import SamplingSettings
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


def check_asked(problems: Sequence[Problem], num_samples: int) -> None:
    """Check the arguments that all backends share.

    Raises:
        ConfigError: ``num_samples`` is below 1, or a problem id occurs twice.
    """
    if num_samples < 1:
        raise ConfigError(f"num_samples must be at least 1, got {num_samples}.")
    if len({problem.problem_id for problem in problems}) < len(problems):
        raise ConfigError("Two problems have the same problem_id; every id must be unique.")


def plan_batches(
    tokenizer: Any,
    problems: Sequence[Problem],
    *,
    num_samples: int,
    settings: SamplingSettings,
    first_sample_id: int,
    done: Container[tuple[str, int]],
    part: Part,
    context: int | None,
) -> Iterator[list[PlannedSample]]:
    """Yield the batches that a model draws, with each prompt's samples in a row.

    Prompts of similar length are grouped, so that there is little padding. The batches are those of all
    samples, whatever is ``done`` and however many processes share the work. Part b modulo ``part.of``
    draws batch b, and leaves out keys that are done. So a sample has the same
    neighbours in every run, and one of eight processes draws exactly the samples that one alone would.

    Arguments are as in the backends' ``sample``. ``context`` is the most tokens that a prompt and its
    completion may have, ``None`` if unknown.

    Raises:
        ConfigError: ``num_samples`` is below 1, a problem id occurs twice, or a prompt and its
            completion do not fit ``context``.
    """
    yield from plan_tokenized(
        problems,
        tokenize_prompts(tokenizer, [problem.prompt for problem in problems]),
        num_samples=num_samples,
        settings=settings,
        first_sample_id=first_sample_id,
        done=done,
        part=part,
        context=context,
    )


def plan_tokenized(
    problems: Sequence[Problem],
    prompt_ids: Sequence[list[int]],
    *,
    num_samples: int,
    settings: SamplingSettings,
    first_sample_id: int,
    done: Container[tuple[str, int]],
    context: int | None,
    part: Part = WHOLE,
) -> Iterator[list[PlannedSample]]:
    """Yield the batches of ``plan_batches``, given the tokens of every prompt.

    Raises:
        ConfigError: as there.
    """
    check_asked(problems, num_samples)
    for problem, ids in zip(problems, prompt_ids, strict=True):
        if context is not None and len(ids) + settings.max_new_tokens > context:
            raise ConfigError(
                f"Problem {problem.problem_id!r} has {len(ids)} prompt tokens; with "
                f"max_new_tokens={settings.max_new_tokens} that exceeds the model's context of "
                f"{context}. Lower max_new_tokens or leave the problem out."
            )
    by_length = sorted(range(len(problems)), key=lambda i: (len(prompt_ids[i]), i))
    total = num_samples * len(problems)
    for number, start in enumerate(range(0, total, settings.batch_size)):
        if number % part.of != part.rank:
            continue
        batch = []
        for place in range(start, min(start + settings.batch_size, total)):
            which, number_of_sample = divmod(place, num_samples)
            i = by_length[which]
            sample_id = first_sample_id + number_of_sample
            batch.append(PlannedSample(problems[i], prompt_ids[i], sample_id))
        left = _left([sample.key for sample in batch], done)
        if any(left):
            yield [sample for sample, is_left in zip(batch, left, strict=True) if is_left]


def _left(keys: list[tuple[str, int]], done: Container[tuple[str, int]]) -> list[bool]:
    """Return which keys are not done. Of millions most may be done, so an index is asked for many at once."""
    if isinstance(done, KeyIndex):
        return [not there for there in done.contains(hash_keys(keys)).tolist()]
    return [key not in done for key in keys]
