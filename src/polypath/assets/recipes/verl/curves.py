"""Print polypath's curves of a verl run, from the file that verl's logger "file" writes.

python curves.py log.jsonl
"""

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

CURVES = {
    "accuracy": "diversity/accuracy",
    "distinct solutions": "diversity/distinct_solutions",
    "distinct correct": "diversity/distinct_correct",
    "entropy, correct": "diversity/entropy_correct",
    "entropy, wrong": "diversity/entropy_wrong",
    "positive entropy": "positive_entropy/loss",
    "rehearsal": "rehearsal/divergence",
}


def main(path: Path) -> None:
    """Print a row for every step; a curve that the run did not log is left out."""
    steps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    there = {k: key for k, key in CURVES.items() if any(key in step["data"] for step in steps)}
    table = Table()
    for name in ("step", *there):
        table.add_column(name, justify="right")
    for step in steps:
        values = (step["data"].get(key) for key in there.values())
        cells = ("-" if value is None else f"{value:.3f}" for value in values)
        table.add_row(str(step["step"]), *cells)
    if there:
        Console(soft_wrap=True).print(table)
    else:
        print(f"{path} has none of polypath's curves: it is a run of verl's own trainer.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
