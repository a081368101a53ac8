"""What all benchmarks share: taking turns, spreads, bars, and the form of a results file.

A results file is ``{"benchmark", "command", "environment", "settings", "rows", "bars"}``. A bar is
``{"name", "at", "limit", "value", "kept"}``: the value was to be at most, or at least, the limit.
"""

import argparse
import json
import resource
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tables

Spread = list[float]  # lower quartile, median, upper quartile


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with what every script takes; its help is the script's docstring."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", type=Path, metavar="FILE", help="write the results there, as JSON")
    return made


def in_turns(
    calls: Sequence[Callable[[], Any]],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
) -> list[list[float]]:
    """Return the times of each call, taken round after round in rotating order.

    So a busy moment of the machine hits all of them, and a ratio within a round is fair.
    """
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(repeats):
        for place in range(len(calls)):
            which = (turn + place) % len(calls)
            start = clock()
            calls[which]()
            times[which].append(clock() - start)
    return times


def spread(values: Any) -> Spread:
    """Return quartiles: lower, median, upper."""
    found: Spread = np.percentile(np.asarray(values, dtype=float), (25, 50, 75)).tolist()
    return found


def ratio(times: Sequence[float], reference: Sequence[float]) -> Spread:
    """Return quartiles of the ratios round by round."""
    return spread(np.asarray(times) / np.asarray(reference))


def peak() -> int:
    """Return the most bytes of memory this process held so far.

    Linux's ru_maxrss is inherited from the process that started this one; VmHWM is its own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def at_most(name: str, value: float, limit: float) -> dict[str, Any]:
    return {
        "name": name, "at": "most", "limit": limit, "value": value, "kept": bool(value <= limit)
    }  # fmt: skip


def at_least(name: str, value: float, limit: float) -> dict[str, Any]:
    return {
        "name": name, "at": "least", "limit": limit, "value": value, "kept": bool(value >= limit)
    }  # fmt: skip


def command() -> str:
    """Return what was typed, without where the results go and without folders of this machine."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    if "--out" in words:
        place = words.index("--out")
        words = words[:place] + words[place + 2 :]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def finish(
    out: Path | None,
    *,
    benchmark: str,
    environment: dict[str, Any],
    settings: dict[str, Any],
    rows: list[dict[str, Any]],
    bars: list[dict[str, Any]],
    last: bool = True,
) -> None:
    """Write the results file if one is wanted and, when this is all, print the result as tables.

    Long benchmarks write after every part: what was measured is not lost with what was not.
    """
    result = {
        "benchmark": benchmark,
        "command": command(),
        "environment": environment,
        "settings": settings,
        "rows": rows,
        "bars": bars,
    }
    if last:
        print(tables.everything(result))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
