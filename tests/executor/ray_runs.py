"""A Ray cluster of two nodes on this machine, and what is done on it. Prints what happened as JSON.

In a process of its own: a cluster leaves threads and handlers behind, and ends with this process,
however that ends.
"""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster
from rich.console import Console

from polypath.cli.main import run
from polypath.errors import ConfigError, PolypathError
from polypath.executor import ray as of_ray
from polypath.executor.cluster import RayCluster
from polypath.executor.open import open_executor
from polypath.executor.protocol import Finished, Unit, WorkerSettings
from polypath.executor.ray import RayExecutor, connected
from polypath.studies.jobs import Job, run_jobs
from tests.executor import units

SMALL = {"include_dashboard": False, "object_store_memory": 80 * 2**20}
# Ray would start a worker for every CPU beforehand, with another environment than ours.
LATER = {"prestart_worker_first_driver": False}
HERE = RayCluster(address="auto")
TASK = "tests/executor/addition_task.py:additions"


@contextmanager
def opened(settings: WorkerSettings, **options: Any) -> Iterator[RayExecutor]:
    said: list[str] = []
    with open_executor(
        RayCluster(address="auto", **options), settings, say=said.append
    ) as executor:
        assert isinstance(executor, RayExecutor)
        executor.said = said  # type: ignore[attr-defined]
        yield executor


def wait_for_all(executor: RayExecutor, number: int, each: Callable[[], None]) -> list[Finished]:
    over: list[Finished] = []
    deadline = time.monotonic() + 120
    while len(over) < number:
        assert time.monotonic() < deadline, "the units do not end"
        over += executor.finished(0.2)
        each()
    return over


def a_node_is_lost(cluster: Cluster, node: Any, folder: Path) -> dict[str, Any]:
    """Kill one of two nodes when some units have ended and one works there, however slow the machine is."""
    names = [f"u{n}" for n in range(10)]
    killed: list[list[str]] = []
    go = folder.parent / "go"  # all but the first three units wait for it

    def kill_once() -> None:
        ended = units.marks(folder, "ended")
        there = units.marks(folder, f"on-{node.node_id}")
        if not killed and len(ended) >= 3 and set(there) - set(ended):
            cluster.remove_node(node, allow_graceful=False)
            killed.append(ended)
        if executor.lost:  # not before: workers outlive their node by a moment
            go.touch()

    with opened(WorkerSettings()) as executor:
        for name in names:
            until = folder if name in names[:3] else go
            arguments = {"folder": str(folder), "name": name, "until": str(until)}
            executor.submit(Unit(name=name, function=units.hold, arguments=arguments))
        over = wait_for_all(executor, len(names), kill_once)
        return {
            "names": names,
            "workers": executor.workers,
            "values": sorted(done.value for done in over),
            "lost": executor.lost,
            "began": units.marks(folder, "began"),
            "ended": units.marks(folder, "ended"),
            "ended before": killed[0],
            "said": executor.said,  # type: ignore[attr-defined]
        }


def errors_come_back(folder: Path) -> dict[str, Any]:
    failing = Unit(name="bad", function=units.fail, arguments={"error": ConfigError("no such")})
    deadly = Unit(name="deadly", function=units.die)
    good = Unit(name="good", function=units.tell)
    settings = WorkerSettings(
        environment={"GIVEN": "x"}, log=folder / "workers.log", folder=folder, state=None
    )
    with opened(settings, workers=2) as executor:
        for unit in (deadly, failing, good):
            executor.submit(unit)
        over = {done.unit.name: done for done in wait_for_all(executor, 3, lambda: None)}
    return {
        "good": over["good"].value,
        "bad": [type(over["bad"].error).__name__, str(over["bad"].error)],
        "deadly": [type(over["deadly"].error).__name__, str(over["deadly"].error)],
        "begun again": executor.lost,
        "log": over["good"].log.read_text() if over["good"].log else "",
        "left": sorted(path.name for path in folder.iterdir()),
    }


def a_worker_refuses(state: Callable[[], Any]) -> str:
    try:
        with opened(WorkerSettings(state=state), workers=1) as executor:
            executor.submit(Unit(name="a", function=units.counted))
            wait_for_all(executor, 1, lambda: None)
    except PolypathError as error:
        return str(error)
    return ""


def no_state() -> None:
    raise ConfigError("There is no such model.")


def interrupted(folder: Path) -> dict[str, Any]:
    """Ctrl-C while units work: what is raised, and whether their processes are gone."""
    began = time.monotonic()
    try:
        with opened(WorkerSettings(), workers=2) as executor:
            for name in ("a", "b", "c"):
                arguments = {"folder": str(folder), "name": name, "seconds": 60.0}
                executor.submit(Unit(name=name, function=units.work, arguments=arguments))

            def signal_once() -> None:
                if len(units.marks(folder, "began")) == 2 and timer.ident is None:
                    timer.start()

            timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
            wait_for_all(executor, 3, signal_once)
    except KeyboardInterrupt:
        seconds = time.monotonic() - began
        deadline = time.monotonic() + 20
        while ray.available_resources().get("CPU") != ray.cluster_resources()["CPU"]:
            assert time.monotonic() < deadline, "workers live on"
            time.sleep(0.1)
        return {"seconds": seconds, "began": units.marks(folder, "began")}
    return {}


def jobs_of_a_study(folder: Path) -> dict[str, Any]:
    def job(name: str, after: tuple[str, ...] = ()) -> Job:
        arguments = {"path": str(folder / name), "needs": [str(folder / a) for a in after]}
        return Job(
            name=name, function=written, arguments=arguments, result=folder / name, after=after
        )

    jobs = [job("c", ("a", "b")), job("a"), job("b")]
    log, timings = folder / "workers.log", folder / "seconds.json"
    with (folder / "told").open("w") as file:
        console = Console(file=file, width=160)
        options = {"workers": 1, "log": log, "timings": timings, "console": console}
        first = run_jobs(jobs, cluster=HERE, **options)
        second = run_jobs(jobs, cluster=HERE, **options)
    return {
        "told": (folder / "told").read_text(),
        "seconds": sorted(first),
        "same": first == second,
        "logs": [path.name for path in folder.glob("workers-*.log")],
    }


def written(*, path: str, needs: list[str]) -> None:
    assert all(Path(need).exists() for need in needs)
    print("working")
    Path(path).write_text("x")


def commands(model: str, folder: Path) -> dict[str, Any]:
    """Sample, presample and score here and on the cluster."""
    words = ["--model", model, "--task", TASK, "--split", "train", "--batch-size", "16"]
    words += ["--max-new-tokens", "4"]
    ways = {"here": ["--ray", "off"], "there": ["--ray", "auto"]}  # of two CPUs by now
    told: dict[str, Any] = {}
    for way, where in ways.items():
        (folder / way).mkdir()
        for command, more in (
            ("sample", ["--n", "3", "--limit", "20", "--greedy"]),
            ("presample", ["--k", "3", "--threshold", "1", "--limit", "20"]),
        ):
            if (way, command) == ("there", "presample"):
                more += ["--workers", "1"]  # each imports torch; sample has two
            out = ["--out", str(folder / way / command)]
            told[f"{command} {way}"] = run([command, *words, *more, *out, *where])
        again = ["--task", "tests/executor/addition_task.py:slow_additions"]
        run_of, out = str(folder / "here" / "sample"), ["--out", str(folder / way / "score")]
        told[f"score {way}"] = run(["score", run_of, *again, *out, *where])
    return told


def main() -> None:
    of_ray.SETTLE_SECONDS = 0.1  # these units hold no locks
    # A test run that a shell started in the background ignores Ctrl-C, and so would this process.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    model, folder = sys.argv[1], Path(sys.argv[2])
    for name in ("lost", "errors", "interrupted", "jobs", "commands"):
        (folder / name).mkdir()
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as place:  # sockets have short names
        # Ray notes the address of its cluster in this folder: not in that of a cluster that runs here.
        os.environ["RAY_TMPDIR"] = place
        (Path(place) / "ray").mkdir()
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 2, "temp_dir": place, "_system_config": LATER, **SMALL},
        )
        try:
            node = cluster.add_node(num_cpus=2, **SMALL)
            with connected(RayCluster(address=cluster.address)):  # which all that follows uses
                told = {
                    "lost": a_node_is_lost(cluster, node, folder / "lost"),
                    "errors": errors_come_back(folder / "errors"),
                    "refused": a_worker_refuses(no_state),
                    "interrupted": interrupted(folder / "interrupted"),
                    "jobs": jobs_of_a_study(folder / "jobs"),
                    "commands": commands(model, folder / "commands"),
                }
        finally:
            cluster.shutdown()
    print(json.dumps(told))


if __name__ == "__main__":
    # What is pickled must be found in the workers by its name.
    from tests.executor import ray_runs

    ray_runs.main()
