"""Completions from any server that speaks the OpenAI API: vLLM, SGLang, llama.cpp, a hosted one."""

import queue
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import compress
from typing import Any

from polypath.rollouts.key_index import hash_product
from polypath.sampling.completion import Completion
from polypath.sampling.http import JsonClient, ServerError, Stopped, told
from polypath.sampling.request import DrawRequest, sample_digest
from polypath.sampling.settings import SamplingSettings, ServerSettings
from polypath.tasks.base import Problem

_SECONDS_BETWEEN_BATCHES = 30.0  # with a slow server, a kill must not cost more than this
_MOST_IN_A_ROW = (
    100  # requests that fail in a row, each after all retries: then the server is at fault
)
_MOST_TOKENS = 1 << 31  # of a completion
_SURROGATE = re.compile("[\ud800-\udfff]")  # cannot be written in UTF-8


def sample(
    server: ServerSettings, request: DrawRequest, *, say: Callable[[str], None] | None = None
) -> Iterator[list[Completion]]:
    """Draw the samples of a request.

    Like ``polypath.sampling.transformers.sample``, but the server draws. Every HTTP request carries a
    seed made from the settings' seed, the problem and its first sample number. Whether that makes
    samples repeatable is up to the server. ``batch_size`` is the number of completions that are yielded
    together. A server that ignores ``n`` is asked again for each missing sample.

    A refused prompt (for example, too long) does not stop the others. Neither does an answer that cannot
    be read or does not end, after all retries. Its problem is named once everything else was yielded. If
    only some choices of an answer can be read, these count, and the others are requested again.

    Args:
        server: where it is, and how often to retry.
        request: what to draw. Its ``part`` is a part of the problems.
        say: called once for everything that the server ignores; by default it warns.

    Yields:
        Completions as they arrive, in no particular order.

    Raises:
        ServerError: the server refused a prompt, or failed in every attempt.
    """
    orders: list[_Order] = []
    sample_ids = request.sample_ids
    for problem in request.problems[request.part.rank :: request.part.of]:
        left = ~request.done.contains(hash_product([problem.problem_id], sample_ids))
        missing = list(compress(sample_ids, left))
        for start in range(0, len(missing), server.choices_per_request):
            orders.append((problem, missing[start : start + server.choices_per_request]))
    yield from _Session(server, request.settings, say or _warn).run(orders)


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=2)


_Order = tuple[Problem, list[int]]  # sample numbers to request together


@dataclass(slots=True)
class _Session:
    """One call of ``sample``: worker threads take orders and deliver completions."""

    server: ServerSettings
    settings: SamplingSettings
    say: Callable[[str], None]
    client: JsonClient = field(init=False)
    orders: queue.SimpleQueue[_Order | None] = field(default_factory=queue.SimpleQueue)
    results: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    lock: threading.Lock = field(default_factory=threading.Lock)
    one_by_one: bool = False  # the server was seen to ignore n
    hopeless: bool = False  # orders that have not started are not tried
    failed_in_a_row: int = 0  # requests that failed without being refused

    def run(self, orders: Sequence[_Order]) -> Iterator[list[Completion]]:
        """Yield completions until all orders are served, then raise the first error."""
        self.client = JsonClient(self.server, self.say)
        workers = min(self.server.concurrency, len(orders))
        for order in [*orders, *[None] * workers]:
            self.orders.put(order)
        for _ in range(workers):
            # Daemons: an interrupted program must not wait for a server's slow answers.
            threading.Thread(target=self._work, daemon=True).start()
        refused: list[tuple[str, ServerError]] = []
        try:
            yield from self._deliver(len(orders), refused)
        finally:
            self.client.close()
        if refused:
            problem_id, error = refused[0]
            raise ServerError(
                f"{len(refused)} requests failed, first for problem {problem_id!r}: {error}",
                error.status,
                of_request=all(one.of_request for _, one in refused),
            )

    def _deliver(
        self, num_orders: int, refused: list[tuple[str, ServerError]]
    ) -> Iterator[list[Completion]]:
        held: list[Completion] = []
        since = time.monotonic()
        while num_orders:
            try:
                result = self.results.get(timeout=_SECONDS_BETWEEN_BATCHES if held else None)
            except queue.Empty:
                yield held
                held, since = [], time.monotonic()
                continue
            if isinstance(result, BaseException):
                if held:
                    yield held
                raise result
            if isinstance(result, tuple):
                refused.append(result)
            elif isinstance(result, list):
                held += result
            else:
                num_orders -= 1
            late = time.monotonic() - since > _SECONDS_BETWEEN_BATCHES
            if held and (len(held) >= self.settings.batch_size or late):
                yield held
                held, since = [], time.monotonic()
        if held:
            yield held

    def _work(self) -> None:
        """Serve orders until there are no more; every order ends with ``None`` in the results."""
        while (order := self.orders.get()) is not None:
            try:
                for completions in () if self.hopeless else self._serve(*order):
                    self.failed_in_a_row = 0
                    self.results.put(completions)
            except ServerError as error:
                self.failed_in_a_row += error.status in (200, None)
                self.hopeless |= not error.of_request or self.failed_in_a_row >= _MOST_IN_A_ROW
                self.results.put((order[0].problem_id, error))
            except Stopped:
                return
            except BaseException as error:  # a bug: let the caller's thread show it
                self.results.put(error)
                return
            self.results.put(None)

    def _serve(self, problem: Problem, missing: list[int]) -> Iterator[list[Completion]]:
        """Request all samples at once, and then one by one those that did not come."""
        left, given, at_once = missing, 0, len(missing) > 1 and not self.one_by_one
        if at_once:
            try:
                found, given = self._ask(problem, missing)
                yield found
                came = {completion.sample_id for completion in found}
                left = [sample_id for sample_id in missing if sample_id not in came]
            except ServerError as error:
                if error.status not in (400, 422):
                    raise
                # Perhaps only n is refused. The first sample that is requested alone will show.
        for sample_id in left:
            yield self._ask(problem, [sample_id])[0]
            if at_once and given < len(missing):
                self._ask_one_by_one(
                    f"The server returned {given} choices although n={len(missing)} were requested; "
                    "missing samples are requested one by one."
                )

    def _ask_one_by_one(self, why: str) -> None:
        with self.lock:
            if self.one_by_one:
                return
            self.one_by_one = True
        self.say(why)

    def _ask(self, problem: Problem, sample_ids: list[int]) -> tuple[list[Completion], int]:
        """Return the completions of an answer, at least one, and its number of choices."""
        path, body = _request(self.server, self.settings, problem, sample_ids)
        return self.client.post(path, body, partial(_completions, problem, sample_ids))


def _request(
    server: ServerSettings, settings: SamplingSettings, problem: Problem, sample_ids: Sequence[int]
) -> tuple[str, dict[str, Any]]:
    """Return the endpoint and the body that request some samples of a problem."""
    body: dict[str, Any] = {
        "model": server.model,
        "n": len(sample_ids),
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_tokens": settings.max_new_tokens,
        "seed": _request_seed(settings.seed, problem.problem_id, sample_ids[0]),
    }
    if settings.top_k is not None:
        body["top_k"] = settings.top_k  # not OpenAI's, but vLLM's and SGLang's
    prompt = problem.prompt
    if isinstance(prompt, str) and server.chat:
        prompt = [{"role": "user", "content": prompt}]
    if isinstance(prompt, str):
        return "completions", {**body, "prompt": prompt}
    return "chat/completions", {**body, "messages": prompt}


def _request_seed(seed: int, problem_id: str, sample_id: int) -> int:
    """Return the seed of a request, in 0..2^31 - 1. Two requests with one seed would agree."""
    digest = sample_digest(seed, problem_id, sample_id, size=4)
    return int.from_bytes(digest, "little") & 0x7FFF_FFFF


def _completions(
    problem: Problem, sample_ids: Sequence[int], answer: Mapping[str, Any]
) -> tuple[list[Completion], int]:
    """Read an answer: return a completion for each readable choice, and the number of choices.

    Raises:
        ValueError: no choice can be read, or a value for all of them has the wrong type.
    """
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError(f"it answered without choices: {told(answer)}")
    n_tokens = _count(answer.get("usage"))
    found, faults = [], []
    for sample_id, choice in zip(sample_ids, choices, strict=False):
        try:
            found.append(_completion(problem, sample_id, choice))
        except ValueError as error:
            faults.append(error)
    if not found:
        raise faults[0]
    if len(choices) == 1:
        found = [replace(found[0], n_tokens=n_tokens)]
    return found, len(choices)


def _count(usage: Any) -> int | None:
    """Return the number of tokens that an answer reports, if it reports it."""
    if usage is None:
        return None
    if not isinstance(usage, dict):
        raise ValueError(f"its usage is of type {type(usage).__name__}")
    count = usage.get("completion_tokens")
    whole = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < _MOST_TOKENS
    if not (count is None or whole):
        raise ValueError("its usage.completion_tokens is not a number of tokens")
    return count


def _completion(problem: Problem, sample_id: int, choice: Any) -> Completion:
    """Read one choice of an answer. A chat's message may have no content, if it has only reasoning."""
    if not isinstance(choice, dict):
        raise ValueError(f"a choice is of type {type(choice).__name__}")
    said = choice.get("text")
    if said is None:
        message = choice.get("message")
        if not isinstance(message, dict):
            raise ValueError("a choice has neither text nor message")
        said = message.get("content")
    if not isinstance(said, str | None):
        raise ValueError(f"the text of a choice is of type {type(said).__name__}")
    text = said or ""
    if _SURROGATE.search(text):
        raise ValueError("the text of a choice has half a character (a lone surrogate)")
    reason = choice.get("finish_reason")
    return Completion(
        problem=problem,
        sample_id=sample_id,
        text=text,
        token_ids=(),
        finish_reason=reason if reason in ("stop", "length") else None,
    )
