"""How a step's cost, as a ratio to stock TRL, grows with group size, length, vocabulary and model.

One size grows at a time, the others stay at those of ``BASE``; all arms take turns in one process, with
steps of stock trainers in between, which are the reference (training_steps.py). Batches are small, so
fixed costs weigh more than in a real step.

    python benchmarks/training_growth.py --out benchmarks/results/training_growth.json
    python benchmarks/training_growth.py --sizes group --values 8 --steps 1   # a try
"""

import dataclasses
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from machine import environment
from results_file import finish, parser
from training import PACKAGES, installed, measure, quiet
from training_arms import ARMS, Setting

BASE = Setting(completions=16, length=32, group=8, vocabulary=1007, width=192)
GROWN = {  # the field of Setting that grows, its values, and measured steps at each
    "group": {4: 8, 8: 8, 16: 8, 32: 8},
    "length": {32: 8, 64: 6, 128: 4, 256: 3},
    "vocabulary": {1007: 8, 4000: 6, 16000: 4, 32000: 4},
    "width": {192: 8, 384: 5, 768: 4},  # all trainers at once: 9 GB at 768
}
COMPLETIONS = {  # where not those of BASE
    "group": 32,  # the largest group fits
    "width": 8,  # the largest model takes seconds
}
GROWN_ARMS = (
    "positive entropy, paper",
    "positive entropy, exact",
    "dra, ngram",
    "dra, answer",
    "dra, MiniLM",
    "rehearsal",
    "all three",
    "TRL beta",
    "TRL entropy_coef",
)


def setting_of(size: str, value: int) -> Setting:
    completions = COMPLETIONS.get(size, BASE.completions)
    return dataclasses.replace(BASE, **{"completions": completions, size: value})


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--sizes", nargs="+", choices=GROWN, default=list(GROWN))
    made.add_argument("--values", nargs="+", type=int, help="of the sizes, instead of the defaults")
    made.add_argument("--steps", type=int, help="measured steps at every size")
    made.add_argument("--arms", nargs="+", choices=ARMS, default=list(GROWN_ARMS))
    options = made.parse_args()
    machine = environment(*PACKAGES)
    quiet()
    arms = installed(options.arms)
    write = partial(
        finish,
        options.out,
        benchmark="training_growth",
        environment=machine,
        settings={"base": dataclasses.asdict(BASE), "completions": COMPLETIONS},
        bars=[],
    )
    done: dict[Setting, list[dict[str, Any]]] = {}  # two sweeps share their smallest size
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        for value in options.values or GROWN[size]:
            setting = setting_of(size, value)
            steps = options.steps or GROWN[size].get(value, 4)
            if setting not in done:
                print(f"{size} {value}", flush=True)
                with tempfile.TemporaryDirectory() as folder:
                    done[setting] = measure(arms, Path(folder), setting, steps)
            rows += [{"size": size, "value": value, "steps": steps, **r} for r in done[setting]]
            write(rows=rows, last=False)
    write(rows=rows)


if __name__ == "__main__":
    main()
