"""Workers on a Ray cluster: each is an actor. A unit whose worker is lost runs again elsewhere."""

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

import polypath
from polypath.credentials import one_line
from polypath.errors import ConfigError, PolypathError
from polypath.executor.cluster import OFF, VARIABLE, RayCluster
from polypath.executor.protocol import Finished, Unit, WorkerLost, WorkerSettings
from polypath.executor.worker import Home, RemoteWorker

LOST = (RayActorError, NodeDiedError, WorkerCrashedError, OutOfMemoryError, ObjectLostError)
MOST_LOSSES = 3  # of one unit, or of workers in a row that do not start
CONNECT_SECONDS = 30.0
CLOSE_SECONDS = 10.0
TELL_SECONDS = 30.0  # without any worker, until the user is told
SETTLE_SECONDS = 1.0  # for a lost worker that is not quite dead to release its locks
# Variables that workers need as in the command. No keys: Ray's dashboard shows what Ray is given.
PASSED_ON = (
    *("PYTHONPATH", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT"),
    *("HF_HUB_DISABLE_TELEMETRY", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM"),
    *("MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG", "VLLM_CPU_KVCACHE_SPACE"),
)
# For an address where nothing answers, ray.init waits for minutes and prints a lot.
_PROBE = (
    "import logging, sys, ray; "
    "ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.CRITICAL)"
)


@contextlib.contextmanager
def connected(cluster: RayCluster) -> Iterator[None]:
    """Connect to the cluster; an existing connection is used, and kept.

    Raises:
        ConfigError: nothing answers at the address, this process cannot join its cluster, or Python's path
            has a space.
    """
    if ray.is_initialized():
        yield
        return
    if " " in sys.executable:  # workers would never register, without a message
        raise ConfigError(
            f"Ray cannot start workers with a Python whose path has a space, got {sys.executable}. Move the "
            f"environment to a path without one, or use --ray {OFF}."
        )
    of_environment = os.environ.pop(VARIABLE, None)  # Ray would read it as the meaning of "auto"
    try:
        _probe(cluster)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)
    finally:
        if of_environment is not None:
            os.environ[VARIABLE] = of_environment
    # Without this, raylets still print pages about lost nodes to stdout. No other way is known.
    ray._private.worker._worker_logs_enabled = False
    try:
        yield
    finally:
        ray.shutdown()


def _probe(cluster: RayCluster) -> None:
    """Connect in another process, which can be killed if it takes too long."""
    told = f"{cluster.named_by} {cluster.address}"
    else_ = f"Start a cluster (ray start --head), name another address, or --ray {OFF}."
    if cluster.address != "auto":
        host, _, port = cluster.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise ConfigError(f"{told}: nothing answers there ({error}). {else_}") from None
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, cluster.address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=CONNECT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"{told}: no head of a Ray cluster answered within {CONNECT_SECONDS:.0f} s. {else_}"
        ) from None
    if "AuthenticationError" in done.stderr:
        raise ConfigError(
            f"{told}: the cluster asks for its token. Set RAY_AUTH_MODE=token, with which Ray looks for it "
            "where ray start left it, or use --ray auto on the head node."
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ConfigError(f"{told} cannot be used: {one_line(lines[-1], 300)} {else_}")


@dataclass(kw_only=True)
class _Actor:
    """One worker: its handle, its node, and its current unit."""

    handle: Any
    host: str = ""
    log: Path | None = None
    unit: Unit | None = None


class RayExecutor:
    """Runs units in actors, one per worker, started as there is work for them.

    A unit whose worker is lost (its process, its machine) goes to another worker, at most three times.
    A worker that waits for room in the cluster starts when there is some.

    Args:
        cluster: the connected cluster.
        settings: for every worker.
        say: called with one line on what is used and what is lost.

    Raises:
        ConfigError: no node of the cluster has room for a worker.
    """

    def __init__(
        self, cluster: RayCluster, settings: WorkerSettings, say: Callable[[str], None]
    ) -> None:
        self._say = say
        self._settings, room = _fitted(settings, cluster)
        self.workers = cluster.workers or room
        self._marker = (
            None if settings.folder is None else settings.folder / f".seen-{uuid.uuid4()}"
        )
        self._class = ray.remote(RemoteWorker).options(
            num_cpus=self._settings.cpus,
            num_gpus=self._settings.gpus,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": _environment(self._settings)},
        )
        self._queue: deque[Unit] = deque()
        self._starting: dict[Any, _Actor] = {}
        self._idle: list[_Actor] = []
        self._working: dict[Any, _Actor] = {}
        self._losses: Counter[str] = Counter()  # unit -> number of lost workers
        self._failed_starts = 0
        self._alone_since: float | None = time.monotonic()
        self.lost: list[str] = []  # names of restarted units, in order
        what = f"{self.workers} worker(s) of {self._settings.cpus} CPU(s)"
        what += f" and {self._settings.gpus} GPU(s)" * (self._settings.gpus > 0)
        say(f"On the Ray cluster {cluster.address} (by {cluster.named_by}): {what}.")

    def submit(self, unit: Unit) -> None:
        """Queue a unit; see ``Executor``."""
        self._queue.append(unit)
        self._hand_out()

    def finished(self, timeout: float) -> list[Finished]:
        """Return finished units; see ``Executor``."""
        end = time.monotonic() + timeout
        over: list[Finished] = []
        while not over and (self._starting or self._working):
            left = max(0.0, end - time.monotonic())
            refs = [*self._working, *self._starting]
            ready, _ = ray.wait(refs, timeout=left)
            if ready:
                ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0)
            lost = len(self.lost)
            for ref in ready:
                if ref in self._starting:
                    self._began(self._starting.pop(ref), ref)
                else:
                    over += self._ended(self._working.pop(ref), ref)
            if len(self.lost) > lost:
                time.sleep(SETTLE_SECONDS)
            self._hand_out()
            self._tell_waiting()
            if not ready and time.monotonic() >= end:
                break
        return over

    def close(self, *, kill: bool = False) -> None:
        """End all workers; see ``Executor``."""
        actors = [*self._idle, *self._working.values(), *self._starting.values()]
        self._queue.clear()
        if not kill and self._idle:
            closing = [actor.handle.close.remote() for actor in self._idle]
            ray.wait(closing, num_returns=len(closing), timeout=CLOSE_SECONDS)
        for actor in actors:
            ray.kill(actor.handle)
        if self._marker is not None:
            self._marker.unlink(missing_ok=True)

    def _hand_out(self) -> None:
        """Give waiting units to idle workers, and start workers for the rest."""
        while self._queue and self._idle:
            actor = self._idle.pop()
            actor.unit = self._queue.popleft()
            ref = actor.handle.run.remote(actor.unit.function, dict(actor.unit.arguments))
            self._working[ref] = actor
        there = len(self._idle) + len(self._working) + len(self._starting)
        wanted = min(len(self._queue) - len(self._starting), self.workers - there)
        for _ in range(wanted):
            if self._marker is not None:
                self._marker.touch()
            home = Home(folder=Path.cwd(), version=polypath.__version__, marker=self._marker)
            actor = _Actor(handle=self._class.remote(self._settings, home))
            self._starting[actor.handle.begin.remote()] = actor

    def _began(self, actor: _Actor, ref: Any) -> None:
        try:
            actor.host, actor.log = ray.get(ref)
        except LOST as error:
            ray.kill(actor.handle)
            self._failed_starts += 1
            if self._failed_starts >= MOST_LOSSES:
                raise WorkerLost(
                    f"No worker begins on the Ray cluster: {_reason(error)} Every node needs the same "
                    "Python, polypath and packages."
                ) from error
        except RayTaskError as error:
            raise _cause(error) from error
        else:
            self._failed_starts, self._alone_since = 0, None
            self._idle.append(actor)

    def _ended(self, actor: _Actor, ref: Any) -> list[Finished]:
        """Return the result of an actor's unit; nothing if the unit will run again."""
        unit = actor.unit
        assert unit is not None
        try:
            value = ray.get(ref)
        except LOST as error:
            ray.kill(actor.handle)  # in case it is alive behind a broken connection
            self._losses[unit.name] += 1
            if self._losses[unit.name] >= MOST_LOSSES:
                lost = WorkerLost(
                    f"{unit.name} was lost with its worker {MOST_LOSSES} times: {_reason(error)}"
                )
                return [Finished(unit=unit, error=lost, log=actor.log)]
            self.lost.append(unit.name)
            self._say(f"A worker on {actor.host} was lost: {unit.name} begins again elsewhere.")
            self._queue.appendleft(unit)
            return []
        except RayTaskError as error:
            self._idle.append(actor)
            return [Finished(unit=unit, error=_cause(error), log=actor.log)]
        self._idle.append(actor)
        return [Finished(unit=unit, value=value, log=actor.log)]

    def _tell_waiting(self) -> None:
        """Say once that nothing can run at present: the cluster is full, or has lost its nodes."""
        if self._idle or self._working or not self._starting:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > TELL_SECONDS:
            self._say("No worker has begun yet: models load, or the cluster is full (ray status).")
            self._alone_since = float("inf")


def _fitted(settings: WorkerSettings, cluster: RayCluster) -> tuple[WorkerSettings, int]:
    """Return the settings with one worker's CPUs and GPUs on this cluster, and how many workers fit.

    Raises:
        ConfigError: no worker fits, and the user set no number of workers.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = {
        kind: max((int(node.get(kind, 0)) for node in nodes), default=0) for kind in ("CPU", "GPU")
    }
    if settings.gpus and settings.gpus_if_any and not most["GPU"]:
        settings = replace(settings, gpus=0)
    if settings.gpus:
        shares = [
            int(node.get("CPU", 0) * settings.gpus // node["GPU"])
            for node in nodes
            if node.get("GPU", 0) >= settings.gpus
        ]
        settings = replace(settings, cpus=max(1, min(shares, default=1)))
    room = sum(_room(node, settings) for node in nodes)
    if not room and cluster.workers is None:
        raise ConfigError(
            f"No node of the Ray cluster {cluster.address} has room for a worker of {settings.cpus} CPU(s) "
            f"and {settings.gpus} GPU(s): the largest has {most['CPU']} and {most['GPU']}. Where no GPUs are "
            "used, OMP_NUM_THREADS sets the CPUs of a worker that samples."
        )
    return settings, room


def _room(node: dict[str, float], settings: WorkerSettings) -> int:
    room = int(node.get("CPU", 0)) // settings.cpus
    return min(room, int(node.get("GPU", 0)) // settings.gpus) if settings.gpus else room


def _environment(settings: WorkerSettings) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    hidden = {} if settings.gpus else {"CUDA_VISIBLE_DEVICES": ""}  # a GPU not taken is another's
    return {**passed, **hidden, **settings.environment, "OMP_NUM_THREADS": str(settings.cpus)}


def _cause(error: RayTaskError) -> Exception:
    """Return the exception raised in the worker, with its traceback there as the cause."""
    cause = error.cause
    if not isinstance(cause, Exception):
        return PolypathError(_reason(error))
    cause.__cause__ = error
    return cause


def _reason(error: Exception) -> str:
    """Return the most informative of Ray's many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = next((line for line in reversed(lines) if "Error" in line.split(":")[0]), "")
    return one_line(telling or " ".join(lines), 300)
