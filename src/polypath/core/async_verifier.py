"""A task's verifier for an engine that asks for one completion at a time, from many coroutines."""

import asyncio

from polypath.core.verdicts import CachedVerifier
from polypath.tasks.base import Task
from polypath.verify.base import Verdict


class AsyncVerifier:
    """Verifies in batches: what is asked for while a batch is being verified makes the next one.

    Args:
        task: verifies, in a thread.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._verifier = CachedVerifier(task)
        self._waiting: list[tuple[str, str, asyncio.Future[Verdict]]] = []
        self._working: asyncio.Task[None] | None = None

    async def verdict(self, text: str, gold: str) -> Verdict:
        """Return the verdict of one completion."""
        asked: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, gold, asked))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await asked

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            texts, golds = [text for text, _, _ in batch], [gold for _, gold, _ in batch]
            try:
                verdicts = await asyncio.to_thread(self._verifier.verdicts, texts, golds)
            except Exception as error:
                for _, _, asked in batch:
                    if not asked.done():
                        asked.set_exception(error)
                continue
            self._verifier.count(verdicts)
            for (_, _, asked), verdict in zip(batch, verdicts, strict=True):
                if not asked.done():  # its caller may have given up
                    asked.set_result(verdict)
