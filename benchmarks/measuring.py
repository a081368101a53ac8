"""CPU time of diversity and compare on large stores, beside the code of an earlier commit.

Each call is a process of its own; its seconds are process time of it and its workers. Short texts are
Countdown expressions, long ones have 2,000 words. The earlier commit's ``src`` runs in turns with ours.

    python benchmarks/measuring.py --before 0581e29 --out benchmarks/results/measuring.json
    python benchmarks/measuring.py --scale 0.01 --repeats 1   # a try, with nothing beside it
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from earlier import source_before, used_by
from machine import environment
from results_file import at_most, finish, parser, spread

from polypath.rollouts import Rollout, RolloutManifest, RolloutStore

ROOT = Path(__file__).parent.parent


def expression(rng: np.random.Generator, numbers: np.ndarray) -> str:
    text = ""
    for number in rng.permutation(numbers).tolist():
        text = f"({text}{'+-*/'[rng.integers(4)]}{number})" if text else str(number)
    return text


def countdown(rng: np.random.Generator, problem: int) -> Iterator[tuple[str, bool, str | None]]:
    """Yield expressions for one problem: a few right ones, again and again, and many wrong ones."""
    numbers, target = rng.integers(1, 50, 4), int(rng.integers(10, 100))
    pool = [expression(rng, numbers) for _ in range(30)]
    right, chance = pool[: rng.integers(1, 6)], (7 * problem % 101) / 130
    while True:
        correct = bool(rng.random() < chance)
        known = right if correct else pool if rng.random() < 0.7 else [expression(rng, numbers)]
        text = known[rng.integers(len(known))]
        shown = f"{text} = {target}" if rng.random() < 0.5 else text
        yield shown, correct, text if rng.random() < 0.95 else None


def worked(rng: np.random.Generator, problem: int) -> Iterator[tuple[str, bool, str | None]]:
    """Yield texts of 2,000 words that share two thirds, with an equation now and then."""
    words = np.array([f"w{i}" for i in range(5000)])
    shared = np.minimum(rng.zipf(1.3, 2000), 4999)
    while True:
        own = np.where(rng.random(2000) < 1 / 3, np.minimum(rng.zipf(1.3, 2000), 4999), shared)
        text = words[own].tolist()
        for place in rng.integers(0, 2000, 33).tolist():
            a, b = rng.integers(1, 10, 2).tolist()
            text[place] = f"${a} + {b} = {a + b}$"
        correct = bool(rng.random() < problem % 11 / 11)
        yield " ".join(text), correct, f"{correct}{rng.integers(4)}"


def write(path: Path, kind: Any, problems: int, samples: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    manifest = RolloutManifest(model=path.name, task="none")
    held: list[Rollout] = []
    with RolloutStore.create_or_open(path, manifest) as store:
        for problem in range(problems):
            for sample, (text, correct, answer) in zip(range(samples), kind(rng, problem)):  # noqa: B905
                held.append(
                    Rollout(
                        problem_id=f"problem-{problem}",
                        sample_id=sample,
                        prompt="?",
                        completion=text,
                        gold="1",
                        status="graded",
                        reward=float(correct),
                        correct=correct,
                        answer=answer,
                        n_tokens=None,
                        finish_reason=None,
                    )
                )
            if len(held) > 4096 or problem == problems - 1:
                store.append(held)
                held = []


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--before", help="a commit to run beside")
    made.add_argument("--scale", type=float, default=1.0, help="of the number of problems")
    made.add_argument("--repeats", type=int, default=2)
    options = made.parse_args()
    machine = environment("numpy", "pyarrow", "scipy")
    stores = {
        "2,000 x 100 short": (countdown, 2000, 100, 10.0),
        "400 x 500 short": (countdown, 400, 500, 10.0),
        "313 x 16 of 2,000 words": (worked, 313, 16, 6.0),
    }
    rows, bars = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [ROOT / "src"]
        if options.before:
            sources.append(source_before(options.before, folder / "before"))
        for number, (what, (kind, problems, samples, limit)) in enumerate(stores.items()):
            some = max(2, round(problems * options.scale))
            paths = [folder / f"{number}-{seed}" for seed in range(2)]
            for seed, path in enumerate(paths):
                write(path, kind, some, samples, seed)
            for command, factor in (("diversity", 1), ("compare", 2)):
                arguments = [command, *map(str, paths[:factor])]
                times = [
                    [used_by(s, arguments).cpu for s in sources] for _ in range(options.repeats)
                ]
                ours, *theirs = zip(*times, strict=True)
                row = {"what": f"{command}, {what}", "samples": some * samples}
                row |= {"seconds": spread(ours), "before": None, "share": None}
                if theirs:
                    row["before"] = spread(theirs[0])
                    row["share"] = spread(np.array(ours) / np.array(theirs[0]))
                rows.append(row)
                bars.append(at_most(f"{row['what']}: CPU s", spread(ours)[1], factor * limit))
                print(json.dumps(row), file=sys.stderr, flush=True)
    finish(
        options.out,
        benchmark="measuring",
        environment=machine,
        settings={"scale": options.scale, "before": options.before},
        rows=rows,
        bars=bars,
    )


if __name__ == "__main__":
    main()
