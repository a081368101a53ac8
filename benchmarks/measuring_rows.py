"""CPU time and memory of the metrics, but those of texts, on a store of ten million samples.

40,000 problems with 250 samples each. A sample is right with a chance of its problem; wrong answers follow
Zipf's law. Each stage runs in a process of its own and reads the store first; the time of a stage is
that after reading.

    python benchmarks/measuring_rows.py --out benchmarks/results/measuring_rows.json
    python benchmarks/measuring_rows.py --problems 200   # a try
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import environment
from results_file import at_most, finish, parser, peak

from polypath.report.analysis import analyse
from polypath.rollouts import RolloutManifest, RolloutStore, Samples, load_samples
from polypath.rollouts.schema import SCHEMA

SAMPLES, SHARD_PROBLEMS = 250, 400
LIMITS = {"pass@k with intervals": 5, "all metrics but texts": 60}


def tables(problems: int) -> Iterator[pa.Table]:
    rng = np.random.default_rng(0)
    for start in range(0, problems, SHARD_PROBLEMS):
        number = np.repeat(np.arange(start, min(start + SHARD_PROBLEMS, problems)), SAMPLES)
        count = len(number)
        correct = rng.random(count) < (number % 101) / 100
        answers = np.where(correct, number % 3, np.minimum(rng.zipf(1.5, count), 40) + 2)
        texts = [f"{answer}" for answer in answers.tolist()]
        columns = {
            "problem_id": [f"problem-{n}" for n in number.tolist()],
            "sample_id": np.arange(count) % SAMPLES,
            "prompt": ["What is it?"] * count,
            "completion": [f"It is {text}." for text in texts],
            "gold": [f"{n % 3}" for n in number.tolist()],
            "status": ["graded"] * count,
            "reward": correct.astype(np.float64),
            "correct": correct,
            "answer": texts,
            "n_tokens": np.full(count, 5),
            "finish_reason": ["stop"] * count,
            "token_ids": pa.nulls(count, pa.list_(pa.int32())),
        }
        yield pa.table(columns, schema=SCHEMA)


def fill(path: Path, problems: int) -> None:
    RolloutStore.create_or_open(path, RolloutManifest(model="benchmark", task="none")).close()
    for number, table in enumerate(tables(problems)):
        pq.write_table(table, path / f"shard-{number:08d}.parquet", compression="zstd")


def pass_at_k(samples: Samples) -> None:
    """Values of every k of the curve, among them those of the table, with bootstrap intervals."""
    from polypath.report.estimates import intervals
    from polypath.report.prepared import Prepared
    from polypath.report.settings import AnalysisSettings, choose_sizes

    settings = AnalysisSettings()
    sizes, _ = choose_sizes([samples], settings)
    run = Prepared(samples, sizes, settings)
    intervals(run.pass_at(sizes.curve_ks)[None], None, settings)


def all_but_texts(samples: Samples) -> None:
    analyse(samples, groups=("correctness", "solutions"))


STAGES: dict[str, Callable[[Samples], None]] = {
    "read": lambda _: None,
    "pass@k with intervals": pass_at_k,
    "all metrics but texts": all_but_texts,
}


def run_stage(stage: str, path: Path) -> dict[str, Any]:
    begun = time.process_time()
    samples = load_samples(path)
    read = time.process_time()
    STAGES[stage](samples)
    seconds = read - begun if stage == "read" else time.process_time() - read
    return {"stage": stage, "seconds": seconds, "peak_bytes": peak()}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--problems", type=int, default=40_000)
    made.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    made.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.stage:
        print(json.dumps(run_stage(options.stage, options.folder)))
        return
    machine = environment("numpy", "pyarrow", "scipy")
    base = Path(tempfile.mkdtemp(dir=options.folder))
    rows = []
    try:
        fill(base / "store", options.problems)
        for stage in STAGES:
            command = [sys.executable, __file__, "--stage", stage, "--folder", str(base / "store")]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            rows.append(json.loads(done.stdout))
    finally:
        shutil.rmtree(base)
    count = options.problems * SAMPLES
    finish(
        options.out,
        benchmark="measuring_rows",
        environment=machine,
        settings={"problems": options.problems, "samples": SAMPLES},
        rows=rows,
        bars=[
            at_most(f"{row['stage']}, {count:,} rows: CPU s", row["seconds"], LIMITS[row["stage"]])
            for row in rows
            if row["stage"] in LIMITS
        ],
    )


if __name__ == "__main__":
    main()
