"""Sample what a store lacks, verify it, and store it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa
from rich.console import Console

from polypath.errors import ConfigError
from polypath.rollouts import Rollout, RolloutStore, encode_prompt
from polypath.rollouts.key_index import Hashes
from polypath.rollouts.rows import VerdictLike, VerifyBatch
from polypath.sampling.completion import Completion
from polypath.sampling.http import ServerError
from polypath.sampling.progress import ProgressReport
from polypath.sampling.request import DrawRequest
from polypath.tasks.base import Problem

_ROWS = 1 << 16
_SECONDS_BETWEEN_LOOKS = 5.0  # at the output of other processes


class Drawn(NamedTuple):
    """A batch, drawn and verified.

    Attributes:
        rows: of its samples.
        place: among the batches of this call, where they come in another order than planned.
    """

    rows: list[Rollout]
    place: int | None = None


# The ``sample`` of a backend (``sampling.transformers``, ``vllm``, ``openai``) with its model: yields the
# samples of the request's part that are not ``done``, batch by batch.
Draw = Callable[[DrawRequest], Iterator[list[Completion]]]
DrawRows = Callable[[DrawRequest], Iterator[Drawn]]  # verifies as well, here or elsewhere


def draw_verified(draw: Draw, verify_batch: VerifyBatch, request: DrawRequest) -> Iterator[Drawn]:
    """Draw in this process, and verify each batch. With its first two arguments, a ``DrawRows``."""
    for batch in draw(request):
        yield Drawn(verified_rows(batch, verify_batch))


def verified_rows(batch: Sequence[Completion], verify_batch: VerifyBatch) -> list[Rollout]:
    """Verify a batch, each completion by its gold answer, and return its rows."""
    verdicts = verify_batch(
        [completion.text for completion in batch],
        [completion.problem.gold for completion in batch],
    )
    return [_rollout(c, v) for c, v in zip(batch, verdicts, strict=True)]


def collect_from(
    draw: DrawRows,
    store: RolloutStore,
    request: DrawRequest,
    *,
    label: str = "sampling",
    console: Console | None = None,
) -> int:
    """Draw until ``store`` has the samples of a request.

    One batch is one shard. A killed run loses at most the batch that it was drawing. A call with the
    same arguments resumes and ends with the same rows.

    Args:
        draw: ``Backend.rows``, or that of a model on a cluster.
        store: opened for writing.
        request: what it is to have; what is in it is ``done``. Progress counts all parts, and samples
            that others have stored in the meantime are not drawn again.
        label: name of the progress.
        console: where progress is shown; ``None`` for nowhere.

    Returns:
        The number of samples drawn by this call.

    Raises:
        ServerError: the server refused, or could not be reached. The samples drawn so far are stored.
    """
    wanted = request.keys()
    held = count_held(store, wanted)
    if held == len(wanted):
        return 0
    batches = draw(replace(request, done=store.index()))
    drawn, looked, first = 0, time.monotonic(), store.next_number()
    with ProgressReport(label, len(wanted), done=held, console=console) as progress:
        try:
            for batch in batches:
                number = None if batch.place is None else first + batch.place
                store.append(batch.rows, number=number)
                new = len(batch.rows)
                drawn += new
                if not request.part.is_whole and time.monotonic() - looked > _SECONDS_BETWEEN_LOOKS:
                    new = count_held(store, wanted) - held
                    looked = time.monotonic()
                held += new
                progress.advance(new)
        except ServerError as error:
            raise ServerError(
                f"{error} The samples drawn so far are stored in {store.path}. Rerun the "
                "command to resume.",
                error.status,
                of_request=error.of_request,
            ) from None
    return drawn


def count_held(store: RolloutStore, wanted: Hashes) -> int:
    """Return how many of these samples the store has now, including those of others."""
    return int(store.index().contains(wanted).sum())


def _rollout(completion: Completion, verdict: VerdictLike) -> Rollout:
    return Rollout(
        problem_id=completion.problem.problem_id,
        sample_id=completion.sample_id,
        prompt=encode_prompt(completion.problem.prompt),
        completion=completion.text,
        gold=completion.problem.gold,
        status=str(verdict.status),
        reward=verdict.reward,
        correct=verdict.correct,
        answer=verdict.answer,
        n_tokens=completion.n_tokens,
        finish_reason=completion.finish_reason,
        token_ids=completion.token_ids or None,
    )


def count_statuses(*stores: RolloutStore) -> Mapping[str, int]:
    """Return how many rows of the stores have each status, the most frequent first."""
    counts: Counter[str] = Counter()
    for store in stores:
        for batch in store.iter_batches(("status",), batch_size=_ROWS):
            for entry in batch.column(0).value_counts():
                counts[entry["values"].as_py()] += entry["counts"].as_py()
    return dict(counts.most_common())


def require_same_problems(store: RolloutStore, problems: Sequence[Problem]) -> None:
    """Refuse stored samples of another problem with the same id.

    Raises:
        ConfigError: a stored prompt or gold answer differs from that of the problem now.
    """
    asked = {p.problem_id: (encode_prompt(p.prompt), p.gold) for p in problems}
    columns = ("problem_id", "prompt", "gold")
    for batch in store.iter_batches(columns, batch_size=_ROWS):
        once = pa.Table.from_batches([batch]).group_by(list(columns)).aggregate([])
        for problem_id, prompt, gold in zip(*(c.to_pylist() for c in once.columns), strict=True):
            if asked.get(problem_id, (prompt, gold)) != (prompt, gold):
                raise ConfigError(
                    f"Problem {problem_id!r} has another prompt or gold answer in {store.path} "
                    "than now. Use another folder for other problems."
                )
