"""The parent's end of one worker process: start it, talk to it, kill it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from polypath import errors
from polypath.credentials import environment_without_keys, one_line
from polypath.errors import ConfigError, PolypathError
from polypath.verify.protocol import decode_lines, encode

START_SECONDS = 120.0  # importing sympy on a busy machine with a cold disk
START_ATTEMPTS = 3
MOST_AHEAD = 32_768  # characters sent to a busy worker: the socket holds them until it reads
MOST_DEAF = 0.03  # seconds to wait for a bell, more than is between a worker's bells
LEAST_READ = 1e-3  # seconds to wait for what should be there
_CPUCLOCK_SCHED = 2  # of Linux's clocks of another process: user and system time
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerDiedError(Exception):
    """The process is gone: killed from outside, or crashed."""


def _environment() -> dict[str, str]:
    # The parent's import path, so that a verifier beside the user's script is found too. No keys: the
    # worker reads what a model wrote.
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    kept = environment_without_keys(os.environ)
    return {**kept, **dict.fromkeys(ONE_THREAD, "1"), "PYTHONPATH": path}


class WorkerProcess:
    """A running worker. Not thread-safe: it belongs to the thread that started it.

    That thread must live as long as the process is needed: Linux kills the worker with it.

    Raises:
        WorkerDiedError: by the constructor, if the process ended.
        PolypathError: by the constructor, if the verifier could not be built.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._socket, theirs = socket.socketpair()
        self._bell, their_bell = socket.socketpair()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MOST_AHEAD)
        self._received = bytearray()
        with theirs, their_bell, contextlib.ExitStack() as undo:
            undo.callback(self._close)
            # Its own session: Ctrl-C in the terminal reaches the parent only, and one killpg also ends
            # whatever the verifier started. -P: nothing is imported from the working directory.
            module = ["-P", "-W", "ignore", "-m", "polypath.verify.worker"]
            numbers = [theirs.fileno(), their_bell.fileno()]
            self._process = subprocess.Popen(
                [sys.executable, *module, *map(str, numbers), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=numbers,
                env=_environment(),
                start_new_session=True,
            )
            undo.callback(self.kill)
            theirs.close()  # or the process's end would go unnoticed
            their_bell.close()
            self._await_ready(settings)
            undo.pop_all()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is still running."""
        return self._process.poll() is None

    def cpu_seconds(self) -> float | None:
        """Processor time of the worker so far; ``None`` where the system does not report it."""
        if sys.platform != "linux":
            return None
        # The number that clock_getcpuclockid(3) gives: a tenth of the cost of reading /proc.
        try:
            return time.clock_gettime(~self.pid << 3 | _CPUCLOCK_SCHED)
        except OSError:
            return None

    def send(self, message: Any, seconds: float) -> None:
        """Send a message; at most ``MOST_AHEAD`` characters may be in transit while the worker is busy.

        Raises:
            TimeoutError: the socket did not take them within ``seconds``.
            WorkerDiedError: the process ended.
        """
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(encode(message))
        except ConnectionError:
            raise WorkerDiedError from None

    def receive(self, due: float) -> list[Any]:
        """Return the answers written so far, at least one.

        Raises:
            TimeoutError: none was written by ``due``, a time of ``time.monotonic``.
            WorkerDiedError: the process ended, and all its answers were returned before.
            ValueError: an answer is not JSON.
        """
        # Without a bell the worker is on a long item: what it wrote before is read, and then its next answer.
        with contextlib.suppress(TimeoutError):
            self._read(self._bell, min(due, time.monotonic() + MOST_DEAF))
        while b"\n" not in self._received:
            if not (data := self._read(self._socket, due)):
                raise WorkerDiedError
            self._received += data
            if b"\n" not in data and time.monotonic() > due:
                raise TimeoutError
        *lines, rest = self._received.split(b"\n")
        found, malformed = decode_lines(lines)
        # A malformed line is told of when it is the first, so that it is held against its own item.
        self._received = bytearray(b"\n".join([*malformed, rest]))
        return found

    def _read(self, end: socket.socket, due: float) -> bytes:
        """Return what there is by ``due``, also if that has passed; nothing if the process ended."""
        end.settimeout(max(due - time.monotonic(), LEAST_READ))
        try:
            return end.recv(1 << 16)
        except ConnectionError:
            return b""

    def terminate(self) -> None:
        """Send the signal that ends the process and all it started; safe from any thread."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process and wait for it."""
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)
        self._close()

    def disown(self) -> None:
        """In a forked child: forget a worker that belongs to the parent."""
        self._close()
        self._process.returncode = 0  # not ours to wait for

    def _close(self) -> None:
        self._socket.close()
        self._bell.close()

    def _await_ready(self, settings: Mapping[str, Any]) -> None:
        verifier = settings["verifier"]
        try:
            self.send(dict(settings), START_SECONDS)
            [[kind, *details]] = self.receive(time.monotonic() + START_SECONDS)
        except TimeoutError:
            raise ConfigError(
                f"Verifier {verifier!r} was not ready {START_SECONDS:.0f} s after its worker started. "
                "Do less when its module is imported."
            ) from None
        if kind == "failed":
            raise _startup_error(verifier, *details)


def _startup_error(verifier: str, name: str, text: str) -> PolypathError:
    """Rebuild the error raised while building a verifier, with the same class if it is one of ours."""
    known = getattr(errors, name, None)
    if isinstance(known, type) and issubclass(known, PolypathError):
        return known(text)
    return ConfigError(f"Verifier {verifier!r} could not be built: {name}: {text}")


def start_worker(settings: Mapping[str, Any]) -> WorkerProcess:
    """Start a worker whose verifier is ready.

    Raises:
        PolypathError: if the verifier cannot be built, or the process dies at every one of several starts.
    """
    reason = ""
    for attempt in range(START_ATTEMPTS):
        time.sleep(attempt)
        try:
            return WorkerProcess(settings)
        except WorkerDiedError:
            reason = "it died while starting"
        except OSError as error:
            if isinstance(error, PolypathError):
                raise
            reason = one_line(error)
    raise PolypathError(
        f"A worker for the verifier {settings['verifier']!r} did not start in {START_ATTEMPTS} attempts: "
        f"{reason}. Check memory and process limits."
    )
