"""The threads behind a pool: each owns one worker process, feeds it, and watches its clock."""

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from polypath.errors import ConfigError, PolypathError
from polypath.verify.base import Status, Verdict
from polypath.verify.process import MOST_AHEAD, WorkerDiedError, WorkerProcess, start_worker
from polypath.verify.protocol import MOST_WAITING

WINDOW = 64  # most items a worker holds: several bells, so that it never waits for the next one
GRACE = 0.5  # seconds past the deadline for the worker's own alarm to report
LEAST_WAIT = 0.05  # seconds between checks of a late worker
JOIN_SECONDS = 10.0


class Call:
    """One batch in progress: its items, their verdicts so far, and any error."""

    def __init__(self, completions: Sequence[str], golds: Sequence[str]) -> None:
        self.items = list(zip(completions, golds, strict=True))
        self.verdicts: dict[int, Verdict] = {}
        self.error: PolypathError | None = None
        self.over = threading.Event()

    def end(self, error: PolypathError) -> None:
        """End the call with an error, unless it is over."""
        if not self.over.is_set():
            self.error = error
            self.over.set()


class Item(NamedTuple):
    """One completion of a call."""

    call: Call
    place: int
    size: int  # characters of completion and gold


class Crew:
    """The supervisors of one pool. It holds no reference to the pool, which may be freed at any time."""

    def __init__(self, settings: Mapping[str, Any], workers: int, *, closed: bool = False) -> None:
        self.settings, self.closed = settings, closed
        self._workers = workers
        self._waiting: deque[Item] = deque()
        self._calls: set[Call] = set()
        self._supervisors: list[Supervisor] = []
        self._counts: Counter[Status] = Counter()
        # Its lock is reentrant: the pool's finalizer may run in a thread that holds it.
        self._changed = threading.Condition()

    def copy_counts(self) -> Counter[Status]:
        """Verdicts so far, by status."""
        with self._changed:
            return Counter(self._counts)

    def workers_up(self) -> list[WorkerProcess]:
        """The running workers."""
        return [one.worker for one in list(self._supervisors) if one.worker is not None]

    def verify(self, completions: Sequence[str], golds: Sequence[str]) -> list[Verdict]:
        """Verify a batch; see ``WorkerPool.verify``."""
        call = Call(completions, golds)
        places = range(len(call.items))
        if not places:
            return []
        try:
            self._submit(call)
            call.over.wait()
        finally:  # also after Ctrl-C: nobody waits for the rest
            with self._changed:
                self._calls.discard(call)
                call.end(PolypathError("The call was given up."))
        if call.error is not None:
            raise call.error
        return [call.verdicts[place] for place in places]

    def _submit(self, call: Call) -> None:
        """Queue a batch and make sure it has supervisors."""
        with self._changed:
            if self.closed:
                raise ConfigError("The pool is closed. Build a new one.")
            self._calls.add(call)
            self._waiting.extend(
                Item(call, place, len(completion) + len(gold))
                for place, (completion, gold) in enumerate(call.items)
            )
            self._changed.notify_all()
            unanswered = sum(len(one.items) - len(one.verdicts) for one in self._calls)
            for _ in range(min(self._workers, unanswered) - len(self._supervisors)):
                supervisor = Supervisor(self)
                supervisor.start()
                self._supervisors.append(supervisor)

    def take(self, most: int, size: int, *, wait: bool) -> list[Item]:
        """Return up to ``most`` items of at most ``size`` characters in all.

        With ``wait`` it returns at least one, however large, unless the pool is closed. Towards the end
        of the queue shares become small, so that the workers finish together.
        """
        with self._changed:
            while wait and not self._waiting and not self.closed:
                self._changed.wait()
            if self._workers > 1:
                most = min(most, -(-len(self._waiting) // (2 * self._workers)))
            most = min(most, len(self._waiting))
            taken: list[Item] = []
            while len(taken) < most and (self._waiting[0].size <= size or (wait and not taken)):
                taken.append(self._waiting.popleft())
                size -= taken[-1].size
            return taken

    def give_back(self, items: Iterable[Item]) -> None:
        """Put unanswered items back to the front of the queue."""
        with self._changed:
            self._waiting.extendleft(reversed(list(items)))
            self._changed.notify_all()

    def deliver(self, verdicts: Iterable[tuple[Item, Verdict]]) -> None:
        """Hand verdicts to the calls of their items."""
        with self._changed:
            for (call, place, _), verdict in verdicts:
                if not call.over.is_set():
                    self._counts[verdict.status] += 1
                    call.verdicts[place] = verdict
                    if len(call.verdicts) == len(call.items):
                        call.over.set()

    def stop(self, *, join: bool = False) -> None:
        """Close: end waiting calls and all workers.

        Args:
            join: also wait for the threads. Never set it in a finalizer, which may run in any thread,
                holding any lock.
        """
        with self._changed:
            self.closed = True
            for call in self._calls:
                call.end(ConfigError("The pool was closed while it verified."))
            self._changed.notify_all()
        for worker in self.workers_up():
            worker.terminate()
        for supervisor in self._supervisors if join else ():
            supervisor.join(timeout=JOIN_SECONDS)


class Supervisor(threading.Thread):
    """Keeps one worker process fed and within its deadline."""

    def __init__(self, crew: Crew) -> None:
        super().__init__(name="polypath-verify", daemon=True)
        self.worker: WorkerProcess | None = None
        self._crew = crew
        self._seconds = crew.settings["deadline"] + GRACE
        self._held: deque[Item] = deque()  # sent, not answered; the worker is on the first
        self._begin()

    def run(self) -> None:
        """Work until the pool closes; an error ends the calls it concerns, so none hangs."""
        while not self._crew.closed:
            try:
                self._feed()
                self._listen()
            except BaseException as error:
                if not isinstance(error, PolypathError):
                    text = " ".join(f"{type(error).__name__}: {error}".split())
                    error = PolypathError(f"A thread of the pool failed: {text}")
                for item in self._held:
                    item.call.end(error)
                self._let_go()
        self._let_go()

    def _feed(self) -> None:
        """Send items while there is room; wait for some if the worker holds none."""
        room = WINDOW - len(self._held)
        if room < WINDOW // 2:
            return
        size = MOST_AHEAD - sum(item.size for item in self._held)
        items = self._crew.take(room, size, wait=not self._held)
        items = [item for item in items if not item.call.over.is_set()]
        if not items:
            return
        is_idle = not self._held
        if is_idle and self.worker is not None and not self.worker.alive:
            self._let_go()
        self._held.extend(items)
        self.worker = self.worker or start_worker(self._crew.settings)
        if is_idle:
            self._begin()
        with contextlib.suppress(TimeoutError, WorkerDiedError):  # seen again when an answer is due
            self.worker.send([item.call.items[item.place] for item in items], self._seconds)

    def _listen(self) -> None:
        """Receive answers, or notice that the worker is late or dead."""
        if not self._held or self.worker is None:
            return
        try:
            if self._answered(self.worker.receive(self._due)):
                self._let_go()
            else:
                self._begin()  # once for all answers: reading the processor time is not free
        except TimeoutError:
            if (left := self._time_left(self.worker)) > 0:
                self._due += left
                return
            self._end_first(Status.TIMEOUT)
        except (WorkerDiedError, ValueError, TypeError):  # it ended, or its answer is malformed
            self._end_first(Status.ERROR)

    def _answered(self, answers: Sequence[Any]) -> bool:
        """Hand on the answers to the first items held; return whether the worker asks to be replaced."""
        verdicts: list[tuple[Item, Verdict]] = []
        try:
            for status, reward, text, retire in answers:
                verdict = Verdict(status=Status(status), reward=reward, answer=text)
                verdicts.append((self._held.popleft(), verdict))
                if retire:
                    return True
            return False
        finally:
            self._crew.deliver(verdicts)

    def _end_first(self, status: Status) -> None:
        """Give the first item this verdict, and end the worker."""
        self._crew.deliver([(self._held.popleft(), Verdict(status=status))])
        self._let_go()

    def _begin(self) -> None:
        """Record when the worker begins its current item, or those between two bells and then that."""
        self._began = time.monotonic()
        self._due = self._began + self._seconds  # when to check the item
        self._cpu = self.worker.cpu_seconds() if self.worker is not None else None

    def _time_left(self, worker: WorkerProcess) -> float:
        """Seconds left for the item: of processor time, and of clock time if it waits."""
        now = worker.cpu_seconds()
        if now is None or self._cpu is None:
            return 0.0
        waited = time.monotonic() - self._began
        most = self._crew.settings["deadline"] * MOST_WAITING + GRACE
        left = min(self._seconds - (now - self._cpu), most - waited)
        return max(left, LEAST_WAIT) if left > 0 else 0.0

    def _let_go(self) -> None:
        """End the worker; others verify its remaining items, and the next items start a fresh one."""
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.kill()
        self._crew.give_back(self._held)
        self._held.clear()
