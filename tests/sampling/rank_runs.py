"""Several processes that share a job, as a launcher starts them, some killed on the way.

They are forked from one process that has imported everything, so that a start costs little. Prints what
happened as JSON.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils  # noqa: F401  (so that the children need not import it)
from rich.console import Console

from polypath.sampling.ranks import find_ranks
from polypath.sampling.run import sample_run
from polypath.sampling.settings import SamplingSettings
from tests.presampling import presample
from tests.rehearsal.adder import Addition
from tests.rehearsal.conftest import SETTINGS as PRESAMPLE

SETTINGS = SamplingSettings(max_new_tokens=4, batch_size=4, temperature=0.9)
Job = Callable[..., object]


def sample(model: str, out: Path) -> dict[str, Any]:
    ranks = find_ranks()
    with (out.parent / f"{out.name}-said-{ranks.part.rank}").open("a") as said:
        summary = sample_run(
            model,
            Addition(),
            out=out,
            split="train",
            num_samples=3,
            settings=SETTINGS,
            greedy=True,
            ranks=ranks,
            console=Console(file=said, width=200),
        )
    return {"new": summary.new_samples, "missing": summary.missing}


def make_set(model: str, out: Path) -> dict[str, Any]:
    ranks = find_ranks()
    summary = presample(model, Addition(), out=out, settings=PRESAMPLE, ranks=ranks)
    return {
        "new": summary.new_samples,
        "missing": summary.missing,
        "complete": summary.complete,
    }


def start(job: Job, model: str, out: Path, rank: int, of: int) -> int:
    child = os.fork()
    if child == 0:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(of), LOCAL_RANK=str(rank))
        code = 1
        try:
            job(model, out)
            code = 0
        finally:
            os._exit(code)
    return child


def call(job: Job, model: str, out: Path) -> Any:
    """Run a job in a child, without a launcher, and return what it returns."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(write, "w") as pipe:
            json.dump(job(model, out), pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = json.load(pipe)
    os.waitpid(child, 0)
    return told


def end(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_up(child: int) -> bool:
    return os.waitpid(child, os.WNOHANG) == (0, 0)


def shards_of(out: Path, rank: int, of: int) -> int:
    return sum(int(f.stem[6:]) % of == rank for f in out.glob("samples/shard-*.parquet"))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("what was waited for did not come")
        time.sleep(0.001)


def at_once(model: str, folder: Path, job: Job) -> dict[str, Any]:
    """Start 2 and 3 processes; then 2 where 3 were killed."""
    told: dict[str, Any] = {}
    for of in (2, 3):
        children = [start(job, model, folder / f"of{of}", rank, of) for rank in range(of)]
        told[f"of{of}"] = [end(child) for child in children]
    out = folder / "other_size"
    children = [start(job, model, out, rank, 3) for rank in range(3)]
    until(lambda: all(shards_of(out, rank, 3) for rank in range(3)))
    for child in children:
        os.kill(child, signal.SIGKILL)
        end(child)
    told["shards before"] = len(list(out.glob("samples/shard-*.parquet")))
    children = [start(job, model, out, rank, 2) for rank in range(2)]
    told["other_size"] = [end(child) for child in children]
    return told


def step_by_step(model: str, folder: Path, job: Job, planned: int) -> dict[str, Any]:
    """Do it alone; then kill one of two and start it again.

    ``planned`` is the number of the first round's batches.
    """
    told: dict[str, Any] = {"alone": call(job, model, folder / "one")}
    out = folder / "killed"
    first, second = (start(job, model, out, rank, 2) for rank in (0, 1))
    until(lambda: shards_of(out, 1, 2) >= 2)
    os.kill(second, signal.SIGKILL)
    end(second)
    told["shards of the killed"] = shards_of(out, 1, 2)
    until(lambda: shards_of(out, 0, 2) >= planned // 2)
    time.sleep(0.3)
    told["the other waits"] = is_up(first)
    second = start(job, model, out, 1, 2)
    told["killed"] = [end(first), end(second)]
    return told


def main() -> None:
    model, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    told = {}
    for name, job, planned in (("sample", sample, 30), ("presample", make_set, 40)):
        (folder / name).mkdir()
        told[name] = step_by_step(model, folder / name, job, planned)
    told["sample"] |= at_once(model, folder / "sample", sample)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
