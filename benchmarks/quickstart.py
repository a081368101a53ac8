"""Time of the whole quickstart, beside that of an earlier commit.

Both train, sample and compare in turns, with the same options, in new folders.

    python benchmarks/quickstart.py --before 0581e29 --out benchmarks/results/quickstart.json
"""

import json
import sys
import tempfile
from pathlib import Path

from earlier import ROOT, source_before, used_by
from machine import environment
from results_file import at_most, finish, parser, ratio, spread

MOST = 0.8  # of the earlier time


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--before", metavar="COMMIT", help="a commit to run beside")
    made.add_argument("--repeats", type=int, default=1)
    made.add_argument("options", nargs="*", help="after --: options of polypath quickstart")
    options = made.parse_args()
    machine = environment("torch", "transformers", "trl")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [ROOT / "src"]
        if options.before:
            sources.append(source_before(options.before, folder / "before"))
        runs = []
        for turn in range(options.repeats):
            order = range(len(sources)) if turn % 2 == 0 else reversed(range(len(sources)))
            taken = {}
            for which in order:
                out = str(folder / f"run-{turn}-{which}")
                taken[which] = used_by(
                    sources[which], ["quickstart", "--out", out, *options.options]
                )
                print(json.dumps(taken[which]._asdict()), file=sys.stderr, flush=True)  # progress
            runs.append([taken[which] for which in range(len(sources))])
    rows, bars = [], []
    for what in ("cpu", "wall"):
        ours, *theirs = zip(*[[getattr(used, what) for used in run] for run in runs], strict=True)
        row = {"what": what, "seconds": spread(ours), "before": None, "share": None}
        if theirs:
            row |= {"before": spread(theirs[0]), "share": ratio(ours, theirs[0])}
            bars.append(at_most(f"quickstart: {what}, share of before", row["share"][1], MOST))
        rows.append(row)
    finish(
        options.out,
        benchmark="quickstart",
        environment=machine,
        settings={"before": options.before, "repeats": options.repeats, "options": options.options},
        rows=rows,
        bars=bars,
    )


if __name__ == "__main__":
    main()
