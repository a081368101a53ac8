"""What runs inside a worker process, whatever started it."""

import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polypath
from polypath.errors import ConfigError, PolypathError
from polypath.executor.protocol import WorkerSettings

_PARENT_SECONDS = 0.5  # between checks of the parent
_SEEN_SECONDS = 10.0  # until a new file appears on a network file system


@dataclass(frozen=True, kw_only=True)
class Home:
    """What a worker on another machine must share with the command.

    Attributes:
        folder: the working folder, the base of relative paths.
        version: polypath's.
        marker: a file just written to the folder that every worker must see; ``None`` if there is none.
    """

    folder: Path
    version: str
    marker: Path | None = None


class RemoteWorker:
    """A worker on a cluster: one process that runs one unit after another."""

    def __init__(self, settings: WorkerSettings, home: Home) -> None:
        self._settings = settings
        self._home = home
        self._state: Any = None
        self._log: Path | None = None

    def begin(self) -> tuple[str, Path | None]:
        """Set up; return the machine's name and the file that receives printed output.

        Raises:
            ConfigError: this machine has another version of polypath or does not see the folders, or the
            state cannot be built.
        """
        host = socket.gethostname()
        require_home(self._home, host)
        os.chdir(self._home.folder)
        if os.getcwd() not in sys.path:  # as in the command: a user's module may be there
            sys.path.insert(0, os.getcwd())
        log = self._settings.log
        if log is not None:  # one per machine: network file systems mix up two writers
            self._log = log.with_name(f"{log.stem}-{host}{log.suffix}")
            _print_to(self._log)
        # How many processes share this machine's CPUs: verifier pools use their share.
        share = (os.cpu_count() or 1) // self._settings.cpus
        os.environ["LOCAL_WORLD_SIZE"] = str(max(1, share))
        if self._settings.state is not None:
            try:
                self._state = self._settings.state()
            except PolypathError as error:
                raise ConfigError(
                    f"Node {host}: {error} Files that are named must lie where every node sees them."
                ) from error
        return host, self._log

    def run(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        """Run one unit."""
        if self._settings.state is not None:
            return function(self._state, **arguments)
        return function(**arguments)

    def close(self) -> None:
        """Release the state, so that processes it started end in order."""
        state, self._state = self._state, None
        if hasattr(state, "close"):
            state.close()


def require_home(home: Home, host: str) -> None:
    """Check that this machine can stand in for the command's.

    Args:
        home: what is needed.
        host: this machine's name, for error messages.

    Raises:
        ConfigError: naming what is missing here.
    """
    if polypath.__version__ != home.version:
        raise ConfigError(
            f"Node {host} has polypath {polypath.__version__} (Python {platform.python_version()}), the "
            f"command {home.version}. Install the same on every node."
        )
    if not home.folder.is_dir():
        raise ConfigError(
            f"Node {host} has no folder {home.folder}, in which the command was started. Start it in a "
            "folder that every node has, on a shared file system for instance."
        )
    end = time.monotonic() + _SEEN_SECONDS
    while home.marker is not None and not home.marker.exists():
        if time.monotonic() > end:
            raise ConfigError(
                f"Node {host} does not see what the command writes to {home.marker.parent}. Name a folder on "
                "a file system that all nodes share."
            )
        time.sleep(0.1)


def start_local(settings: WorkerSettings, parent: int) -> None:
    """Set up a worker process on this machine: log, threads, and exit when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides and kills
    if settings.log is not None:
        _print_to(settings.log)
    os.environ.update(settings.environment)
    # torch reads it on import, in a unit that needs torch.
    os.environ["OMP_NUM_THREADS"] = str(settings.cpus)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(settings.cpus)
    global _state
    _state = None if settings.state is None else settings.state()


_state: Any = None


def run_local(function: Callable[..., Any], arguments: Mapping[str, Any], *, stateful: bool) -> Any:
    """Run one unit in a process that ``start_local`` set up."""
    return function(_state, **arguments) if stateful else function(**arguments)


def _print_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)


def _leave_with(parent: int) -> None:
    """Exit when the parent was killed: a worker left behind would train on, unseen."""
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os._exit(1)
