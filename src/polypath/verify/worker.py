"""The process that verifies: ``python -m polypath.verify.worker``, started by the pool only.

It owns its main thread, so signals work here whatever the parent is: a thread, a Ray actor, a
daemonic process. Two timers are the cheap guard against answers that take too long: one of processor
time, so that a verdict does not depend on the machine's other load, and one of clock time, for an
answer that waits. Code that never returns to the interpreter (``9**9**9``) must be killed by the parent.
"""

import contextlib
import ctypes
import gc
import itertools
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from polypath.credentials import one_line
from polypath.errors import ConfigError
from polypath.user_code import load_function
from polypath.verify.base import Status, Verdict
from polypath.verify.protocol import MOST_WAITING, decode, encode, encode_answer

PARENT_CHECK = 5.0  # seconds between checks that the parent is alive, when idle
MEMORY_CHECK = 256  # items between checks of own memory
# What the parent is not told of yet; the socket holds it.
MOST_UNSEEN = 32  # answers
MOST_UNSEEN_BYTES = 16_384
BELL_SECONDS = 0.02  # between bells while items end: far less than the parent's grace of a deadline
_PR_SET_PDEATHSIG = 1


class _Deadline(BaseException):
    """Not an ``Exception``, because mathematics libraries often swallow those."""


_verifying = False


def _on_alarm(_signum: int, _frame: FrameType | None) -> None:
    global _verifying
    if _verifying:  # not between items: to stop two timers for each would cost two calls more
        _verifying = False
        raise _Deadline


def _set_timers(deadline: float) -> None:
    """Start both timers for an item; 0 stops them."""
    signal.setitimer(signal.ITIMER_PROF, deadline)
    signal.setitimer(signal.ITIMER_REAL, deadline * MOST_WAITING)


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when the thread that started it ends."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _memory_in_use() -> int | None:
    """Bytes of address space of this process; ``None`` where the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _build_verifier(settings: dict[str, Any]) -> Callable[[str, str], Verdict]:
    spec = settings["verifier"]
    verifier: Callable[[str, str], Verdict] = load_function(spec, "verifier")(**settings["options"])
    if not callable(verifier):
        raise ConfigError(
            f"Verifier {spec!r} must return a callable, got {type(verifier).__name__}."
        )
    return verifier


class _Answers:
    """Writes answers at once, and rings the bell when there are many, or the last bell is long ago."""

    def __init__(self, pipe: socket.socket, bell: socket.socket) -> None:
        self._pipe, self._bell = pipe, bell
        self._unseen = self._unseen_bytes = 0
        self._rung = time.monotonic()

    def write(self, line: bytes) -> None:
        if self._unseen_bytes + len(line) > MOST_UNSEEN_BYTES:
            self._ring()  # before, since the socket may not take more until the parent reads
        self._pipe.sendall(line)
        self._unseen += 1
        self._unseen_bytes += len(line)
        if (
            self._unseen >= MOST_UNSEEN
            or self._unseen_bytes > MOST_UNSEEN_BYTES
            or time.monotonic() - self._rung > BELL_SECONDS
        ):
            self._ring()

    def tell(self) -> None:
        """Ring if there are answers that the parent was not told of."""
        if self._unseen:
            self._ring()

    def _ring(self) -> None:
        self._bell.sendall(b".")
        self._unseen = self._unseen_bytes = 0
        self._rung = time.monotonic()


def _messages(pipe: socket.socket, answers: _Answers, parent: int) -> Iterator[Any]:
    """Yield what the parent sends; end when it closes the socket or is gone."""
    received = bytearray()
    poll = select.poll()  # not select: the socket's number may be too high for it
    poll.register(pipe, select.POLLIN)
    while True:
        *lines, received = received.split(b"\n")
        yield from map(decode, lines)
        answers.tell()
        _set_timers(0)
        if not poll.poll(PARENT_CHECK * 1000):
            if os.getppid() != parent:
                return
            continue
        data = pipe.recv(1 << 16)
        if not data:
            return
        received += data


def _verify_within(
    verifier: Callable[[str, str], Verdict], completion: str, gold: str, deadline: float
) -> tuple[Verdict, bool]:
    """Return the verdict, and whether this process should be replaced (it ran out of memory)."""
    global _verifying
    try:
        try:
            _set_timers(deadline)
            _verifying = True
            verdict = verifier(completion, gold)
        finally:
            _verifying = False
    except _Deadline:
        return Verdict(status=Status.TIMEOUT), False
    except MemoryError:
        return Verdict(status=Status.ERROR), True
    except BaseException:  # also SystemExit and the like: a verifier cannot end its worker
        return Verdict(status=Status.ERROR), False
    if not isinstance(verdict, Verdict):
        return Verdict(status=Status.ERROR), False
    return verdict, False


def _serve(
    messages: Iterator[Any],
    answers: _Answers,
    verifier: Callable[[str, str], Verdict],
    *,
    deadline: float,
    most_memory: int | None,
) -> None:
    for number, (completion, gold) in enumerate(itertools.chain.from_iterable(messages), start=1):
        verdict, retire = _verify_within(verifier, completion, gold, deadline)
        if most_memory is not None and number % MEMORY_CHECK == 0:
            # Parsers keep caches: exit before these make the verifier fail on innocent items.
            retire = retire or (_memory_in_use() or 0) > most_memory
        reward = float(verdict.reward)
        answers.write(encode_answer(verdict.status.value, reward, verdict.answer, retire=retire))
        if retire:
            answers.tell()


def main() -> None:
    """Read the settings, build the verifier, then answer items until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    pipe, bell = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    parent = int(sys.argv[3])
    for end in (pipe, bell):
        end.set_inheritable(False)  # processes the verifier starts must not hold it open
    _die_with(parent)
    answers = _Answers(pipe, bell)
    messages = _messages(pipe, answers, parent)
    settings = next(messages, None)
    if settings is None:
        return
    gc.disable()  # it would look again and again at what is imported, a tenth of the time
    try:
        verifier = _build_verifier(settings)
    except BaseException as error:
        answers.write(encode(["failed", type(error).__name__, one_line(error)]))
        answers.tell()
        return
    gc.freeze()
    gc.enable()
    most_memory = None
    if (in_use := _memory_in_use()) is not None:
        limit = in_use + settings["memory_bytes"]
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        most_memory = in_use + settings["memory_bytes"] // 2
    for alarm in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(alarm, _on_alarm)
    answers.write(encode(["ready"]))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)  # until here stderr is the parent's, to show a crash on import
    os.close(null)
    _serve(messages, answers, verifier, deadline=settings["deadline"], most_memory=most_memory)


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):  # the parent left while an answer was written
        main()
    os._exit(0)  # nothing to clean up; skips exit hooks of half-broken libraries
