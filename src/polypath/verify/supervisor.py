"""The threads behind a pool: each owns one worker process, feeds it, and watches its clock."""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from polypath.errors import ConfigError, PolypathError
from polypath.verify.base import Status, Verdict
from polypath.verify.process import WorkerDiedError, WorkerProcess, start_worker

GRACE = 0.5  # seconds past the deadline that the worker's own alarm has to report
WINDOW = 16  # items a worker holds at most, so that it never waits for the next one
JOIN_SECONDS = 10.0
MOST_UNSENT = 4 * 2**20  # bytes queued for a worker before it gets no further items


class Call:
    """One batch on its way: its items, their verdicts so far, and what went wrong."""

    def __init__(self, completions: Sequence[str], golds: Sequence[str]) -> None:
        self.completions, self.golds = completions, golds
        self.done = threading.Event()
        self.error: PolypathError | None = None
        self._verdicts: list[Verdict | None] = [None] * len(completions)
        self._missing = len(completions)
        if not self._missing:
            self.done.set()

    def deliver(self, index: int, verdict: Verdict) -> None:
        """Store the verdict of an item that has none yet."""
        self._verdicts[index] = verdict
        self._missing -= 1
        if not self._missing:
            self.done.set()

    def fail(self, error: PolypathError) -> None:
        """End the call with an error, unless it is already complete."""
        if not self.done.is_set():
            self.error = error
            self.done.set()

    def verdicts(self) -> list[Verdict]:
        """Return the verdicts of a finished call, or raise what ended it."""
        if self.error is not None:
            # A new object per caller: one raised exception collects tracebacks.
            raise type(self.error)(*self.error.args)
        return [verdict for verdict in self._verdicts if verdict is not None]


class Item(NamedTuple):
    """One completion of a call."""

    call: Call
    place: int


class PoolState:
    """What the supervisors of one pool share. All methods are thread-safe."""

    def __init__(self, settings: Mapping[str, Any], workers: int, *, closed: bool = False) -> None:
        self.settings, self.workers, self.closed = settings, workers, closed
        self._waiting: deque[Item] = deque()
        self._supervisors: set[Supervisor] = set()
        self._idle = 0
        self._counts: Counter[Status] = Counter()
        self._changed = threading.Condition()

    def copy_counts(self) -> Counter[Status]:
        """Verdicts so far, by status."""
        with self._changed:
            return Counter(self._counts)

    def pids(self) -> list[int]:
        """Process ids of the workers that are up."""
        with self._changed:
            workers = [supervisor.worker for supervisor in self._supervisors]
        return [worker.pid for worker in workers if worker is not None]

    def submit(self, completions: Sequence[str], golds: Sequence[str]) -> Call:
        """Queue a batch and make sure there are supervisors for it."""
        call = Call(completions, golds)
        with self._changed:
            if self.closed:
                raise ConfigError("The pool is closed. Build a new one.")
            self._waiting.extend(Item(call, index) for index in range(len(completions)))
            room = self.workers - len(self._supervisors)
            for _ in range(min(room, len(self._waiting) - self._idle)):
                supervisor = Supervisor(self)
                self._supervisors.add(supervisor)
                supervisor.start()
            self._changed.notify_all()
        return call

    def cancel(self, call: Call) -> None:
        """Drop what is left of a call; verdicts that still arrive for it are ignored."""
        with self._changed:
            if not call.done.is_set():
                call.fail(PolypathError("The call was given up."))
                self._waiting = deque(item for item in self._waiting if item.call is not call)

    def take(self, most: int, *, wait: bool) -> list[Item] | None:
        """Return up to ``most`` items; ``None`` once the pool is closed.

        Towards the end of the queue shares become small, so that the workers finish together.
        """
        with self._changed:
            self._idle += 1
            while wait and not self._waiting and not self.closed:
                self._changed.wait()
            self._idle -= 1
            if self.closed:
                return None
            share = -(-len(self._waiting) // (2 * self.workers))
            return [self._waiting.popleft() for _ in range(min(most, share))]

    def give_back(self, items: Iterable[Item]) -> None:
        """Put unanswered items back to the front of the queue."""
        with self._changed:
            wanted = [item for item in items if item.call.error is None]
            self._waiting.extendleft(reversed(wanted))
            self._changed.notify_all()

    def deliver(self, item: Item, verdict: Verdict) -> None:
        """Hand a verdict to its call."""
        with self._changed:
            if item.call.error is None:
                self._counts[verdict.status] += 1
                item.call.deliver(item.place, verdict)

    def leave(
        self, supervisor: "Supervisor", error: PolypathError, held: Iterable[Item] = ()
    ) -> None:
        """Count a supervisor out; what waits, and what it held, ends with the error.

        In one step, so that no batch can be queued for a supervisor that is about to go.
        """
        with self._changed:
            self._supervisors.discard(supervisor)
            for item in [*held, *self._waiting]:
                item.call.fail(error)
            self._waiting.clear()

    def stop(self, *, join: bool = False) -> None:
        """Close: end calls that wait, and all workers.

        Args:
            join: wait for the threads too; not to be asked for by a finalizer, which may run in any
                thread, holding any lock.
        """
        with self._changed:
            self.closed = True
            supervisors = list(self._supervisors)
            self._changed.notify_all()
        for supervisor in supervisors:
            if (worker := supervisor.worker) is not None:
                worker.terminate()
        for supervisor in supervisors if join else ():
            supervisor.join(timeout=JOIN_SECONDS)

    def disown(self) -> None:
        """In a forked child: let go of what belongs to the parent; no lock is to be trusted here."""
        for supervisor in self._supervisors:
            if supervisor.worker is not None:
                supervisor.worker.disown()
        self._supervisors = set()


class Supervisor(threading.Thread):
    """Keeps one worker process fed and within its deadline."""

    def __init__(self, state: PoolState) -> None:
        super().__init__(name="polypath-verify", daemon=True)
        self.worker: WorkerProcess | None = None
        self._state = state
        self._deadline = state.settings["deadline"]
        self._held: deque[Item] = deque()  # sent and not answered; the worker is at the first
        self._since = 0.0  # when the worker began with the first one, at the latest

    def run(self) -> None:
        """Work until the pool closes; errors end the calls they concern, never leave them hanging."""
        error: PolypathError = ConfigError("The pool was closed while it verified.")
        try:
            while self._feed():
                self._listen()
        except PolypathError as found:
            error = found
        except BaseException as found:
            text = " ".join(f"{type(found).__name__}: {found}".split())
            error = PolypathError(f"A thread of the pool failed: {text}")
        finally:
            self._state.leave(self, error, self._held)
            if self.worker is not None:
                self.worker.kill()

    def _feed(self) -> bool:
        """Send items as long as there is room; False once the pool is closed."""
        room = WINDOW - len(self._held)
        full = self.worker is not None and self.worker.unsent_bytes > MOST_UNSENT
        if room < WINDOW // 2 or full:
            room = 0
        items = self._state.take(room, wait=not self._held)
        if items is None:
            return False
        if items and (self.worker is None or not self.worker.alive) and not self._held:
            try:
                self._replace()
                self.worker = start_worker(self._state.settings)
            except BaseException:
                self._held.extend(items)
                raise
        if items and not self._held:
            self._since = time.monotonic()
        for item in items:
            self._held.append(item)
            assert self.worker is not None
            self.worker.send([item.call.completions[item.place], item.call.golds[item.place]])
        return True

    def _listen(self) -> None:
        """Take answers, or find that the worker is late or dead."""
        if not self._held or self.worker is None:
            return
        left = self._since + self._deadline + GRACE - time.monotonic()
        try:
            answers = self.worker.exchange(max(0.0, left))
        except WorkerDiedError:
            self._lose(Status.ERROR)
            return
        if not answers:
            self._lose(Status.TIMEOUT)
            return
        for status, reward, answer, retire in answers:
            verdict = Verdict(status=Status(status), reward=reward, answer=answer)
            self._state.deliver(self._held.popleft(), verdict)
            if retire:
                self._replace()
                return
        self._since = time.monotonic()

    def _lose(self, status: Status) -> None:
        """The item at hand cost its worker: that is its verdict; the others go elsewhere."""
        self._state.deliver(self._held.popleft(), Verdict(status=status))
        self._replace()

    def _replace(self) -> None:
        """Let go of the worker and of what it was to do; the next items start a fresh one."""
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.kill()
        if self._held:
            self._state.give_back(self._held)
            self._held.clear()
