"""Comparing runs and building the report page: seconds, peak memory, size of the page.

Runs of 200 problems x 64 samples, a base and three others, and the same with ten times the problems.
The reference is reading the samples, without which nothing can be measured. Each repetition is a
process of its own, in which the three follow each other as in ``polypath report``; seconds are process
time of one thread, memory is the process's most.

    python benchmarks/report.py --out benchmarks/results/report.json
    python benchmarks/report.py --problems 10 --samples 8 --repeats 1   # a try
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from machine import environment
from results_file import finish, parser, peak, ratio, spread

from polypath.report.analysis import compare
from polypath.report.page import write_page
from polypath.rollouts import Rollout, RolloutManifest, RolloutStore, load_samples

RUNS = ("base", "grpo", "dra", "rehearsal")
WORDS = 60
PHASES = ("read", "compare", "page")


def write_run(path: Path, seed: int, problems: int, samples: int) -> None:
    """A run: problems from easy to hard, a few right solutions and some equations in each text."""
    rng = np.random.default_rng(seed)
    words = np.array([f"w{i}" for i in range(2000)])
    manifest = RolloutManifest(model=path.name, task="none")
    with RolloutStore.create_or_open(path, manifest) as store:
        for problem in range(problems):
            chance = ((7 * problem) % 101 + 3 * seed) / 110
            rows = []
            for sample in range(samples):
                correct = bool(rng.random() < chance)
                answer = f"right{rng.integers(3)}" if correct else f"wrong{rng.integers(8)}"
                text = " ".join(words[np.minimum(rng.zipf(1.3, size=WORDS), 1999)])
                a, b = rng.integers(1, 10, size=2)
                rows.append(
                    Rollout(
                        problem_id=f"problem-{problem}",
                        sample_id=sample,
                        prompt=f"What is {problem}? Think first.",
                        completion=f"{text} ${a} + {b} = {a + b}$ so {answer}",
                        gold="right",
                        status="graded",
                        reward=float(correct),
                        correct=correct,
                        answer=answer,
                        n_tokens=WORDS,
                        finish_reason="stop",
                    )
                )
            store.append(rows)


def build(folder: Path) -> dict[str, Any]:
    """Read, compare and write the page, as ``polypath report`` does."""
    resting, stamps = peak(), [time.process_time()]
    base, *others = [load_samples(folder / name, name=name) for name in RUNS]
    stamps.append(time.process_time())
    comparison = compare(base, others)
    stamps.append(time.process_time())
    page = write_page(comparison, folder / "report.html")
    stamps.append(time.process_time())
    taken = dict(zip(PHASES, np.diff(stamps).tolist(), strict=True))
    return {
        **taken,
        "peak_bytes": peak(),
        "resting_bytes": resting,
        "page_bytes": page.stat().st_size,
    }


def measure(problems: int, samples: int, repeats: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        for seed, run in enumerate(RUNS):
            write_run(Path(name) / run, seed, problems, samples)
        command = [sys.executable, __file__, "--build", name]
        built = [
            json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            for _ in range(repeats)
        ]
    reading = [one["read"] for one in built]
    whole = [sum(one[phase] for phase in PHASES) for one in built]
    times = {phase: [one[phase] for one in built] for phase in PHASES} | {"whole": whole}
    last = built[-1]
    return [
        {
            "what": what,
            "problems": problems,
            "samples": samples,
            "runs": len(RUNS),
            "seconds": spread(taken),
            "ratio_to_reading": ratio(taken, reading),
            "peak_bytes": max(one["peak_bytes"] for one in built) if what == "whole" else None,
            "resting_bytes": last["resting_bytes"] if what == "whole" else None,
            "page_bytes": last["page_bytes"] if what in ("page", "whole") else None,
        }
        for what, taken in times.items()
    ]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--problems", type=int, default=200)
    made.add_argument("--samples", type=int, default=64)
    made.add_argument("--repeats", type=int, default=3)
    made.add_argument("--times", type=int, nargs="+", default=[1, 10], help="sizes, in problems")
    made.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.build:
        print(json.dumps(build(options.build)))
        return
    machine = environment("numpy", "pyarrow", "scipy")
    rows = [
        row
        for factor in options.times
        for row in measure(factor * options.problems, options.samples, options.repeats)
    ]
    finish(
        options.out,
        benchmark="report",
        environment=machine,
        settings={"problems": options.problems, "samples": options.samples, "words": WORDS},
        rows=rows,
        bars=[],
    )


if __name__ == "__main__":
    main()
