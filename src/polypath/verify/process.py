"""The parent's end of one worker process: start it, talk to it, kill it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from polypath import errors
from polypath.credentials import environment_without_keys, one_line
from polypath.errors import ConfigError, PolypathError
from polypath.verify.protocol import decode, encode

START_SECONDS = 120.0  # importing sympy on a busy machine with a cold disk
START_ATTEMPTS = 3
MOST_AHEAD = 32_768  # characters sent to a busy worker: the socket holds them until it reads
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
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MOST_AHEAD)
        self._received = bytearray()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(self._socket.close)
            # Its own session: Ctrl-C in the terminal reaches the parent only, and one killpg also ends
            # whatever the verifier started. -P: nothing is imported from the working directory.
            module = ["-P", "-W", "ignore", "-m", "polypath.verify.worker"]
            self._process = subprocess.Popen(
                [sys.executable, *module, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment(),
                start_new_session=True,
            )
            undo.callback(self.kill)
            theirs.close()  # or the process's end would go unnoticed
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

    def send(self, messages: Sequence[Any], seconds: float) -> None:
        """Send messages; at most ``MOST_AHEAD`` characters may be in transit while the worker is busy.

        Raises:
            TimeoutError: the socket did not take them within ``seconds``.
            WorkerDiedError: the process ended.
        """
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(b"".join(map(encode, messages)))
        except ConnectionError:
            raise WorkerDiedError from None

    def receive(self, due: float) -> list[Any]:
        """Return the answers received so far, at least one.

        Raises:
            TimeoutError: none came by ``due``, a time of ``time.monotonic``.
            WorkerDiedError: the process ended.
            ValueError: an answer is not JSON.
        """
        while b"\n" not in self._received:
            left = due - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(1 << 16)
            except ConnectionError:
                raise WorkerDiedError from None
            if not data:
                raise WorkerDiedError
            self._received += data
        *lines, self._received = self._received.split(b"\n")
        return [decode(line) for line in lines]

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
        self._socket.close()

    def disown(self) -> None:
        """In a forked child: forget a worker that belongs to the parent."""
        self._socket.close()
        self._process.returncode = 0  # not ours to wait for

    def _await_ready(self, settings: Mapping[str, Any]) -> None:
        verifier = settings["verifier"]
        try:
            self.send([dict(settings)], START_SECONDS)
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
