"""Verifying one completion at a time, in batches behind the scenes."""

import asyncio
import threading

from polypath.core.async_verifier import AsyncVerifier
from polypath.tasks import get_task


class Counting:
    """Countdown, noting the size of every batch."""

    def __init__(self):
        self.inner = get_task("countdown")
        self.sizes = []
        self.go = threading.Event()

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def verify_batch(self, texts, golds):
        assert self.go.wait(10)
        self.sizes.append(len(texts))
        return self.inner.verify_batch(texts, golds)


def ask(verifier, pairs, task=None):
    async def all_of_them():
        asked = [asyncio.ensure_future(verifier.verdict(*pair)) for pair in pairs]
        await asyncio.sleep(0.05)
        if task is not None:
            task.go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_verdicts_are_those_of_the_task_and_come_in_few_batches():
    task = Counting()
    gold = "18 from 2 4 8 9"
    texts = [f"{n} + 9 + 8" for n in range(30)] + ["2 * 9 ", "9 * 2"]
    found = ask(AsyncVerifier(task), [(text, gold) for text in texts], task)
    assert [v.correct for v in found] == [
        v.correct for v in task.inner.verify_batch(texts, [gold] * len(texts))
    ]
    assert len(task.sizes) <= 2


def test_an_error_reaches_those_who_asked_and_the_next_are_served():
    class Failing(Counting):
        def verify_batch(self, texts, golds):
            if "bad" in texts:
                raise RuntimeError("broken")
            return super().verify_batch(texts, golds)

    task = Failing()
    task.go.set()
    verifier = AsyncVerifier(task)
    (first,) = ask(verifier, [("bad", "18 from 2 4 8 9")])
    assert isinstance(first, RuntimeError)
    (second,) = ask(verifier, [("9 * 2", "18 from 2 4 8 9")])
    assert second.reward == task.inner.verify("9 * 2", "18 from 2 4 8 9").reward
