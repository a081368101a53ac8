"""The parent's end of one worker process: start it, exchange frames with it, kill it."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from polypath import errors
from polypath.errors import ConfigError, PolypathError
from polypath.verify.protocol import Frames, encode

START_SECONDS = 120.0  # importing sympy on a busy machine with a cold disk
START_ATTEMPTS = 3
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerDiedError(Exception):
    """The process is gone: killed from outside, or crashed."""


def _environment() -> dict[str, str]:
    # The parent's import path, so that a verifier beside the user's script is found too.
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return {**os.environ, **dict.fromkeys(ONE_THREAD, "1"), "PYTHONPATH": path}


class WorkerProcess:
    """A running worker. Not thread-safe: it belongs to the thread that started it.

    That thread must live as long as the process is wanted: Linux kills the worker with it.

    Raises:
        WorkerDiedError: by the constructor and ``exchange``, if the process ended.
        PolypathError: by the constructor, if the verifier could not be built.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        # A session of its own: Ctrl-C in the terminal reaches the parent only, and one killpg gets
        # whatever the verifier may have started. -P: the working directory is no place to import from.
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-W",
                "ignore",
                "-m",
                "polypath.verify.worker",
                str(os.getpid()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._pipes = (self._process.stdin, self._process.stdout)
        self._sink, self._source = (pipe.fileno() for pipe in self._pipes)
        for descriptor in (self._sink, self._source):
            os.set_blocking(descriptor, False)
        self._frames = Frames()
        self._unsent = bytearray()
        try:
            self.send(dict(settings))
            self._await_ready(settings["verifier"])
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process is still running."""
        return self._process.poll() is None

    @property
    def unsent_bytes(self) -> int:
        """Bytes that ``send`` took and the pipe has not."""
        return len(self._unsent)

    def send(self, message: Any) -> None:
        """Queue a message; ``exchange`` writes it as the pipe takes it."""
        self._unsent += encode(message)

    def exchange(self, seconds: float) -> list[Any]:
        """Write what can be written, and return the messages that arrived within ``seconds``.

        Reading and writing wait together, so that no size of message can lock the two processes
        into waiting for each other.
        """
        end = time.monotonic() + seconds
        while True:
            self._write()
            poll = select.poll()
            poll.register(self._source, select.POLLIN)
            if self._unsent:
                poll.register(self._sink, select.POLLOUT)
            left = max(0.0, end - time.monotonic())
            ready = [descriptor for descriptor, _ in poll.poll(left * 1000)]
            if self._source in ready and (messages := self._read()):
                return messages
            if not ready and left == 0.0:
                return []

    def terminate(self) -> None:
        """Send the signal that ends the process and all it started; safe from any thread."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process, wait for it, and close the pipes."""
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)
        self.forget()

    def forget(self) -> None:
        """Close this process's ends of the pipes; in a forked child, all there is to do."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.close()

    def disown(self) -> None:
        """Forget a worker that belongs to the process this one was forked from."""
        self.forget()
        self._process.returncode = 0  # not ours to wait for

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._sink, self._unsent)]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent.clear()  # it died; what it answered before is still to be read

    def _read(self) -> list[Any]:
        try:
            data = os.read(self._source, 1 << 16)
        except BlockingIOError:
            return []
        if not data:
            raise WorkerDiedError
        return list(self._frames.feed(data))

    def _await_ready(self, verifier: str) -> None:
        messages = self.exchange(START_SECONDS)
        if not messages:
            raise ConfigError(
                f"Verifier {verifier!r} was not ready {START_SECONDS:.0f} s after its worker started. "
                "Do less when its module is imported."
            )
        kind, *details = messages[0]
        if kind == "failed":
            raise _startup_error(verifier, *details)


def _startup_error(verifier: str, name: str, text: str) -> PolypathError:
    """Rebuild the error a verifier raised on being built, as the same class if it is one of ours."""
    known = getattr(errors, name, None)
    if isinstance(known, type) and issubclass(known, PolypathError):
        return known(text)
    return ConfigError(f"Verifier {verifier!r} could not be built: {name}: {text}")


def start_worker(settings: Mapping[str, Any]) -> WorkerProcess:
    """Start a worker whose verifier is ready.

    Raises:
        PolypathError: if the verifier cannot be built, or the process dies at each of several starts.
    """
    reason = "it died"
    for attempt in range(START_ATTEMPTS):
        time.sleep(attempt)
        try:
            return WorkerProcess(settings)
        except WorkerDiedError:
            reason = "it died while starting"
        except OSError as error:
            if isinstance(error, PolypathError):
                raise
            reason = " ".join(str(error).split())
    raise PolypathError(
        f"A worker for the verifier {settings['verifier']!r} did not start in {START_ATTEMPTS} attempts: "
        f"{reason}. Check memory and process limits."
    )
