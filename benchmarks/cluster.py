"""A Ray cluster of two nodes on this machine: jobs of one second, and what a killed node costs.

    python benchmarks/cluster.py --out benchmarks/results/cluster.json    # about 10 minutes on 2 cores

Two nodes of two logical CPUs each are processes of this machine. Measured are: the share of their time that
four workers sleep in jobs that sleep; and a study (25 jobs) and a sampling run while one node is killed
half-way, each beside the same done on this machine without Ray, file by file.
"""

import hashlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import ray
from machine import environment
from ray.cluster_utils import Cluster
from results_file import at_least, at_most, finish, parser
from rich.console import Console

from polypath.cli.main import run
from polypath.executor.cluster import RayCluster
from polypath.studies.jobs import Job, run_jobs

NODE = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100 * 2**20}
SAMPLE = [
    "sample",
    "--model",
    "countdown-base",
    "--n",
    "16",
    "--batch-size",
    "64",
    "--limit",
    "400",
]
CLUSTER = RayCluster(address="auto")


def sleep(*, path: str, seconds: float) -> None:
    """Sleep, and write from when to when."""
    began = time.time()
    time.sleep(seconds)
    Path(path).write_text(json.dumps([began, time.time()]))


def busy(folder: Path, jobs: int, seconds: float) -> dict[str, Any]:
    """Run jobs that sleep; return the share of four workers' time in which they did."""
    made = [
        Job(
            name=f"job {n}",
            function=sleep,
            arguments={"path": str(folder / f"{n}.json"), "seconds": seconds},
            result=folder / f"{n}.json",
        )
        for n in range(jobs)
    ]
    began = time.time()
    options = {"workers": 4, "log": folder / "workers.log", "timings": folder / "seconds.json"}
    run_jobs(made, console=Console(quiet=True), cluster=CLUSTER, **options)
    spans = [json.loads(job.result.read_text()) for job in made]
    start, end = min(a for a, _ in spans), max(b for _, b in spans)
    slept = sum(b - a for a, b in spans)
    return {
        "what": f"{jobs} jobs of {seconds:g} s",
        "units": jobs,
        "seconds": time.time() - began,
        "busy": slept / (4 * (end - start)),
        "busy_with_start": slept / (4 * (end - began)),
    }


def digests(folder: Path, *names: str) -> dict[str, str]:
    """SHA-256 of every file of these names."""
    files = [path for name in names for path in folder.rglob(name)]
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def compared(
    folder: Path,
    words: list[str],
    names: tuple[str, ...],
    progress: Callable[[Path], int],
    units: int,
    kill: Callable[[], None],
) -> dict[str, Any]:
    """Run a command here, then on the cluster, where a node is killed half-way; compare the files."""
    polypath = [sys.executable, "-m", "polypath", *words, "--out", "out"]
    seconds, said = {}, ""
    for way in ("here", "there"):
        (folder / way).mkdir(parents=True)
        began = time.time()
        if way == "here":
            subprocess.run(
                [*polypath, "--ray", "off"], cwd=folder / way, check=True, stdout=subprocess.DEVNULL
            )
        else:
            said, before = _on_cluster(folder / way, words, progress, units, kill)
        seconds[way] = time.time() - began
    here, there = (digests(folder / way / "out", *names) for way in ("here", "there"))
    return {
        "what": words[0],
        "units": units,
        "done_before_kill": before,
        "begun_again": said.count("begins again"),
        "files": len(here),
        "different": sum(there.get(name) != digest for name, digest in here.items())
        + len(there.keys() - here.keys()),
        "seconds": seconds["there"],
        "seconds_here": seconds["here"],
    }


def _on_cluster(
    folder: Path,
    words: list[str],
    progress: Callable[[Path], int],
    units: int,
    kill: Callable[[], None],
) -> tuple[str, int]:
    """Run a command in this process, which is on the cluster; return what it said, and when it was hit."""
    hit: list[int] = []

    def watch() -> None:
        while (done := progress(folder / "out")) < units // 2:
            time.sleep(0.05)
        hit.append(done)
        kill()

    threading.Thread(target=watch, daemon=True).start()
    with chdir(folder), (folder / "said").open("w") as file:
        stdout, sys.stdout = sys.stdout, file
        try:
            code = run([*words, "--out", "out", "--ray", "auto"])
        finally:
            sys.stdout = stdout
    assert code == 0, (folder / "said").read_text()
    assert hit, "it ended before the node was killed"
    return (folder / "said").read_text(), hit[0]


def measure(
    place: Path, wanted: Mapping[str, int]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.studies.small_study import write as write_study

    head = {**NODE, "temp_dir": str(place / "ray")}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = [cluster.add_node(**NODE)]
        ray.init(cluster.address, log_to_driver=False, logging_level=logging.CRITICAL)

        def kill() -> None:
            cluster.remove_node(nodes.pop(), allow_graceful=False)

        for name in ("busy", "sample", "study"):
            (place / name).mkdir()
        rows = [busy(place / "busy", wanted["jobs"], 1.0)]
        print(rows[-1], flush=True)
        shards = ("shard-*.parquet", "manifest.json")
        batches = 400 * 16 // 64
        rows.append(
            compared(
                place / "sample",
                SAMPLE,
                shards,
                lambda out: _count(out, "samples/shard-*"),
                batches,
                kill,
            )
        )
        print(rows[-1], flush=True)
        nodes.append(cluster.add_node(**NODE))
        study = ["study", str(write_study(place / "study"))]
        files = ("*.safetensors", *shards, "partition.parquet", "*.png", "settings.json")
        rows.append(compared(place / "study", study, files, _jobs_done, 25, kill))
        print(rows[-1], flush=True)
    finally:
        ray.shutdown()
        cluster.shutdown()
    bars = [at_least("four workers on jobs of 1 s, share of their time", rows[0]["busy"], 0.9)]
    for row in rows[1:]:
        bars.append(
            at_most(f"{row['what']}, a node killed: files that differ", row["different"], 0)
        )
        bars.append(
            at_most(f"{row['what']}, a node killed: units begun again", row["begun_again"], 2)
        )
    return rows, bars


def _count(out: Path, pattern: str) -> int:
    return sum(1 for _ in out.glob(pattern))


def _jobs_done(out: Path) -> int:
    timings = out / "seconds.json"
    return len(json.loads(timings.read_text())) if timings.is_file() else 0


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--jobs", type=int, default=200, help="jobs of one second")
    arguments = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the study's jobs; before torch is imported
    started = environment("ray", "torch")
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as place:
        rows, bars = measure(Path(place), {"jobs": arguments.jobs})
    finish(
        arguments.out,
        benchmark="cluster",
        environment=started,
        settings={"nodes": 2, "cpus_of_a_node": 2, "jobs": arguments.jobs},
        rows=rows,
        bars=bars,
    )


if __name__ == "__main__":
    main()
