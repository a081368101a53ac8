"""A store of ten million samples: read as a stream, and added to, beside plain pyarrow.

Each stage runs in a process of its own, so that its peak memory is its own. The reference of a stage is
what pyarrow takes by itself for the same bytes, in turns with it: ``write_table`` of the same table, or
reading the same columns of the same files. Seconds are wall time, ratios are of process time.

    python benchmarks/store.py --out benchmarks/results/store.json    # 10,000,000 rows, 1 GB of disk
    python benchmarks/store.py --rows 20000   # a try
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import environment
from results_file import at_most, finish, parser, peak, ratio, spread

from polypath.rollouts import Rollout, RolloutManifest, RolloutStore

SAMPLES, SHARD_ROWS, WORDS, TOKENS = 256, 1 << 16, 12, 32
PYTHON_ROWS = 200_000  # enough to tell the speed of the path for single rows


def tables(rows: int) -> Iterator[pa.Table]:
    """Samples as a sampler would give them: each its own text and tokens."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, SHARD_ROWS):
        number = np.arange(start, min(start + SHARD_ROWS, rows))
        count = len(number)
        problem, sample = number // SAMPLES, number % SAMPLES
        correct = rng.random(count) < (problem % 101) / 100
        words = rng.integers(0, 1000, size=(count, WORDS))
        answers = rng.integers(0, 50, size=count)
        names = [f"problem-{n}" for n in problem]
        tokens = pa.array(rng.integers(0, 32000, size=count * TOKENS), pa.int32())
        ends = pa.array(np.arange(count + 1) * TOKENS, pa.int32())
        yield pa.table(
            {
                "problem_id": names,
                "sample_id": sample,
                "prompt": [f"What is {n} + {n}? Think first." for n in problem],
                "completion": [" ".join(map(str, row)) for row in words],
                "gold": [str(2 * n) for n in problem],
                "status": pa.array(["graded"] * count),
                "reward": correct.astype(np.float64),
                "correct": correct,
                "answer": [str(a) for a in answers],
                "n_tokens": np.full(count, TOKENS),
                "finish_reason": pa.array(["stop"] * count),
                "token_ids": pa.ListArray.from_arrays(ends, tokens),
            }
        )


class Watch:
    """Wall and process time of what runs, again and again."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.process: list[float] = []

    def __call__(self, call: Callable[[], Any]) -> Any:
        wall, process = time.perf_counter(), time.process_time()
        result = call()
        self.wall.append(time.perf_counter() - wall)
        self.process.append(time.process_time() - process)
        return result


def told(ours: Watch, reference: Watch, *, every: bool) -> dict[str, Any]:
    """Return the row of a stage; ``every`` part counts (shards), or else they are repetitions."""
    return {
        "seconds": [sum(ours.wall)] if every else spread(ours.wall),
        "reference_seconds": [sum(reference.wall)] if every else spread(reference.wall),
        "ratio": [sum(ours.process) / sum(reference.process)]
        if every
        else ratio(ours.process, reference.process),
    }


def create(path: Path) -> RolloutStore:
    return RolloutStore.create_or_open(path, RolloutManifest(model="benchmark", task="none"))


def plain_write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


def plain_read(path: Path, columns: Sequence[str] | None = None) -> int:
    """Read columns of all shards by pyarrow alone."""
    rows = 0
    for shard in sorted(path.glob("shard-*")):
        with pq.ParquetFile(shard) as file:
            rows += sum(batch.num_rows for batch in file.iter_batches(4096, columns=columns))
    return rows


def fill(path: Path, rows: int) -> None:
    """Make a store of many rows."""
    create(path).close()
    for number, table in enumerate(tables(rows)):
        plain_write(table, path / f"shard-{number:08d}.parquet")


def write_rows(path: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Write Python rows, as a sampler does, in shards of 4096; the reference has columns."""
    del repeats
    rows = min(rows, PYTHON_ROWS)
    ours, reference, beside = Watch(), Watch(), path.with_name("plain.parquet")
    with create(path.with_name("rows")) as store:
        for table in tables(rows):
            for first in range(0, table.num_rows, 4096):
                part = table.slice(first, 4096)
                held = [Rollout(**row) for row in part.to_pylist()]
                ours(lambda held=held: store.append(held))
                reference(lambda part=part: plain_write(part, beside))
                beside.unlink()
    return {"rows": rows, **told(ours, reference, every=True)}


def read(path: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Read every column of every row."""
    ours, reference = Watch(), Watch()
    for _ in range(repeats):
        batches = RolloutStore.open(path).iter_batches()
        found = ours(lambda batches=batches: sum(batch.num_rows for batch in batches))
        assert found == rows == reference(lambda: plain_read(path))
    return {"rows": rows, **told(ours, reference, every=False)}


def resume(path: Path, rows: int, repeats: int) -> dict[str, Any]:
    """Open for writing and learn which samples are there, as a resumed run does."""
    ours, reference = Watch(), Watch()

    def index() -> None:
        with create(path) as store:
            found = store.index()
        assert len(found) == rows
        assert ("problem-0", 0) in found
        assert ("problem-0", SAMPLES) not in found

    for _ in range(repeats):
        ours(index)
        reference(lambda: plain_read(path, ("problem_id", "sample_id")))
    return {"rows": rows, **told(ours, reference, every=False)}


STAGES: dict[str, Callable[[Path, int, int], dict[str, Any]]] = {
    "write rows": write_rows,
    "read all": read,
    "learn what is there": resume,
}


def bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ten million rows are to be read in 1 GB."""
    by_stage = {row["stage"]: row for row in rows}
    return [at_most("store, read all: GB of memory", by_stage["read all"]["peak_bytes"] / 1e9, 1.0)]


def run_stage(stage: str, path: Path, rows: int, repeats: int) -> None:
    resting = peak()
    row = STAGES[stage](path, rows, repeats)
    print(json.dumps({"stage": stage, **row, "peak_bytes": peak(), "resting_bytes": resting}))


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, default=10_000_000)
    made.add_argument("--repeats", type=int, default=3, help="of the stages that read")
    made.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    made.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.stage:
        run_stage(options.stage, options.folder, options.rows, options.repeats)
        return
    machine = environment("numpy", "pyarrow")
    base = Path(tempfile.mkdtemp(dir=options.folder))
    rows = []
    try:
        fill(base / "store", options.rows)
        for stage in STAGES:
            command = [sys.executable, __file__, "--stage", stage, "--rows", str(options.rows)]
            command += ["--repeats", str(options.repeats), "--folder", str(base / "store")]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            rows.append(json.loads(done.stdout))
    finally:
        shutil.rmtree(base)
    finish(
        options.out,
        benchmark="store",
        environment=machine,
        settings={"rows": options.rows, "samples": SAMPLES, "tokens": TOKENS},
        rows=rows,
        bars=bars(rows),
    )


if __name__ == "__main__":
    main()
